import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/** The descriptor of a plain TCP socket of node:net; undefined for all that has none of its own, as TLS. */
export function socketFd(stream: Duplex): number | undefined {
  if (!(stream instanceof Socket) || stream instanceof TLSSocket) return undefined;
  // Node has no public way to it; where there is none, the connection stays where it is.
  const handle = (stream as unknown as { _handle?: { fd?: number } })._handle;
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}

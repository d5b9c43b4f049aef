import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { formatBinary, formatLine, type ProxiedEnds } from '../proxy-protocol/header.js';
import type { Route } from './routes.js';

const OPTIONS = { allowHalfOpen: true, noDelay: true };

/**
 * A connection to a service over which RTSP can be spoken at once. `ends`: of the client's connection, for services that
 * want to know; undefined where it is our own business. Rejects with the reason of the failure, or with the
 * signal's if that aborts before the connection stands; afterwards the signal means nothing.
 */
export async function connectTo(route: Route, signal: AbortSignal, ends?: ProxiedEnds): Promise<Socket> {
  const { ip, port, from, tls, proxyProtocol = 'none' } = route;
  signal.throwIfAborted();
  const socket = connect({ host: ip, port, ...(from === undefined ? {} : { localAddress: from }), ...OPTIONS });
  await established(socket, 'connect', signal);
  if (proxyProtocol === 'v1') socket.write(formatLine(ends));
  if (proxyProtocol === 'v2') socket.write(formatBinary(ends));
  if (!tls) return socket;
  // Whatever happens to it is an error of the stream above as well; alone it would end the process.
  socket.on('error', () => {});
  const stream = tlsConnect({ ...tls, socket });
  await established(stream, 'secureConnect', signal);
  return stream;
}

async function established(socket: Socket, event: string, signal: AbortSignal): Promise<void> {
  const abort = () => socket.destroy(reasonOf(signal));
  signal.addEventListener('abort', abort);
  try {
    await once(socket, event);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
}

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PenstockError } from '../errors.js';
import type { Logger } from '../log/logger.js';
import type { Vserver } from '../router/vserver.js';
import { type ByteStream, canonicalIp } from '../rtsp/stream-transport.js';
import type { PeerAddress } from '../rtsp/transport.js';
import { firstBytes } from './first-bytes.js';
import type { TlsListener } from './tls-listener.js';

/** Connections of one worker that have not said yet what they are. */
export const MAX_WAITING = 4_096;
/** A client that connects and says nothing. */
export const FIRST_BYTES_TIMEOUT_MS = 60_000;

/** What clients of one listening socket meet. */
export interface Entrance {
  vserver: Vserver;
  /** Undefined where RTSP is spoken in the clear. */
  tls: TlsListener | undefined;
}

export interface IngressOptions {
  log: Logger;
  /** An RTSP connection: its next byte is the first. */
  accept(stream: ByteStream, vserver: Vserver): void;
}

/** What stands between an accepted socket and an RTSP connection. */
export class Ingress {
  readonly counters = { tlsFailures: 0, waitingRefused: 0, silent: 0 };
  readonly #options: IngressOptions;
  readonly #waiting = new Set<Duplex>();

  constructor(options: IngressOptions) {
    this.#options = options;
  }

  accept(socket: Socket, entrance: Entrance): void {
    // From now on nobody may miss an error: one without a listener ends the process.
    socket.on('error', () => {});
    if (this.#waiting.size >= MAX_WAITING) {
      this.counters.waitingRefused++;
      socket.destroy();
      return;
    }
    this.#waiting.add(socket);
    const timer = setTimeout(() => this.#onSilence(socket), FIRST_BYTES_TIMEOUT_MS);
    const client = { ip: canonicalIp(socket.remoteAddress), port: socket.remotePort ?? 0 };
    void this.#admit(socket, entrance)
      .catch((error: Error) => this.#refuse(socket, client, error))
      .finally(() => {
        clearTimeout(timer);
        this.#waiting.delete(socket);
      });
  }

  /** Closes connections that have not begun. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  async #admit(socket: Socket, { vserver, tls }: Entrance): Promise<void> {
    const stream = tls ? await this.#secure(tls, socket) : socket;
    await firstBytes(stream, () => ({ value: undefined, taken: 0 }));
    this.#options.accept(stream, vserver);
  }

  async #secure(tls: TlsListener, socket: Socket): Promise<ByteStream> {
    const stream = await tls.secure(socket);
    stream.on('error', () => {});
    return stream;
  }

  #refuse(socket: Socket, client: PeerAddress, error: Error): void {
    // Whoever checks whether a port is open connects and says nothing.
    if (error instanceof PenstockError) {
      if (error.code === 'PENSTOCK_ERR_TLS') this.counters.tlsFailures++;
      this.#options.log.info({ code: error.code, client: client.ip }, error.message);
    }
    socket.destroy();
  }

  #onSilence(socket: Socket): void {
    this.counters.silent++;
    socket.destroy();
  }
}

import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { PenstockError } from '../errors.js';
import type { Logger } from '../log/logger.js';
import type { Vserver } from '../router/vserver.js';
import { type ByteStream, canonicalIp } from '../rtsp/stream-transport.js';
import type { PeerAddress } from '../rtsp/transport.js';
import { firstBytes } from './first-bytes.js';
import type { Tunnels } from './http/tunnels.js';
import { type Kind, kindOf } from './sniff.js';
import type { TlsListener } from './tls-listener.js';

/** Connections of one worker that have not said yet what they are. */
export const MAX_WAITING = 4_096;
/** A client that connects and says nothing. */
export const FIRST_BYTES_TIMEOUT_MS = 60_000;
/** From the first byte of an HTTP head to its last, and until the tunnel stands. */
export const HTTP_HEAD_TIMEOUT_MS = 10_000;

/** What clients of one listening socket meet. */
export interface Entrance {
  vserver: Vserver;
  /** Undefined where RTSP is spoken in the clear. */
  tls: TlsListener | undefined;
}

export interface IngressOptions {
  log: Logger;
  tunnels: Tunnels;
  /** An RTSP connection: its next byte is the first. */
  accept(stream: ByteStream, vserver: Vserver): void;
}

/** A connection that has not said what it is. */
interface Arrival {
  readonly socket: Socket;
  readonly client: PeerAddress;
  timer: NodeJS.Timeout;
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
    const client = { ip: canonicalIp(socket.remoteAddress), port: socket.remotePort ?? 0 };
    const arrival = { socket, client, timer: this.#deadline(socket, FIRST_BYTES_TIMEOUT_MS) };
    void this.#admit(arrival, entrance)
      .catch((error: Error) => this.#refuse(arrival, error))
      .finally(() => {
        clearTimeout(arrival.timer);
        this.#waiting.delete(socket);
      });
  }

  /** Closes connections that have not begun. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }

  async #admit(arrival: Arrival, entrance: Entrance): Promise<void> {
    const { vserver, tls } = entrance;
    const stream = tls ? await this.#secure(tls, arrival.socket) : arrival.socket;
    const kind = await firstBytes(stream, judgeKind);
    const rtsp = kind === 'rtsp' ? stream : await this.#tunnel(stream, arrival, entrance);
    if (rtsp) this.#options.accept(rtsp, vserver);
  }

  async #secure(tls: TlsListener, socket: Socket): Promise<ByteStream> {
    const stream = await tls.secure(socket);
    stream.on('error', () => {});
    return stream;
  }

  #tunnel(stream: ByteStream, arrival: Arrival, { vserver, tls }: Entrance): Promise<ByteStream | undefined> {
    clearTimeout(arrival.timer);
    arrival.timer = this.#deadline(arrival.socket, HTTP_HEAD_TIMEOUT_MS);
    const place = `${tls ? 'rtsps' : 'rtsp'} ${vserver.name}`;
    return this.#options.tunnels.admit({ stream, client: arrival.client, place });
  }

  #refuse({ socket, client }: Arrival, error: Error): void {
    // Whoever checks whether a port is open connects and says nothing.
    if (error instanceof PenstockError) {
      if (error.code === 'PENSTOCK_ERR_TLS') this.counters.tlsFailures++;
      this.#options.log.info({ code: error.code, client: client.ip }, error.message);
      // It is being told, and closed then.
      if (error.code === 'PENSTOCK_ERR_TUNNEL') return;
    }
    socket.destroy();
  }

  #deadline(socket: Socket, ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.counters.silent++;
      socket.destroy();
    }, ms);
  }
}

function judgeKind(bytes: Buffer): { value: Kind; taken: number } | undefined {
  const value = kindOf(bytes);
  return value && { value, taken: 0 };
}

import type { Socket } from 'node:net';
import type { LimitsConfig } from '../config/types.js';
import { PenstockError } from '../errors.js';
import type { Logger } from '../log/logger.js';
import { readProxyHeader } from '../proxy-protocol/header.js';
import type { Vserver } from '../router/vserver.js';
import { type ByteStream, canonicalIp } from '../rtsp/stream-transport.js';
import type { PeerAddress, Proxied } from '../rtsp/transport.js';
import { firstBytes } from './first-bytes.js';
import type { Tunnels } from './http/tunnels.js';
import { type Kind, kindOf } from './sniff.js';
import type { TlsListener } from './tls-listener.js';
import type { TrustedProxies } from './trusted-proxies.js';

/** Connections of trusted proxies to one worker that have not said yet whose they are. */
export const MAX_UNNAMED = 4_096;
/** While the process gives way to a successor, which hears nothing of connections that have not begun. */
export const LAST_WAIT_MS = 200;

/** What clients of one listening socket meet. */
export interface Entrance {
  vserver: Vserver;
  /** Undefined where RTSP is spoken in the clear. */
  tls: TlsListener | undefined;
}

/** How many connections there may be in all and of one client. */
export interface ConnectionLimit {
  /** Counts a connection of that address, unless it is one too many. */
  connect(ip: string): boolean;
  disconnect(ip: string): void;
}

/** A connection as it comes to RTSP. */
export interface Entered {
  /** Its next byte is the first. */
  stream: ByteStream;
  vserver: Vserver;
  client: PeerAddress;
  /** Present where a proxy forwards the connection: who, and what the client reached there. */
  proxied?: Proxied;
}

export interface IngressOptions {
  log: Logger;
  limits: Pick<LimitsConfig, 'messageMs' | 'firstRequestMs'>;
  connections: ConnectionLimit;
  trusted: TrustedProxies;
  tunnels: Tunnels;
  /** An RTSP connection, counted already. */
  accept(entered: Entered): void;
}

/** A connection that has not said yet what it is. */
interface Arrival {
  readonly socket: Socket;
  readonly peer: PeerAddress;
  /** The peer, or whom it forwards; undefined until that is known. It has been counted. */
  client: PeerAddress | undefined;
  proxied?: Proxied;
  timer: NodeJS.Timeout;
}

/** What stands between an accepted socket and an RTSP connection. */
export class Ingress {
  readonly counters = { tlsFailures: 0, proxyHeaders: 0, proxyHeadersRefused: 0, unnamedRefused: 0, silent: 0 };
  readonly #options: IngressOptions;
  readonly #waiting = new Set<Arrival>();
  #unnamed = 0;

  constructor(options: IngressOptions) {
    this.#options = options;
  }

  accept(socket: Socket, entrance: Entrance): void {
    // From now on nobody may miss an error: one without a listener ends the process.
    socket.on('error', () => {});
    const peer = { ip: canonicalIp(socket.remoteAddress), port: socket.remotePort ?? 0 };
    // It was reset before we took it, so nobody is there any more; what it had sent could still be read.
    if (peer.ip === '') return void socket.destroy();
    const { limits } = this.#options;
    const arrival: Arrival = { socket, peer, client: undefined, timer: this.#deadline(socket, limits.firstRequestMs) };
    this.#waiting.add(arrival);
    void this.#admit(arrival, entrance)
      .then((entered) => this.#enter(arrival, entered))
      .catch((error: Error) => this.#refuse(arrival, error))
      .finally(() => {
        clearTimeout(arrival.timer);
        this.#waiting.delete(arrival);
      });
  }

  /** Connections that have not begun. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Those that have not begun may do so for another moment, and are closed then. */
  giveWay(): void {
    setTimeout(() => this.close(), LAST_WAIT_MS);
  }

  /** Closes connections that have not begun. */
  close(): void {
    for (const { socket } of this.#waiting) socket.destroy();
  }

  /** Undefined where the connection has become a part of another. */
  async #admit(arrival: Arrival, { vserver, tls }: Entrance): Promise<Omit<Entered, 'client'> | undefined> {
    const { socket, peer } = arrival;
    if (this.#options.trusted.has(peer.ip)) await this.#hearProxy(arrival);
    else this.#count(arrival, peer);
    const plain = tls ? await this.#secure(tls, socket) : socket;
    const kind = await firstBytes(plain, judgeKind);
    if (kind === 'proxy')
      throw new PenstockError('PENSTOCK_ERR_PROXY_HEADER', `${peer.ip} is not in proxy-protocol-from`);
    const stream =
      kind === 'http' ? await this.#tunnel(plain, arrival, `${tls ? 'rtsps' : 'rtsp'} ${vserver.name}`) : plain;
    return stream && { stream, vserver };
  }

  #enter(arrival: Arrival, entered: Omit<Entered, 'client'> | undefined): void {
    const { client, proxied } = arrival;
    if (!client) return;
    if (entered) this.#options.accept({ ...entered, client, ...(proxied ? { proxied } : {}) });
    else this.#options.connections.disconnect(client.ip);
  }

  /** A proxy's connection is counted as that of the client whom it tells. */
  async #hearProxy(arrival: Arrival): Promise<void> {
    const { socket, peer } = arrival;
    if (this.#unnamed >= MAX_UNNAMED) {
      this.counters.unnamedRefused++;
      throw new Error('too many connections of proxies wait for their header');
    }
    this.#unnamed++;
    try {
      const { ends } = await firstBytes(socket, readProxyHeader);
      this.counters.proxyHeaders++;
      if (ends && isLoopback(ends.source.ip) && !isLoopback(peer.ip)) {
        throw new PenstockError('PENSTOCK_ERR_PROXY_HEADER', `${peer.ip} names a client on this machine`);
      }
      if (ends) arrival.proxied = { by: peer, destination: ends.destination };
      this.#count(arrival, ends?.source ?? peer);
    } finally {
      this.#unnamed--;
    }
  }

  #count(arrival: Arrival, client: PeerAddress): void {
    if (!this.#options.connections.connect(client.ip)) throw new Error('too many connections');
    arrival.client = client;
  }

  async #secure(tls: TlsListener, socket: Socket): Promise<ByteStream> {
    const stream = await tls.secure(socket);
    stream.on('error', () => {});
    return stream;
  }

  #tunnel(stream: ByteStream, arrival: Arrival, place: string): Promise<ByteStream | undefined> {
    clearTimeout(arrival.timer);
    arrival.timer = this.#deadline(arrival.socket, this.#options.limits.messageMs);
    return this.#options.tunnels.admit({ stream, client: arrival.client ?? arrival.peer, place });
  }

  /** Whoever checks whether a port is open connects and says nothing: that is worth no line. */
  #refuse({ socket, client, peer }: Arrival, error: Error): void {
    // Who is told why keeps the connection for another moment.
    const lingers = error instanceof PenstockError && error.code === 'PENSTOCK_ERR_TUNNEL' && !socket.destroyed;
    const leave = () => client && this.#options.connections.disconnect(client.ip);
    if (lingers) socket.once('close', leave);
    else leave();
    if (error instanceof PenstockError) {
      if (error.code === 'PENSTOCK_ERR_TLS') this.counters.tlsFailures++;
      if (error.code === 'PENSTOCK_ERR_PROXY_HEADER') this.counters.proxyHeadersRefused++;
      this.#options.log.info({ code: error.code, client: (client ?? peer).ip }, error.message);
    }
    if (!lingers) socket.destroy();
  }

  #deadline(socket: Socket, ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.counters.silent++;
      socket.destroy();
    }, ms);
  }
}

function isLoopback(ip: string): boolean {
  return ip === '::1' || /^127\./.test(ip);
}

function judgeKind(bytes: Buffer): { value: Kind; taken: number } | undefined {
  const value = kindOf(bytes);
  return value && { value, taken: 0 };
}

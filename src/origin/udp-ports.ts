import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { OriginCounters } from './counters.js';
import type { MediaPath, MediaReceiver } from './media-path.js';

const MAX_PAIR_TRIES = 64;

/** Where a client receives one stream: its address and its `client_port` numbers. */
export interface UdpClient {
  ip: string;
  rtp: number;
  rtcp: number;
}

/** Gives each stream its server ports. Two policies below. */
export interface UdpPorts {
  /** @param local the address the client reached us on. @throws Error when no pair is free or the client's ports are taken. */
  attach(local: string, client: UdpClient, receiver: MediaReceiver): Promise<MediaPath>;
  close(): void;
}

/** A real pair per stream, as most servers do. */
export class OwnPorts implements UdpPorts {
  readonly #counters: OriginCounters;
  readonly #pairs = new Set<UdpPair>();

  constructor(counters: OriginCounters) {
    this.#counters = counters;
  }

  async attach(local: string, client: UdpClient, receiver: MediaReceiver): Promise<MediaPath> {
    const find = (source: RemoteInfo) => (source.address === client.ip ? receiver : undefined);
    const pair = await UdpPair.bind(local, this.#counters, find);
    this.#pairs.add(pair);
    return new UdpPath(pair, client, () => {
      this.#pairs.delete(pair);
      pair.close();
    });
  }

  close(): void {
    for (const pair of this.#pairs) pair.close();
    this.#pairs.clear();
  }
}

/** One pair for all streams (per local address): such servers tell clients apart by their address and port only. */
export class SharedPorts implements UdpPorts {
  readonly #counters: OriginCounters;
  readonly #pairs = new Map<string, Promise<UdpPair>>();
  readonly #receivers = new Map<string, MediaReceiver>();

  constructor(counters: OriginCounters) {
    this.#counters = counters;
  }

  async attach(local: string, client: UdpClient, receiver: MediaReceiver): Promise<MediaPath> {
    const pair = await this.#pair(local);
    const keys = [`${client.ip}|${client.rtp}`, `${client.ip}|${client.rtcp}`];
    if (keys.some((key) => this.#receivers.has(key))) throw new Error(`client ports of ${client.ip} are in use`);
    for (const key of keys) this.#receivers.set(key, receiver);
    return new UdpPath(pair, client, () => {
      for (const key of keys) this.#receivers.delete(key);
    });
  }

  close(): void {
    for (const pair of this.#pairs.values()) {
      pair.then(
        (bound) => bound.close(),
        () => undefined, // attach() reported it; there is nothing to close
      );
    }
    this.#pairs.clear();
  }

  #pair(local: string): Promise<UdpPair> {
    const known = this.#pairs.get(local);
    if (known) return known;
    const find = (source: RemoteInfo) => this.#receivers.get(`${source.address}|${source.port}`);
    const pair = UdpPair.bind(local, this.#counters, find);
    this.#pairs.set(local, pair);
    pair.catch(() => this.#pairs.delete(local));
    return pair;
  }
}

class UdpPath implements MediaPath {
  readonly transport: string;
  readonly #pair: UdpPair;
  readonly #client: UdpClient;
  readonly #release: () => void;
  #closed = false;

  constructor(pair: UdpPair, client: UdpClient, release: () => void) {
    this.transport = `server_port=${pair.ports.rtp}-${pair.ports.rtcp}`;
    this.#pair = pair;
    this.#client = client;
    this.#release = release;
  }

  sendRtp(header: Buffer, payload: Buffer): boolean {
    if (this.#closed) return false;
    this.#pair.rtp.send([header, payload], this.#client.rtp, this.#client.ip);
    return true;
  }

  sendRtcp(packet: Buffer): boolean {
    if (this.#closed) return false;
    this.#pair.rtcp.send(packet, this.#client.rtcp, this.#client.ip);
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
  }
}

type FindReceiver = (source: RemoteInfo) => MediaReceiver | undefined;

class UdpPair {
  readonly ports: { rtp: number; rtcp: number };
  readonly rtp: Socket;
  readonly rtcp: Socket;

  private constructor(sockets: [Socket, Socket], counters: OriginCounters, find: FindReceiver) {
    [this.rtp, this.rtcp] = sockets;
    this.ports = { rtp: this.rtp.address().port, rtcp: this.rtcp.address().port };
    this.rtp.on('message', (packet, source) => deliver(counters, find(source), (to) => to.onRtp(packet)));
    this.rtcp.on('message', (packet, source) => deliver(counters, find(source), (to) => to.onRtcp(packet)));
    for (const socket of sockets) socket.on('error', () => counters.sendErrors++);
  }

  /** RTP on an even port, RTCP on the next: the kernel chooses one, its neighbour must be free. */
  static async bind(address: string, counters: OriginCounters, find: FindReceiver): Promise<UdpPair> {
    for (let tries = 0; tries < MAX_PAIR_TRIES; tries++) {
      const first = await bindSocket(address, 0);
      const port = first.address().port;
      try {
        const second = await bindSocket(address, port ^ 1);
        return new UdpPair(port % 2 === 0 ? [first, second] : [second, first], counters, find);
      } catch (error) {
        first.close();
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      }
    }
    throw new Error(`no free pair of UDP ports on ${address}`);
  }

  close(): void {
    // What was sent in this turn (the BYE) may still wait for its turn in the socket's queue.
    setImmediate(() => {
      this.rtp.close();
      this.rtcp.close();
    });
  }
}

function deliver(counters: OriginCounters, to: MediaReceiver | undefined, give: (to: MediaReceiver) => void): void {
  if (to) give(to);
  else counters.straysReceived++;
}

function bindSocket(address: string, port: number): Promise<Socket> {
  const socket = createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    // Addresses here are always literal; node:dgram would ask the resolver for each packet.
    lookup: (host, _options, done) => done(null, host, isIPv6(host) ? 6 : 4),
  });
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address, port, exclusive: true }, () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

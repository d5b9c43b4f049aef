import { hash32 } from '../router/balancer/hash.js';
import type { Service } from '../router/service.js';
import { ChannelMap, type ChannelPair } from './channel-map.js';
import type { Upstream } from './upstream.js';

export type CarriedKind =
  | { kind: 'udp' | 'opaque' }
  | { kind: 'interleaved'; channels: number[]; upstream: Upstream }
  /** UDP at the server: `channels` of the client. */
  | { kind: 'bridged'; channels: number[] }
  /** UDP at the client: channels at the server. */
  | { kind: 'bridgedAt'; at: ChannelPair; upstream: Upstream };

export type CarriedStream = {
  /** Row of the stream table. */
  stream: number;
  /** hash32 of the Request-URI of its SETUP. */
  urlHash: number;
  /** That URI; unknown where a predecessor set it up. */
  url: string | undefined;
} & CarriedKind;

/** A session as one client connection knows it. */
export interface CarriedSession {
  service: Service;
  serverId: string;
  /** The media of a stream is in an RTSP connection, on either side. */
  interleaved: boolean;
  /** By `urlHash`. */
  streams: Map<number, CarriedStream>;
}

/** The sessions that were set up over one client connection, by their rows, and the channels of their streams. */
export class CarriedSessions {
  readonly channels = new ChannelMap();
  readonly #sessions = new Map<number, CarriedSession>();

  get size(): number {
    return this.#sessions.size;
  }

  get(slot: number): CarriedSession | undefined {
    return this.#sessions.get(slot);
  }

  find(service: Service, serverId: string): { slot: number; session: CarriedSession } | undefined {
    for (const [slot, session] of this.#sessions) {
      if (session.service === service && session.serverId === serverId) return { slot, session };
    }
    return undefined;
  }

  slots(which: (session: CarriedSession) => boolean = () => true): number[] {
    return [...this.#sessions].filter(([, session]) => which(session)).map(([slot]) => slot);
  }

  get interleaved(): boolean {
    return [...this.#sessions.values()].some(({ interleaved }) => interleaved);
  }

  *streams(): Generator<CarriedStream> {
    for (const { streams } of this.#sessions.values()) yield* streams.values();
  }

  addStream(slot: number, service: Service, serverId: string, stream: CarriedStream): void {
    let session = this.#sessions.get(slot);
    if (!session) {
      session = { service, serverId, interleaved: false, streams: new Map() };
      this.#sessions.set(slot, session);
    }
    session.streams.set(stream.urlHash, stream);
    session.interleaved = hasInterleaved(session);
  }

  /** Takes a stream off its session and closes its channels; undefined if there is none for that URL. */
  takeStream(slot: number, url: string): CarriedStream | undefined {
    const session = this.#sessions.get(slot);
    const stream = session?.streams.get(hash32(url));
    if (!session || !stream) return undefined;
    session.streams.delete(stream.urlHash);
    session.interleaved = hasInterleaved(session);
    this.#closeChannels(stream);
    return stream;
  }

  delete(slot: number): void {
    for (const stream of this.#sessions.get(slot)?.streams.values() ?? []) this.#closeChannels(stream);
    this.#sessions.delete(slot);
  }

  #closeChannels(stream: CarriedStream): void {
    if (stream.kind === 'interleaved' || stream.kind === 'bridged')
      for (const channel of stream.channels) this.channels.close(channel, stream.stream);
    if (stream.kind === 'bridgedAt') this.channels.closeBridgedAt(stream.upstream, stream.at);
  }
}

function hasInterleaved({ streams }: CarriedSession): boolean {
  return [...streams.values()].some(({ kind }) => kind !== 'udp' && kind !== 'opaque');
}

/** The connection to the server whose channels the stream is in. */
export function channelsAt(stream: CarriedStream): Upstream | undefined {
  return stream.kind === 'interleaved' || stream.kind === 'bridgedAt' ? stream.upstream : undefined;
}

export function usesChannelsOf(session: CarriedSession, upstream: Upstream): boolean {
  return [...session.streams.values()].some((stream) => channelsAt(stream) === upstream);
}

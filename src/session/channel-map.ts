import type { Layout } from '../engine/layout.js';
import type { Upstream } from './upstream.js';

const CHANNELS = 256;
const NONE = -1;
/** A channel of a server whose frames go to no connection, but out of a socket. */
const BRIDGED = -2;

/** Two channels of one stream: media and its RTCP. */
export interface ChannelPair {
  rtp: number;
  rtcp: number;
}

/** Where frames of one client channel go, and which legs of which stream row they count on. */
export interface ChannelRoute {
  upstream: Upstream;
  /** The server's number. */
  channel: number;
  stream: number;
  clientLeg: number;
  serverLeg: number;
}

/**
 * Which interleaved channel of a client connection belongs to which channel of which upstream
 * (RFC 2326 §10.12). With one upstream the numbers are the same on both sides; a second one may
 * use numbers that are taken, and then gets others towards the client.
 */
export class ChannelMap {
  /** Grows with the channels that are used: most connections use none. */
  readonly #routes: (ChannelRoute | undefined)[] = [];
  /** Streams by those client channels whose frames go to no other connection. */
  readonly #bridged: (number | undefined)[] = [];

  /**
   * The client's numbers for a pair of the server: the same ones where they are free, else the
   * lowest free pair; undefined when none is left. Numbers that this upstream had are given up.
   */
  choose(upstream: Upstream, server: ChannelPair): ChannelPair | undefined {
    for (const channel of [server.rtp, server.rtcp]) this.close(this.toClient(upstream, channel));
    return this.#isFree(server) ? server : this.#freePair();
  }

  /** The client's numbers for a stream whose server has none: those that it asked for where they are free. */
  chooseFor(asked: ChannelPair | undefined): ChannelPair | undefined {
    return asked && this.#isFree(asked) ? asked : this.#freePair();
  }

  /** Numbers at a server for a stream whose client has none. */
  chooseAt(upstream: Upstream): ChannelPair | undefined {
    return pairWhere(({ rtp, rtcp }) => [rtp, rtcp].every((channel) => this.toClient(upstream, channel) === NONE));
  }

  openBridged(client: ChannelPair, stream: number): void {
    this.#bridged[client.rtp] = this.#bridged[client.rtcp] = stream;
  }

  openBridgedAt(upstream: Upstream, { rtp, rtcp }: ChannelPair): void {
    upstream.clientChannels[rtp] = upstream.clientChannels[rtcp] = BRIDGED;
  }

  closeBridgedAt(upstream: Upstream, { rtp, rtcp }: ChannelPair): void {
    for (const channel of [rtp, rtcp])
      if (this.toClient(upstream, channel) === BRIDGED) upstream.clientChannels[channel] = NONE;
  }

  open(upstream: Upstream, server: ChannelPair, client: ChannelPair, stream: number, legs: Layout['legIndex']): void {
    const { clientRtp, clientRtcp, serverRtp, serverRtcp } = legs;
    const common = { upstream, stream };
    this.#routes[client.rtp] = { ...common, channel: server.rtp, clientLeg: clientRtp, serverLeg: serverRtp };
    this.#routes[client.rtcp] = { ...common, channel: server.rtcp, clientLeg: clientRtcp, serverLeg: serverRtcp };
    upstream.clientChannels[server.rtp] = client.rtp;
    upstream.clientChannels[server.rtcp] = client.rtcp;
  }

  /** The route of a client channel. */
  toServer(clientChannel: number): ChannelRoute | undefined {
    return this.#routes[clientChannel];
  }

  /** The client's channel for a frame of the server, or -1. */
  toClient(upstream: Upstream, serverChannel: number): number {
    return upstream.clientChannels[serverChannel] ?? NONE;
  }

  /** `stream`: only if the channel is still this stream's. */
  close(clientChannel: number, stream?: number): void {
    if (stream !== undefined && this.#bridged[clientChannel] === stream) this.#bridged[clientChannel] = undefined;
    const route = this.#routes[clientChannel];
    if (!route || (stream !== undefined && route.stream !== stream)) return;
    route.upstream.clientChannels[route.channel] = NONE;
    this.#routes[clientChannel] = undefined;
  }

  closeUpstream(upstream: Upstream): void {
    for (const channel of upstream.clientChannels) this.close(channel ?? NONE);
    upstream.clientChannels.length = 0;
  }

  #isFree({ rtp, rtcp }: ChannelPair): boolean {
    const isFree = (channel: number) =>
      channel < CHANNELS && !this.#routes[channel] && this.#bridged[channel] === undefined;
    return isFree(rtp) && isFree(rtcp);
  }

  #freePair(): ChannelPair | undefined {
    return pairWhere((pair) => this.#isFree(pair));
  }
}

/** The lowest. */
function pairWhere(fits: (pair: ChannelPair) => boolean): ChannelPair | undefined {
  for (let rtp = 0; rtp < CHANNELS; rtp += 2) {
    const pair = { rtp, rtcp: rtp + 1 };
    if (fits(pair)) return pair;
  }
  return undefined;
}

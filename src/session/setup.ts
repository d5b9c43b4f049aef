import type { Endpoint } from '../engine/endpoint.js';
import { PenstockError } from '../errors.js';
import { hash32 } from '../router/balancer/hash.js';
import { parseSession } from '../rtsp/headers/session.js';
import type { RtspMessage, RtspRequest, RtspResponse } from '../rtsp/message.js';
import type { MediaSection } from '../rtsp/sdp.js';
import { isSuccess } from '../rtsp/status.js';
import { bridgedToClient, turnPlan } from './bridging.js';
import type { CarriedKind, CarriedStream } from './carried-sessions.js';
import type { ChannelPair } from './channel-map.js';
import type { ClientConnection } from './client-connection.js';
import type { MediaPlace } from './media-place.js';
import type { PortPair } from './port-allocator.js';
import { asksForBackchannel, type Presentation } from './presentation.js';
import type { RtspProxy } from './proxy.js';
import { sessionIdOf } from './rewriter.js';
import type { LegSpec, MediaKind, StreamSpec } from './stream-row-writer.js';
import {
  type Alternative,
  declaredClient,
  declaredServer,
  isForeign,
  matchReply,
  mediaPeer,
  planRequest,
  type ServerSidePorts,
  type TransportMatch,
  type TransportPlan,
  toClient,
  toServer,
} from './transport-negotiator.js';
import type { Upstream } from './upstream.js';

/**
 * One SETUP: `prepare` makes the request ready for the server, `complete` turns the answer into
 * the client's and opens the stream, `release` gives back whatever was not used. The stream is
 * live before the answer leaves.
 */
export class Setup {
  readonly #proxy: RtspProxy;
  readonly #client: ClientConnection;
  readonly #upstream: Upstream;
  readonly #request: RtspRequest;
  readonly #presentation: Presentation;
  /** The id the request named, if any: the server may leave it out of its answer. */
  readonly #serverId: string | undefined;
  /** The client's own header, for another try with another server. */
  readonly #offered: string;
  #plan: TransportPlan;
  /** What the client asked for, once the server is asked for the other lower transport. */
  #asked: Alternative | undefined;
  /** Server-side listening services by the alternative's place, until one of them is handed over. */
  readonly #pairs: (PortPair | undefined)[] = [];

  /** Of the place of a session that may come about. */
  #cancelReservation: () => void = () => {};
  /** Whether the session began with this SETUP. */
  #isNew = false;

  constructor(
    proxy: RtspProxy,
    client: ClientConnection,
    upstream: Upstream,
    request: RtspRequest,
    serverId: string | undefined,
    presentation: Presentation,
  ) {
    this.#proxy = proxy;
    this.#client = client;
    this.#upstream = upstream;
    this.#request = request;
    this.#serverId = serverId;
    this.#presentation = presentation;
    this.#offered = request.headers.getAll('Transport').join(',');
    this.#plan = this.#possible(planRequest(this.#offered));
  }

  /**
   * Binds a server-side pair for each UDP alternative. Throws PENSTOCK_ERR_PORTS_EXHAUSTED, and
   * PENSTOCK_ERR_TOO_MANY_SESSIONS or PENSTOCK_ERR_TOO_MANY_SETUPS where the client may have no more.
   */
  prepare(): void {
    this.#admit();
    this.#offer();
  }

  /**
   * The server refused the transport: makes the request one for the other lower transport, where the engine can convert
   * between them. Throws PENSTOCK_ERR_PORTS_EXHAUSTED.
   */
  turn(): boolean {
    if (this.#proxy.config.bridge === 'off' || this.#client.bridgeThread(this.#upstream) === undefined) return false;
    const turned = turnPlan(this.#plan, this.#client.channels.chooseAt(this.#upstream));
    if (!turned) return false;
    this.#releasePairs();
    this.#asked = turned.asked;
    this.#plan = [turned.turned];
    this.#offer();
    return true;
  }

  #offer(): void {
    for (const { kind, clientPorts } of this.#plan) {
      const pair = kind === 'udp' ? this.#proxy.ports.allocate(this.#upstream.local.ip, clientPorts) : undefined;
      this.#pairs.push(pair);
    }
    replaceTransport(this.#request, toServer(this.#plan, this.#numbers(), this.#destination()));
  }

  /** A server that knows the client's address would send media there, and not here. */
  #destination(): string | undefined {
    const { service, local } = this.#upstream;
    if (!this.#proxy.dialer.tellsClient(service)) return undefined;
    return this.#proxy.mediaPlace('server', { local: local.ip, peer: service.ip })?.advertised;
  }

  /** Without those over UDP for which we have no address. Throws PENSTOCK_ERR_TRANSPORT if nothing is left. */
  #possible(plan: TransportPlan): TransportPlan {
    const possible = plan.filter((alternative) => alternative.kind !== 'udp' || this.#placeFor(alternative));
    if (possible.length === 0) throw noPlaceFor(this.#client.remote.ip);
    return possible;
  }

  #peerOf(alternative: Alternative): string {
    return mediaPeer(alternative, this.#client.remote.ip, this.#client.forwardedBy);
  }

  #placeFor(alternative: Alternative): MediaPlace | undefined {
    const ends = { local: this.#client.local.ip, peer: this.#peerOf(alternative) };
    return this.#proxy.mediaPlace('client', ends);
  }

  /** Opens the stream that the answer describes, and rewrites the answer's Transport. */
  complete(reply: RtspResponse): void {
    if (!isSuccess(reply)) return;
    const match = matchReply(this.#plan, this.#numbers(), reply.headers.get('Transport'));
    const serverId = sessionIdOf(reply) ?? this.#serverId;
    if (serverId === undefined) {
      throw new PenstockError('PENSTOCK_ERR_SERVICE_REPLY', 'the answer to SETUP has no Session');
    }
    const session = this.#openSession(reply, serverId);
    this.#client.closeStream(session, this.#request.uri);
    const stream = this.#openStream(session, match, mediaOf(this.#presentation.section(this.#request.uri)), reply);
    this.#proxy.table.noteTransport(session);
    this.#proxy.serviceWorked(this.#upstream.service);
    this.#client.carry(session, this.#upstream.service, serverId, stream);
    if (this.#serverId !== undefined && this.#serverId !== serverId) {
      this.#proxy.keeper.link(this.#upstream.service, this.#serverId, serverId);
    }
  }

  /** The server did its part and we could not do ours: it must not keep a stream that no client will hear of. */
  undo(reply: RtspResponse): void {
    const serverId = sessionIdOf(reply) ?? this.#serverId;
    if (!isSuccess(reply) || serverId === undefined) return;
    const { service } = this.#upstream;
    this.#client.sendTeardown(this.#upstream, this.#request.uri, serverId);
    if (this.#isNew) this.#proxy.keeper.ended(service, serverId, 'setup-failed');
  }

  release(): void {
    this.#cancelReservation();
    this.#cancelReservation = () => {};
    this.#releasePairs();
    replaceTransport(this.#request, this.#offered);
  }

  #releasePairs(): void {
    for (const pair of this.#pairs) if (pair) this.#proxy.ports.release(pair);
    this.#pairs.length = 0;
  }

  #admit(): void {
    const { admission, table, keeper } = this.#proxy;
    if (this.#serverId === undefined) {
      this.#cancelReservation = admission.reserveSession(this.#client.remote.ip);
      return;
    }
    const own = table.findOwn(this.#upstream.service.index, this.#serverId);
    if (own !== undefined) admission.setUp(keeper.setUps(own));
  }

  #openSession(reply: RtspResponse, serverId: string): number {
    const { service } = this.#upstream;
    const details = {
      vserver: this.#proxy.vserverIndex(this.#client.vserver),
      controlUrl: this.#controlUrl(),
      timeoutSec: parseSession(reply.headers.get('Session') ?? '').timeoutSec ?? 0,
      client: this.#client.remote,
    };
    const claim = this.#client.claimFor(service);
    this.#isNew = this.#proxy.table.findOwn(service.index, serverId) === undefined;
    return this.#proxy.keeper.open(service, serverId, details, this.#client, claim);
  }

  /** What a TEARDOWN of the whole session would be sent to before there was a PLAY. */
  #controlUrl(): string {
    const { uri } = this.#request;
    const told = this.#presentation.aggregateOf(uri);
    return told !== undefined && this.#proxy.table.isControlUrl(told) ? told : guessedAggregate(uri);
  }

  #openStream(session: number, match: TransportMatch, media: Media, reply: RtspResponse): CarriedStream {
    if (this.#asked) return this.#openBridged(session, match, this.#asked, media, reply);
    switch (match.kind) {
      case 'udp':
        return this.#openUdp(session, match, media, reply);
      case 'interleaved':
        return this.#openInterleaved(session, match, media, reply);
      case 'opaque': {
        const row = { ...this.#row(session, media), transport: 'opaque' as const, legs: [] };
        return this.#carried(this.#proxy.table.openStream(row).slot, { kind: 'opaque' });
      }
    }
  }

  #carried(stream: number, kind: CarriedKind): CarriedStream {
    const { uri } = this.#request;
    return { stream, url: uri, urlHash: hash32(uri), ...kind };
  }

  #row(session: number, media: Media) {
    const { service } = this.#upstream;
    const wires = this.#client.wiresOf(this.#upstream);
    return { session, service: service.index, urlHash: hash32(this.#request.uri), wires, ...media };
  }

  #openUdp(session: number, match: TransportMatch, media: Media, reply: RtspResponse): CarriedStream {
    const { ports } = this.#proxy;
    if (isForeign(match, this.#upstream.service)) this.#disbelieve(match);
    const place = this.#placeFor(match.alternative);
    if (!place) throw noPlaceFor(this.#client.remote.ip);
    const server = this.#pairs[match.chosen] as PortPair;
    const client = ports.allocate(place.address, match.serverPorts);
    const stream = this.#handOver({ client, server }, match, {
      ...this.#row(session, media),
      transport: 'udp',
      legs: this.#legs(match, match.alternative, { client, server }),
    });
    replaceTransport(reply, toClient(match, { source: place.advertised, serverPorts: numbersOf(client) }));
    return this.#carried(stream, { kind: 'udp' });
  }

  /** Opens the row of a stream with sockets; the client's are given back where that fails. */
  #handOver(pairs: { client?: PortPair; server?: PortPair }, { chosen }: TransportMatch, row: StreamSpec): number {
    const { ports, table, engine } = this.#proxy;
    let stream: number | undefined;
    try {
      const ref = table.openStream(row);
      stream = ref.slot;
      engine.handOver(ref.slot, ref.generation, pairs);
      this.#pairs[chosen] = undefined;
      return stream;
    } catch (error) {
      if (stream !== undefined) table.abandonStream(stream);
      if (pairs.client) ports.release(pairs.client);
      throw error;
    }
  }

  /** One side over UDP, the other in its connection. */
  #openBridged(
    session: number,
    match: TransportMatch,
    asked: Alternative,
    media: Media,
    reply: RtspResponse,
  ): CarriedStream {
    const thread = this.#client.bridgeThread(this.#upstream);
    if (match.kind !== match.alternative.kind || thread === undefined) {
      throw new PenstockError('PENSTOCK_ERR_TRANSPORT', 'the server chose what cannot be bridged');
    }
    const row = { ...this.#row(session, media), transport: 'bridged' as const, thread };
    return match.kind === 'udp'
      ? this.#openFrameClient(row, match, asked, reply)
      : this.#openFrameServer(row, match, asked, reply);
  }

  #openFrameClient(row: BridgedRow, match: TransportMatch, asked: Alternative, reply: RtspResponse): CarriedStream {
    if (isForeign(match, this.#upstream.service)) this.#disbelieve(match);
    const { channels } = this.#client;
    const client = channels.chooseFor(asked.channels);
    if (!client) throw new PenstockError('PENSTOCK_ERR_TRANSPORT', 'no interleaved channel is free');
    const pairs = { server: this.#pairs[match.chosen] as PortPair };
    const legs = this.#legs(match, asked, pairs);
    const stream = this.#handOver(pairs, match, { ...row, legs, channels: { client } });
    channels.openBridged(client, stream);
    replaceTransport(reply, bridgedToClient(match, asked, { source: this.#client.local.ip, channels: client }));
    return this.#carried(stream, { kind: 'bridged', channels: [client.rtp, client.rtcp] });
  }

  #openFrameServer(row: BridgedRow, match: TransportMatch, asked: Alternative, reply: RtspResponse): CarriedStream {
    const place = this.#placeFor(asked);
    if (!place) throw noPlaceFor(this.#client.remote.ip);
    const server = match.channels as ChannelPair;
    const client = this.#proxy.ports.allocate(place.address);
    const legs = this.#legs(match, asked, { client });
    const stream = this.#handOver({ client }, match, { ...row, legs, channels: { server } });
    this.#client.channels.openBridgedAt(this.#upstream, server);
    const face = { source: place.advertised, serverPorts: numbersOf(client) };
    replaceTransport(reply, bridgedToClient(match, asked, face));
    return this.#carried(stream, { kind: 'bridgedAt', at: server, upstream: this.#upstream });
  }

  #disbelieve({ source }: TransportMatch): void {
    const { counters, log } = this.#proxy;
    counters.foreignSources++;
    log.warn({ service: this.#upstream.service.name, source }, 'source= is none of the media-source of the service');
  }

  #openInterleaved(session: number, match: TransportMatch, media: Media, reply: RtspResponse): CarriedStream {
    const { table, engine } = this.#proxy;
    const server = match.channels ?? { rtp: 0, rtcp: 1 };
    const client = this.#client.channels.choose(this.#upstream, server);
    if (!client) throw new PenstockError('PENSTOCK_ERR_TRANSPORT', 'no interleaved channel is free');
    const row = { ...this.#row(session, media), transport: 'interleaved' as const, legs: [] };
    const ref = table.openStream({ ...row, channels: { client, server } });
    engine.streamChanged(ref);
    this.#client.channels.open(this.#upstream, server, client, ref.slot, this.#proxy.legIndex);
    const source = this.#placeFor(match.alternative)?.advertised ?? this.#client.local.ip;
    replaceTransport(reply, toClient(match, { source, channels: client }));
    const channels = [client.rtp, client.rtcp];
    return this.#carried(ref.slot, { kind: 'interleaved', channels, upstream: this.#upstream });
  }

  /**
   * In the order of the layout's legs: client RTP and RTCP, server RTP and RTCP. `asked`: what the client wrote. A side
   * without a pair is in its connection.
   */
  #legs(match: TransportMatch, asked: Alternative, pairs: { client?: PortPair; server?: PortPair }): LegSpec[] {
    const declared = {
      client: declaredClient(asked, this.#peerOf(asked)),
      server: declaredServer(match, this.#upstream.service),
    };
    const latching = LATCHING[this.#proxy.config.latching];
    const expects = { client: this.#clientSends(asked), server: asked.serverSends };
    const leg = (side: 'client' | 'server', part: 'rtp' | 'rtcp'): LegSpec => ({
      local: localOf(pairs[side], part),
      declared: pairs[side] && declared[side][part],
      alternate: side === 'server' ? { ip: this.#upstream.service.ip, port: 0 } : undefined,
      latching,
      expectsMedia: part === 'rtp' && expects[side],
      opaque: !asked.isRtp,
      maxRate: this.#proxy.config.limits.streamRate,
    });
    return [leg('client', 'rtp'), leg('client', 'rtcp'), leg('server', 'rtp'), leg('server', 'rtcp')];
  }

  /** A publisher, or the ONVIF backchannel: media of the client from its first packet on. */
  #clientSends(alternative: Alternative): boolean {
    return (
      alternative.clientSends || asksForBackchannel(this.#request) || this.#presentation.clientSends(this.#request.uri)
    );
  }

  #numbers(): ServerSidePorts {
    return this.#pairs.map((pair) => pair && numbersOf(pair));
  }
}

function noPlaceFor(ip: string): PenstockError {
  return new PenstockError(
    'PENSTOCK_ERR_TRANSPORT',
    `no address for media of ${ip}: give one of its family as media-address`,
  );
}

interface Media {
  media: MediaKind;
  clockRate: number;
}

type BridgedRow = Omit<StreamSpec, 'legs' | 'channels'>;

const LATCHING = { off: 'off', 'same-ip': 'sameIp', any: 'any' } as const;

function mediaOf(section: MediaSection | undefined): Media {
  if (!section) return { media: 'unknown', clockRate: 0 };
  const media = section.media === 'video' || section.media === 'audio' ? section.media : 'other';
  return { media, clockRate: section.clockRate ?? 0 };
}

function localOf(pair: PortPair | undefined, part: 'rtp' | 'rtcp'): Endpoint | undefined {
  return pair && { ip: pair.address, port: pair[part].port };
}

function numbersOf(pair: PortPair): { rtp: number; rtcp: number } {
  return { rtp: pair.rtp.port, rtcp: pair.rtcp.port };
}

/** All alternatives go into one field, in its place where there was one. */
function replaceTransport({ headers }: RtspMessage, value: string): void {
  if (headers.getAll('Transport').length > 1) {
    headers.delete('Transport');
    headers.append('Transport', value);
  } else headers.set('Transport', value);
}

/**
 * Where no description told better: a SETUP names one stream of the whole; its last path segment is
 * the stream's, where there is more than one segment.
 */
function guessedAggregate(uri: string): string {
  const cut = uri.lastIndexOf('/');
  const path = uri.indexOf('/', uri.indexOf('://') + 3);
  return path >= 0 && cut > path ? uri.slice(0, cut) : uri;
}

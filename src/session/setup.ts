import { PenstockError } from '../errors.js';
import { hash32 } from '../router/balancer/hash.js';
import { parseSession } from '../rtsp/headers/session.js';
import type { RtspMessage, RtspRequest, RtspResponse } from '../rtsp/message.js';
import type { MediaSection } from '../rtsp/sdp.js';
import { isSuccess } from '../rtsp/status.js';
import type { CarriedKind, CarriedStream } from './carried-sessions.js';
import type { ClientConnection } from './client-connection.js';
import type { MediaPlace } from './media-place.js';
import type { PortPair } from './port-allocator.js';
import { asksForBackchannel, type Presentation } from './presentation.js';
import type { RtspProxy } from './proxy.js';
import { sessionIdOf } from './rewriter.js';
import type { LegSpec, MediaKind } from './session-table.js';
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
  readonly #plan: TransportPlan;
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
    for (const pair of this.#pairs) if (pair) this.#proxy.ports.release(pair);
    this.#pairs.length = 0;
    replaceTransport(this.#request, this.#offered);
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
    const { ports, table, engine } = this.#proxy;
    if (isForeign(match, this.#upstream.service)) this.#disbelieve(match);
    const place = this.#placeFor(match.alternative);
    if (!place) throw noPlaceFor(this.#client.remote.ip);
    const server = this.#pairs[match.chosen] as PortPair;
    const client = ports.allocate(place.address, match.serverPorts);
    let stream: number | undefined;
    try {
      const legs = this.#legs(match, client, server);
      const row = { ...this.#row(session, media), transport: 'udp' as const, legs };
      const ref = table.openStream(row);
      stream = ref.slot;
      engine.handOver(ref.slot, ref.generation, { client, server });
      this.#pairs[match.chosen] = undefined;
    } catch (error) {
      if (stream !== undefined) table.abandonStream(stream);
      ports.release(client);
      throw error;
    }
    replaceTransport(reply, toClient(match, { source: place.advertised, serverPorts: numbersOf(client) }));
    return this.#carried(stream, { kind: 'udp' });
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

  /** In the order of the layout's legs: client RTP and RTCP, server RTP and RTCP. */
  #legs(match: TransportMatch, client: PortPair, server: PortPair): LegSpec[] {
    const { alternative } = match;
    const declared = {
      client: declaredClient(alternative, this.#peerOf(alternative)),
      server: declaredServer(match, this.#upstream.service),
    };
    const latching = LATCHING[this.#proxy.config.latching];
    const expects = { client: this.#clientSends(alternative), server: alternative.serverSends };
    const leg = (side: 'client' | 'server', pair: PortPair, part: 'rtp' | 'rtcp'): LegSpec => ({
      local: { ip: pair.address, port: pair[part].port },
      declared: declared[side][part],
      alternate: side === 'server' ? { ip: this.#upstream.service.ip, port: 0 } : undefined,
      latching,
      expectsMedia: part === 'rtp' && expects[side],
      opaque: !alternative.isRtp,
      maxRate: this.#proxy.config.limits.streamRate,
    });
    return [
      leg('client', client, 'rtp'),
      leg('client', client, 'rtcp'),
      leg('server', server, 'rtp'),
      leg('server', server, 'rtcp'),
    ];
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

const LATCHING = { off: 'off', 'same-ip': 'sameIp', any: 'any' } as const;

function mediaOf(section: MediaSection | undefined): Media {
  if (!section) return { media: 'unknown', clockRate: 0 };
  const media = section.media === 'video' || section.media === 'audio' ? section.media : 'other';
  return { media, clockRate: section.clockRate ?? 0 };
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

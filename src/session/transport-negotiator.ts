import type { Endpoint } from '../engine/endpoint.js';
import { formatIp, parseIp } from '../engine/ip-bytes.js';
import { PenstockError } from '../errors.js';
import {
  cloneSpec,
  formatTransport,
  hasParam,
  isInterleaved,
  isMulticast,
  isRtp,
  isUdp,
  mayUseOnePort,
  param,
  parseTransport,
  portPair,
  removeParam,
  setParam,
  setPortPair,
  type TransportSpec,
} from '../rtsp/headers/transport.js';
import type { PortNumbers } from './port-allocator.js';

// One SETUP passes here in four steps, with the port allocation between them:
//   planRequest  what the client asks for, and which alternatives the server will see
//   toServer     the Transport field for the server, naming the server-side listening services
//   matchReply   which alternative the server chose, and where it sends from
//   toClient     the Transport field for the client, naming the client-side listening service

/**
 * `udp`: datagrams that we relay. `interleaved`: frames inside the RTSP connection. `opaque`: names neither ports
 * nor channels; its parameters pass, its media is not ours.
 */
export type TransportKind = 'udp' | 'interleaved' | 'opaque';

/** Channels of one stream in a connection: media and its RTCP. */
export interface ChannelPair {
  rtp: number;
  rtcp: number;
}

/** One alternative of the client's Transport that goes to the server. */
export interface Alternative {
  kind: TransportKind;
  /** As the client wrote it. */
  spec: TransportSpec;
  /** Other protocols (`MP2T/H2221/UDP`, `RAW/RAW/UDP`) are relayed without a look at their packets. */
  isRtp: boolean;
  /** UDP: the client's own numbers, none where it gave none or zero. Also what `preserve` asks for. */
  clientPorts?: PortNumbers;
  /** Interleaved: the channels that the client asked for. */
  channels?: ChannelPair;
  /** Whether RTP is expected from this side: the server of a PLAY, the client of a RECORD. */
  clientSends: boolean;
  serverSends: boolean;
}

/** The alternatives that go to the server, in the client's order. */
export type TransportPlan = readonly Alternative[];

/** Server-side listening services of a plan, by the alternative's place; `undefined` for what is not UDP. */
export type ServerSidePorts = readonly (PortNumbers | undefined)[];

/** The server's choice. */
export interface TransportMatch {
  kind: TransportKind;
  /** Place in the plan: the pairs of all other places can be released. */
  chosen: number;
  alternative: Alternative;
  /** As the server wrote it. */
  reply: TransportSpec;
  /** UDP: the server's own numbers, none where it gave none or zero. Also what `preserve` asks for. */
  serverPorts?: PortNumbers;
  /** UDP: the server's `source=`, where it can be one. */
  source?: string;
  /** Interleaved: the server's channels. None where neither side named any. */
  channels?: ChannelPair;
}

/** What we announce to the client. */
export interface ClientFace {
  /** Our address as the client should see it. */
  source: string;
  /** UDP: the client-side listening service. */
  serverPorts?: PortNumbers;
  /** Interleaved: the channels towards the client, where they differ from the server's. */
  channels?: ChannelPair;
}

/** Declared sources of one side: what RTSP said. Port 0 = any. */
export interface Declared {
  rtp: Endpoint;
  rtcp: Endpoint;
}

/** Each UDP alternative takes two descriptors until the server has chosen. Players send one to four. */
export const MAX_UDP_ALTERNATIVES = 4;

/** Where media is to go, and comes from; the second words are those of RFC 7826 §18.54, which servers of 1.0 may know. */
const DESTINATIONS = ['destination', 'dest_addr'];
const SOURCES = ['source', 'src_addr'];

const HIGHEST_PORT = 65535;
/**
 * `destination=192.0.2.66;RTP/AVP`, `x=";destination=192.0.2.66"`: a server that knows no quotes, or no order, reads
 * a parameter there that we did not check.
 */
const HIDING_PROTOCOL = /["=]/;
const HIDDEN_PARAMS = /"[^"]*[;,][^"]*(?:destination|source|port|interleaved)/i;
const HIGHEST_CHANNEL = 255;

/**
 * Reads the Transport field of a SETUP request. Throws PENSTOCK_ERR_BAD_TRANSPORT where it names no
 * alternative, PENSTOCK_ERR_TRANSPORT where nothing is left that we can serve. Left out are multicast and UDP
 * alternatives beyond the limit.
 */
export function planRequest(value: string): TransportPlan {
  const specs = parseTransport(value).filter(({ protocol }) => !HIDING_PROTOCOL.test(protocol));
  if (specs.length === 0) throw new PenstockError('PENSTOCK_ERR_BAD_TRANSPORT', 'no protocol in the Transport field');
  const unicast = specs.filter((spec) => !isMulticast(spec)).map(readAlternative);
  if (unicast.length === 0) throw new PenstockError('PENSTOCK_ERR_TRANSPORT', `multicast is not relayed: ${value}`);
  let udp = 0;
  return unicast.filter(({ kind }) => kind !== 'udp' || ++udp <= MAX_UDP_ALTERNATIVES);
}

/**
 * The Transport field for the server: `client_port` is ours, and nothing in it can make the server send
 * elsewhere (`destination`, or what quotes hide) or shows what a former answer said (`source`, `server_port`). All
 * else stays. `destination`: our own address, for a server that would send media to the client's.
 */
export function toServer(plan: TransportPlan, ports: ServerSidePorts, destination?: string): string {
  return formatTransport(plan.map((alternative, place) => serverSpec(alternative, ports[place], destination)));
}

/**
 * Reads the Transport field of the answer; `ports` as given to `toServer`. Throws PENSTOCK_ERR_SERVICE_REPLY
 * where there is none, PENSTOCK_ERR_TRANSPORT for multicast and for what nobody asked for.
 */
export function matchReply(plan: TransportPlan, ports: ServerSidePorts, value: string | undefined): TransportMatch {
  const [reply] = parseTransport(value ?? '');
  if (reply === undefined) {
    throw new PenstockError('PENSTOCK_ERR_SERVICE_REPLY', 'the answer to SETUP has no Transport');
  }
  if (isMulticast(reply)) {
    throw new PenstockError('PENSTOCK_ERR_TRANSPORT', `multicast is not relayed, and the server chose it: ${value}`);
  }
  const chosen = choose(plan, ports, reply);
  const alternative = plan[chosen];
  if (alternative === undefined) {
    throw new PenstockError('PENSTOCK_ERR_TRANSPORT', `the server chose what was not offered: ${value}`);
  }
  const kind = answeredKind(alternative, reply);
  return { kind, chosen, alternative, reply, ...readReply(kind, alternative, reply) };
}

/**
 * The Transport field for the client: its own `client_port` and `destination` as it wrote them, our
 * `server_port` and `source`. Over UDP both are always there: without them, or with `source=0.0.0.0`,
 * players send their punches and RTCP nowhere. All else stays as the server wrote it.
 */
export function toClient(match: TransportMatch, face: ClientFace): string {
  const spec = cloneSpec(match.reply);
  if (match.kind === 'opaque') return formatTransport([spec]);
  for (const name of DESTINATIONS) restore(spec, match.alternative.spec, name);
  removeParam(spec, 'src_addr');
  if (match.kind === 'udp') {
    restore(spec, match.alternative.spec, 'client_port');
    writeFace(spec, match.alternative.spec, face);
  }
  if (match.kind !== 'udp' && hasParam(spec, 'source')) setParam(spec, 'source', face.source);
  if (match.kind === 'interleaved' && face.channels !== undefined) setPortPair(spec, 'interleaved', face.channels);
  return formatTransport([spec]);
}

/** What a client over UDP is told of us. `asked`: as it wrote it. */
export function writeFace(spec: TransportSpec, asked: TransportSpec, face: ClientFace): void {
  if (face.serverPorts !== undefined) writePorts(spec, 'server_port', face.serverPorts, asked);
  setParam(spec, 'source', face.source);
}

/** Its own ports and destination, where it wrote any, in an answer that has none. */
export function restoreClientPorts(spec: TransportSpec, asked: TransportSpec): void {
  for (const name of [...DESTINATIONS, 'client_port'])
    if (hasParam(asked, name)) setParam(spec, name, param(asked, name));
}

/**
 * Whose media it is: the client's, or that of the trusted proxy that forwards it, where that relays media too, as we are one
 * to our servers: it names itself as the destination.
 */
export function mediaPeer({ spec }: Alternative, clientIp: string, forwardedBy?: string): string {
  const destination = param(spec, 'destination');
  return forwardedBy !== undefined && destination !== undefined && hostAddress(destination) === forwardedBy
    ? forwardedBy
    : clientIp;
}

/** Where the client's packets may come from: the address of its media, and its ports or any. */
export function declaredClient({ clientPorts }: Alternative, ip: string): Declared {
  return declared(ip, clientPorts);
}

/** A service's own address, and those that its configuration adds for media; canonical text. */
export interface ServerAddresses {
  readonly ip: string;
  readonly mediaSources: readonly string[];
}

/**
 * Where the server's packets may come from, and ours go to: its own address, or the `source=` of its answer where
 * the configuration knows that address as one of its media. Any other is not believed: a server, or whoever has
 * taken one over, could point a publisher's stream at a third party.
 */
export function declaredServer(match: TransportMatch, service: ServerAddresses): Declared {
  return declared(isForeign(match, service) ? service.ip : (match.source ?? service.ip), match.serverPorts);
}

/** Whether the server named a source that is not believed. */
export function isForeign({ source }: TransportMatch, { ip, mediaSources }: ServerAddresses): boolean {
  return source !== undefined && source !== ip && !mediaSources.includes(source);
}

// ---- request

function readAlternative(spec: TransportSpec): Alternative {
  const kind = kindOf(spec);
  const alternative: Alternative = { kind, spec, isRtp: isRtp(spec), ...directions(param(spec, 'mode')) };
  const clientPorts = kind === 'udp' ? realPorts(portPair(spec, 'client_port')) : undefined;
  const channels = kind === 'interleaved' ? channelsOf(spec) : undefined;
  if (clientPorts !== undefined) alternative.clientPorts = clientPorts;
  if (channels !== undefined) alternative.channels = channels;
  return alternative;
}

function kindOf(spec: TransportSpec): TransportKind {
  if (isInterleaved(spec)) return isRtp(spec) || hasParam(spec, 'interleaved') ? 'interleaved' : 'opaque';
  return isUdp(spec) && (isRtp(spec) || hasParam(spec, 'client_port')) ? 'udp' : 'opaque';
}

/** mode="PLAY" is the default (RFC 2326 §12.39); `receive` is an old word for RECORD, which ffmpeg still answers with. */
function directions(mode: string | undefined): { clientSends: boolean; serverSends: boolean } {
  const modes = (mode ?? '').toUpperCase().split(/[\s,]+/);
  const clientSends = modes.includes('RECORD') || modes.includes('RECEIVE');
  return { clientSends, serverSends: !clientSends || modes.includes('PLAY') };
}

function serverSpec({ kind, spec }: Alternative, ports: PortNumbers | undefined, destination?: string): TransportSpec {
  const out = cloneSpec(spec);
  for (const name of [...DESTINATIONS, ...SOURCES]) removeParam(out, name);
  out.params = out.params.filter(({ raw }) => !HIDDEN_PARAMS.test(raw));
  removeParam(out, 'server_port');
  // To the server we are the client: a port that is not ours to give may be another session's.
  if (kind !== 'udp') return removeParam(out, 'client_port');
  if (ports !== undefined) writePorts(out, 'client_port', ports, out);
  return destination === undefined ? out : setParam(out, 'destination', destination);
}

/** Ours, in the form that the peer uses: one number where one port is meant. `otherwise`: whose form it is, if `spec` has none. */
function writePorts(
  spec: TransportSpec,
  name: 'client_port' | 'server_port',
  ours: PortNumbers,
  other: TransportSpec,
): void {
  const theirs = portPair(spec, name) ?? portPair(other, 'client_port');
  const single = mayUseOnePort(spec) && theirs !== undefined && theirs.rtcp === undefined;
  setPortPair(spec, name, single ? { rtp: ours.rtp } : wholePair(ours));
}

// ---- answer

function choose(plan: TransportPlan, ports: ServerSidePorts, reply: TransportSpec): number {
  return isRtp(reply) ? chooseRtp(plan, ports, reply) : chooseOther(plan, reply);
}

/** Servers echo wrong ports and respell the protocol (VLC: RTP/AVP/UDP for RTP/AVP), so both only break ties. */
function chooseRtp(plan: TransportPlan, ports: ServerSidePorts, reply: TransportSpec): number {
  const kind = kindOf(reply);
  const places = [...plan.keys()].filter((place) => plan[place]?.isRtp && plan[place]?.kind === kind);
  const sameProtocol = places.filter((place) => sameText(plan[place]?.spec.protocol, reply.protocol));
  if (kind === 'opaque') return sameProtocol[0] ?? -1;
  const echoed = portPair(reply, kind === 'udp' ? 'client_port' : 'interleaved')?.rtp;
  const asked = (place: number) => (kind === 'udp' ? ports[place]?.rtp : plan[place]?.channels?.rtp);
  const samePorts = echoed === undefined ? [] : places.filter((place) => asked(place) === echoed);
  return samePorts.find((place) => sameProtocol.includes(place)) ?? samePorts[0] ?? sameProtocol[0] ?? places[0] ?? -1;
}

/** What is not RTP keeps its name; some leave out that it is over UDP. */
function chooseOther(plan: TransportPlan, reply: TransportSpec): number {
  const named = (protocol: string) => plan.findIndex(({ spec }) => sameText(spec.protocol, protocol));
  const same = named(reply.protocol);
  return same >= 0 ? same : named(`${reply.protocol}/UDP`);
}

/** Channels may be named by the answer alone. */
function answeredKind({ kind }: Alternative, reply: TransportSpec): TransportKind {
  return kind === 'opaque' && kindOf(reply) === 'interleaved' ? 'interleaved' : kind;
}

type ReplyParts = Pick<TransportMatch, 'serverPorts' | 'source' | 'channels'>;

function readReply(kind: TransportKind, alternative: Alternative, reply: TransportSpec): ReplyParts {
  const parts: ReplyParts = {};
  if (kind === 'udp') {
    const serverPorts = realPorts(portPair(reply, 'server_port'));
    const source = hostAddress(param(reply, 'source'));
    if (serverPorts !== undefined) parts.serverPorts = serverPorts;
    if (source !== undefined) parts.source = source;
  }
  const channels = kind === 'interleaved' ? (channelsOf(reply) ?? alternative.channels) : undefined;
  if (channels !== undefined) parts.channels = channels;
  return parts;
}

/** A numeric address that a host can send from: ffmpeg answers `source=0.0.0.0`, others a name or a group. */
function hostAddress(text: string | undefined): string | undefined {
  const bare = text?.replace(/^\[(.*)\]$/, '$1') ?? '';
  const ip = parseIp(bare);
  if (ip === undefined || ip.bytes.every((byte) => byte === 0)) return undefined;
  const first = ip.bytes[0] ?? 0;
  const group = ip.family === 4 ? first >= 224 : first === 255;
  return group ? undefined : formatIp(ip);
}

/** Gives a parameter of the answer the value that the client wrote; one that the client did not write goes. */
function restore(spec: TransportSpec, asked: TransportSpec, name: string): void {
  if (!hasParam(spec, name)) return;
  if (!hasParam(asked, name)) removeParam(spec, name);
  else setParam(spec, name, param(asked, name));
}

// ---- numbers

function declared(ip: string, ports: PortNumbers | undefined): Declared {
  if (ports === undefined) return { rtp: { ip, port: 0 }, rtcp: { ip, port: 0 } };
  const { rtp, rtcp } = wholePair(ports);
  return { rtp: { ip, port: rtp }, rtcp: { ip, port: rtcp } };
}

/** Port 0 is no port; some cameras write `0-0` or `0-1` for "you will see". */
function realPorts(pair: PortNumbers | undefined): PortNumbers | undefined {
  if (pair === undefined || pair.rtp === 0) return undefined;
  return pair.rtcp === 0 ? { rtp: pair.rtp } : pair;
}

/** Where one number stands for both, RTCP is the next one; after the last one there is none (0 = any). */
function wholePair({ rtp, rtcp }: PortNumbers): { rtp: number; rtcp: number } {
  return { rtp, rtcp: rtcp ?? (rtp < HIGHEST_PORT ? rtp + 1 : 0) };
}

function channelsOf(spec: TransportSpec): ChannelPair | undefined {
  const pair = portPair(spec, 'interleaved');
  if (pair === undefined) return undefined;
  return { rtp: pair.rtp, rtcp: pair.rtcp ?? Math.min(pair.rtp + 1, HIGHEST_CHANNEL) };
}

function sameText(a: string | undefined, b: string): boolean {
  return a?.toUpperCase() === b.toUpperCase();
}

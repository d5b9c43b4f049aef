/** Reads whole tables into reports. Long for large tables, so it runs on a thread of the task pool. */
import type { Endpoint } from '../engine/endpoint.js';
import type { Layout } from '../engine/layout.js';
import type { SharedRegion } from '../engine/shared-region.js';
import { type LegView, SessionRows, type SessionView, type StreamView } from '../session/session-rows.js';
import { MEDIA_KINDS } from '../session/stream-row-writer.js';
import type { MediaListenerReport, SessionReport, TierCounts, TierName, TrafficReport } from './reports.js';

/** What the numbers in the region stand for. */
export interface Names {
  vservers: readonly string[];
  /** By row. */
  services: readonly string[];
}

/** All sessions; the entries that one session has with several workers become one row. Oldest first. */
export function snapshotSessions(region: SharedRegion, names: Names, nowMs: number): SessionReport[] {
  const rows = new SessionRows(region);
  const streams = groupBy(openStreams(region, rows), (stream) => stream.session);
  const entries = eachWorker(region, (worker) => [...rows.sessionsOf(worker)]).flatMap((slot) => rows.read(slot) ?? []);
  const sessions = groupBy(entries, (entry) => `${entry.service} ${entry.serverId}`);
  const reports = [...sessions.values()].map((parts) => {
    const legs = parts.flatMap((part) => streams.get(part.slot) ?? []);
    return sessionReport(region, names, parts, legs, nowMs);
  });
  return reports.sort((a, b) => b.ageSec - a.ageSec);
}

/** All UDP ports of open streams. */
export function snapshotListeners(region: SharedRegion): MediaListenerReport[] {
  const rows = new SessionRows(region);
  return openStreams(region, rows).flatMap((stream) =>
    stream.legs.flatMap((leg, index) => (leg.local === undefined ? [] : [listenerReport(region, stream, leg, index)])),
  );
}

/** Reasons that a leg which media is expected on cannot have. */
const NOT_OF_MEDIA = ['none', 'reports', 'noMedia'];

export function snapshotTiers(region: SharedRegion): TierCounts {
  const { tier, tierReason } = region.layout;
  const legs = mediaLegs(region, openStreams(region, new SessionRows(region)));
  const count = (field: 'tier' | 'tierReason', value: number) => legs.filter((leg) => leg[field] === value).length;
  const reasons = Object.entries(tierReason).filter(([name]) => !NOT_OF_MEDIA.includes(name));
  return {
    tiers: { mmsg: count('tier', tier.mmsg), gso: count('tier', tier.gso), offload: count('tier', tier.offload) },
    reasons: Object.fromEntries(reasons.map(([name, value]) => [name, count('tierReason', value)])),
  };
}

function openStreams(region: SharedRegion, rows: SessionRows): StreamView[] {
  const slots = eachWorker(region, (worker) => [...rows.streamSlotsOf(worker)]);
  return slots.flatMap((slot) => rows.readStream(slot) ?? []).filter((stream) => stream.state === 'open');
}

function groupBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}

function eachWorker<T>(region: SharedRegion, read: (worker: number) => T[]): T[] {
  return Array.from({ length: region.geometry.workers }, (_, worker) => worker).flatMap(read);
}

function sessionReport(
  region: SharedRegion,
  names: Names,
  parts: readonly SessionView[],
  streams: readonly StreamView[],
  nowMs: number,
): SessionReport {
  const oldest = parts.reduce((a, b) => (b.openedMs < a.openedMs ? b : a));
  const { clientRtp, clientRtcp, serverRtp, serverRtcp } = region.layout.legIndex;
  const toClient = legsOf(streams, clientRtp, clientRtcp);
  const toServer = legsOf(streams, serverRtp, serverRtcp);
  return {
    slot: oldest.slot,
    worker: oldest.worker,
    vserver: names.vservers[oldest.vserver] ?? String(oldest.vserver),
    service: names.services[oldest.service] ?? String(oldest.service),
    client: endpointText(oldest.client),
    serverId: oldest.serverId,
    controlUrl: oldest.controlUrl,
    state: stateOf(parts),
    transport: transportOf(region, streams),
    streams: streams.length,
    ...wireOf(streams),
    ...sessionTier(region, streams),
    ageSec: secondsSince(oldest.openedMs, nowMs) ?? 0,
    ...idle(
      'clientIdleSec',
      [...parts.map((part) => part.clientControlMs), ...toClient.map((leg) => leg.lastRxMs)],
      nowMs,
    ),
    ...idle(
      'serverIdleSec',
      [...parts.map((part) => part.serverControlMs), ...toServer.map((leg) => leg.lastRxMs)],
      nowMs,
    ),
    toClient: sent(toClient),
    toServer: sent(toServer),
    dropped: [...toClient, ...toServer].reduce((sum, leg) => sum + leg.refused + leg.overflowed, 0),
  };
}

function wireOf(streams: readonly StreamView[]): Pick<SessionReport, 'wire'> {
  const wire = streams.find(({ clientWire }) => clientWire !== undefined)?.clientWire;
  return wire === undefined ? {} : { wire };
}

function stateOf(parts: readonly SessionView[]): SessionReport['state'] {
  if (parts.some((part) => part.recording)) return 'recording';
  return parts.some((part) => part.playing) ? 'playing' : 'ready';
}

function transportOf(region: SharedRegion, [first]: readonly StreamView[]): SessionReport['transport'] {
  return first === undefined ? 'none' : (nameOf(region.layout.streamTransport, first.transport) ?? 'none');
}

function legsOf(streams: readonly StreamView[], ...indices: readonly number[]): LegView[] {
  return streams.flatMap((stream) => indices.flatMap((index) => stream.legs[index] ?? []));
}

function sent(legs: readonly LegView[]): TrafficReport {
  return {
    packets: legs.reduce((sum, leg) => sum + leg.txPackets, 0),
    bytes: legs.reduce((sum, leg) => sum + leg.txBytes, 0),
  };
}

function idle<K extends string>(key: K, times: readonly number[], nowMs: number): Partial<Record<K, number>> {
  const seconds = secondsSince(Math.max(...times), nowMs);
  return seconds === undefined ? {} : ({ [key]: seconds } as Record<K, number>);
}

/** A time of 0 is one that never was. */
function secondsSince(thenMs: number, nowMs: number): number | undefined {
  return thenMs === 0 ? undefined : Math.max(0, nowMs - thenMs) / 1000;
}

function listenerReport(region: SharedRegion, stream: StreamView, leg: LegView, index: number): MediaListenerReport {
  const { clientRtp, clientRtcp, serverRtp } = region.layout.legIndex;
  return {
    kind: 'media',
    stream: stream.slot,
    session: stream.session,
    media: MEDIA_KINDS[stream.media] ?? 'unknown',
    side: index === clientRtp || index === clientRtcp ? 'client' : 'server',
    part: index === clientRtp || index === serverRtp ? 'rtp' : 'rtcp',
    address: leg.local === undefined ? '' : endpointText(leg.local),
    state: nameOf(region.layout.legState, leg.state) ?? 'unused',
    ...(leg.remote === undefined ? {} : { remote: endpointText(leg.remote) }),
    latches: leg.latches,
    rx: { packets: leg.rxPackets, bytes: leg.rxBytes },
    tx: { packets: leg.txPackets, bytes: leg.txBytes },
    refused: leg.refused,
    punches: leg.punches,
    overflowed: leg.overflowed,
    ...tierOf(region, leg),
    ...quality(region, stream, leg),
    ...(leg.roundTripUs === 0 ? {} : { roundTripMs: leg.roundTripUs / 1000 }),
  };
}

/** The kernel counts packets, not their sequence numbers. */
function quality(
  region: SharedRegion,
  { clockRate }: StreamView,
  leg: LegView,
): Pick<MediaListenerReport, 'lost' | 'jitterMs'> {
  if (leg.tier === region.layout.tier.offload) return {};
  const lost = Math.max(0, leg.expected - leg.received);
  return clockRate === 0 ? { lost } : { lost, jitterMs: (leg.jitterX16 / 16 / clockRate) * 1000 };
}

function tierOf(region: SharedRegion, leg: LegView): { tier?: TierName; tierReason?: string } {
  const { tier, tierReason } = region.layout;
  const name = nameOf(tier, leg.tier);
  if (name === undefined || name === 'none') return {};
  const reason = nameOf(tierReason, leg.tierReason);
  return reason === undefined || reason === 'none' ? { tier: name } : { tier: name, tierReason: TIER_REASONS[reason] };
}

/** The legs that media is expected on; the others never leave user space. */
function mediaLegs(region: SharedRegion, streams: readonly StreamView[]): LegView[] {
  const { clientRtp, serverRtp } = region.layout.legIndex;
  const { expectsMedia } = region.layout.legFlags;
  return legsOf(streams, clientRtp, serverRtp).filter((leg) => (leg.flags & expectsMedia) !== 0);
}

function sessionTier(region: SharedRegion, streams: readonly StreamView[]): Pick<SessionReport, 'tier' | 'tierReason'> {
  const legs = mediaLegs(region, streams);
  const tiers = legs.map((leg) => tierOf(region, leg)).filter(({ tier }) => tier !== undefined);
  const [first] = tiers;
  if (first?.tier === undefined) return {};
  const tier = tiers.every((other) => other.tier === first.tier) ? first.tier : 'mixed';
  const tierReason = tiers.find((other) => other.tierReason !== undefined)?.tierReason;
  return tierReason === undefined ? { tier } : { tier, tierReason };
}

/** Why media is in no better tier, in words. */
export const TIER_REASONS: Record<Exclude<keyof Layout['tierReason'], 'none'>, string> = {
  switchedOff: 'switched off',
  unavailable: 'not available here',
  reports: 'reports are read',
  noMedia: 'no media expected',
  waiting: 'source not known yet',
  noRemote: 'no remote yet',
  rewriting: 'headers are rewritten',
  families: 'IPv4 to IPv6',
  loopback: 'peer on this machine',
  route: 'no route to a host',
  interface: 'interface not usable',
  attaching: 'attaching to the interface',
  unfit: 'too many packets are for sockets',
  refused: 'refused by the kernel',
  settling: 'waits for a pause',
  notRtp: 'not RTP',
  limited: 'its rate is limited',
  bridged: 'goes on in a connection',
  ipsec: 'IPsec policies',
};

function nameOf<K extends string>(values: Readonly<Record<K, number>>, value: number): K | undefined {
  return (Object.keys(values) as K[]).find((name) => values[name] === value);
}

export function endpointText({ ip, port }: Endpoint): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

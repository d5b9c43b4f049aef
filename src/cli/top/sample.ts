/** What `top` asks a running appliance, and what became of it from one time to the next. */
import type { ProcessReport, ServiceReport, SessionReport, StatReport } from '../../admin/source.js';

/** Answers of the admin API, taken at one time. */
export interface Sample {
  /** Any steady clock. */
  atMs: number;
  services: readonly ServiceReport[];
  sessions: readonly SessionReport[];
  processes: readonly ProcessReport[];
  stats: readonly StatReport[];
}

/** Of one service, of a vserver, or of all. Rates are per second, and undefined with a first sample. */
export interface Load {
  sessions: number;
  newSessions: number | undefined;
  packets: number | undefined;
  bits: number | undefined;
  drops: number | undefined;
  /** Sessions by what moves their media: `offload`, `gso`, `mmsg`, `mixed`, `tcp`, `bridged`. */
  movers: ReadonlyMap<string, number>;
}

export interface ServiceLoad extends Load {
  service: ServiceReport;
}

export interface VserverLoad extends Load {
  name: string;
  services: readonly ServiceLoad[];
}

export interface ProcessLoad {
  process: ProcessReport;
  /** Share of one core, 0…; undefined with a first sample, or after a restart. */
  cpu: number | undefined;
}

export interface Picture {
  total: Load;
  vservers: readonly VserverLoad[];
  processes: readonly ProcessLoad[];
  /** Microseconds of the engine for each packet or frame that it moved itself; undefined where it moved none. */
  engineUsPerPacket: number | undefined;
  /** Packets that were dropped, a second, by the counter's name; only those that are. */
  drops: ReadonlyMap<string, number>;
}

/** Counters of packets that ended here. `show stat` has their meanings. */
const DROPS = [
  'not_latched_source',
  'other_address',
  'other_port',
  'relearning',
  'bad_header',
  'no_remote',
  'no_opposite',
  'over_rate',
  'late',
  'truncated',
  'rx_overflow',
  'tx_blocked',
  'tx_errors',
  'wire_frames_dropped',
  'wire_frames_unrouted',
  'worker_frames_dropped',
];
/** Where no tier does. */
const MOVERS: Partial<Record<SessionReport['transport'], string>> = { interleaved: 'tcp', bridged: 'bridged' };
/** Counters of what the engine itself moved. */
const MOVED = ['forwarded', 'wire_frames'];

export function compare(now: Sample, before: Sample | undefined): Picture {
  const seconds = before && (now.atMs - before.atMs) / 1000;
  const services = loadsOf(now, before, seconds);
  const names = [...new Set(services.map(({ service }) => service.vserver))];
  const vservers = names.map((name) => {
    const own = services.filter(({ service }) => service.vserver === name);
    return { name, services: own, ...sum(own) };
  });
  return {
    total: sum(services),
    vservers,
    processes: now.processes.map((process) => ({ process, cpu: cpuOf(process, before, seconds) })),
    engineUsPerPacket: engineCost(now, before),
    drops: dropRates(now, before, seconds),
  };
}

/** Counts that begin anew (after a restart, or in a stream that was set up again) tell nothing. */
function grown(now: number, before: number | undefined): number {
  return Math.max(0, now - (before ?? 0));
}

function loadsOf(now: Sample, before: Sample | undefined, seconds: number | undefined): ServiceLoad[] {
  const former = new Map(before?.sessions.map((session) => [keyOf(session), session]));
  const formerServices = new Map(before?.services.map((service) => [serviceKey(service), service]));
  const sessions = groupBySession(now.sessions);
  const rate = (count: number) => (seconds === undefined ? undefined : count / seconds);
  return now.services.map((service) => {
    const own = sessions.get(serviceKey(service)) ?? [];
    const growth = (value: (session: SessionReport) => number) =>
      own.reduce((sum, session) => {
        const then = former.get(keyOf(session));
        return sum + grown(value(session), then && value(then));
      }, 0);
    return {
      service,
      sessions: service.sessions,
      newSessions: rate(grown(service.sessionsTotal, formerServices.get(serviceKey(service))?.sessionsTotal)),
      packets: rate(growth(({ toClient, toServer }) => toClient.packets + toServer.packets)),
      bits: rate(8 * growth(({ toClient, toServer }) => toClient.bytes + toServer.bytes)),
      drops: rate(growth(({ dropped }) => dropped)),
      movers: countMovers(own),
    };
  });
}

function serviceKey({ vserver, name }: ServiceReport): string {
  return `${vserver}\n${name}`;
}

function keyOf({ vserver, service, serverId }: SessionReport): string {
  return `${vserver}\n${service}\n${serverId}`;
}

function groupBySession(sessions: readonly SessionReport[]): Map<string, SessionReport[]> {
  const groups = new Map<string, SessionReport[]>();
  for (const session of sessions) {
    const key = `${session.vserver}\n${session.service}`;
    const group = groups.get(key);
    if (group) group.push(session);
    else groups.set(key, [session]);
  }
  return groups;
}

function countMovers(sessions: readonly SessionReport[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { tier, transport } of sessions) {
    const mover = MOVERS[transport] ?? tier;
    if (mover !== undefined) counts.set(mover, (counts.get(mover) ?? 0) + 1);
  }
  return counts;
}

function sum(loads: readonly Load[]): Load {
  const movers = new Map<string, number>();
  for (const load of loads) {
    for (const [mover, count] of load.movers) movers.set(mover, (movers.get(mover) ?? 0) + count);
  }
  return {
    sessions: loads.reduce((all, { sessions }) => all + sessions, 0),
    newSessions: sumOf(loads, 'newSessions'),
    packets: sumOf(loads, 'packets'),
    bits: sumOf(loads, 'bits'),
    drops: sumOf(loads, 'drops'),
    movers,
  };
}

function sumOf(loads: readonly Load[], key: 'newSessions' | 'packets' | 'bits' | 'drops'): number | undefined {
  if (loads.some((load) => load[key] === undefined)) return undefined;
  return loads.reduce((all, load) => all + (load[key] ?? 0), 0);
}

function cpuOf(now: ProcessReport, before: Sample | undefined, seconds: number | undefined): number | undefined {
  const then = before?.processes.find(({ pid }) => pid === now.pid);
  return then && seconds ? grown(now.cpuSec, then.cpuSec) / seconds : undefined;
}

function statOf(sample: Sample, name: string): number {
  return sample.stats.find((stat) => stat.name === name)?.value ?? 0;
}

function engineCost(now: Sample, before: Sample | undefined): number | undefined {
  const engine = now.processes.find(({ name }) => name === 'engine');
  const then = before?.processes.find(({ name, pid }) => name === 'engine' && pid === engine?.pid);
  if (!before || !engine || !then) return undefined;
  const moved = MOVED.reduce((all, name) => all + grown(statOf(now, name), statOf(before, name)), 0);
  return moved === 0 ? undefined : (grown(engine.cpuSec, then.cpuSec) * 1e6) / moved;
}

function dropRates(now: Sample, before: Sample | undefined, seconds: number | undefined): Map<string, number> {
  if (!before || !seconds) return new Map();
  const rates = DROPS.map((name) => [name, grown(statOf(now, name), statOf(before, name)) / seconds] as const);
  return new Map(rates.filter(([, rate]) => rate > 0));
}

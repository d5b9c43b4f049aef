import { setTimeout as sleep } from 'node:timers/promises';
import { CpuMeter, softirqThreads } from '../lib/cpu.js';
import { drained } from '../lib/drain.js';
import { type Distribution, Farm, type Media, type Sent, type SyntheticMedia } from '../lib/load.js';
import type { Entrance } from '../lib/place.js';
import { direct, mostStreams, penstock, type Relay, type RunningRelay } from '../lib/relay.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { Sink } from '../lib/sink.js';
import { rotate } from '../lib/statistics.js';
import { dgram } from '../rivals/dgram.js';
import { nft } from '../rivals/nft.js';
import { nginxUdp } from '../rivals/nginx.js';
import { rtpengine } from '../rivals/rtpengine.js';
import { isPaced, MANY, type RelayCase, type RelayCases, relayCases } from './relay-cases.js';

const OFFLOAD = penstock('offload', 'offload');
const GSO = penstock('gso', 'gso');
const EAGER = penstock('gso, delay 0', 'gso', ['--batch-delay', '0']);
const PRODUCTS = [OFFLOAD, GSO, EAGER, penstock('mmsg', 'mmsg')];
const RIVALS = [rtpengine, nginxUdp, dgram, nft];
/** Named so that nobody looks for it in vain. */
const NOT_PACKAGED = { name: 'rtpproxy', why: 'not installed: Debian 12 has no package of it' };
const RELAYS = [direct, ...PRODUCTS, ...RIVALS];
const MOST_LOSS_PERCENT = 50;
/** With more of them, packets that wait for each other are the point. */
const MOST_EAGER_STREAMS = 100;

/** Before the first measurement: sources are latched, neighbours known, streams on their fastest path. */
const WARM_UP: SyntheticMedia = { pattern: 'singly', size: 200, rate: 10_000 };
const WARM_UP_SECONDS = 0.6;
/** Until the product has moved its streams to their path. */
const SETTLE_MS = 1000;

export const relay: Scenario = {
  name: 'relay',
  about:
    'Sessions set up through RTSP (rivals: by their own means), of 8 streams each where there are more than 100, then RTP from the servers to the clients: "frames" are ' +
    '42 packets of a stream back to back, "singly" is one packet of each stream in turn, "merged" frames arrive as ' +
    'one buffer, as after GRO. All relays have one core, the generator has the other. A: CPU of all processes of the ' +
    'relay per packet that came out. B: what the relay adds to the whole machine (all processes and softirq, less the ' +
    'same traffic dropped when it reaches the appliance). Delays are one way, from the send call to the arrival at the ' +
    "client's interface, where a BPF program counts and drops; added: less what it takes without a relay (routed by the " +
    'kernel). Jitter: mean change of the delay from packet to packet of a stream. Ratios below 1: the product takes less. rtpengine has ' +
    "the kernel's standard receive buffers, and drops what waits behind 50 packets of a port; all others have 4 MB.",
  columns: [
    { key: 'gsoRatio', title: 'penstock gso / this, A', digits: 2, better: 'lower' },
    { key: 'offloadRatio', title: 'penstock offload / this, B', digits: 2, better: 'lower' },
    { key: 'aUs', title: 'A µs/packet', digits: 2, better: 'lower' },
    { key: 'bUs', title: 'B µs/packet', digits: 2, better: 'lower' },
    { key: 'lossPercent', title: 'loss %', digits: 3, better: 'lower' },
    { key: 'kpps', title: 'kpps out', digits: 1, better: 'higher' },
    { key: 'p50Us', title: 'delay p50 µs', digits: 1, better: 'lower' },
    { key: 'addedP50Us', title: 'added p50 µs', digits: 1, better: 'lower' },
    { key: 'addedP99Us', title: 'added p99 µs', digits: 0, better: 'lower' },
    { key: 'maxUs', title: 'max µs', digits: 0, better: 'lower' },
    { key: 'addedJitterUs', title: 'added jitter µs', digits: 1, better: 'lower' },
    { key: 'perWake', title: 'packets/wake', digits: 1, better: 'none' },
    { key: 'perCall', title: 'packets/send call', digits: 1, better: 'none' },
    { key: 'clientLost', title: 'lost in client', digits: 0, better: 'none' },
  ],
  async run(context) {
    const most = mostStreams();
    if (most < MANY) context.note(`the limit of descriptors allows ${most} streams instead of ${MANY}`);
    for (const { streams, cases } of relayCases(context.quick, most)) {
      const wanted = cases.filter(
        ({ name, once }) => context.wants(name) && (!once || context.round === 0 || context.partial),
      );
      if (wanted.length > 0 && streams <= most) await compare(context, { streams, cases: wanted });
    }
  },
};

/** What one relay did with one kind of media, before it is set against the others. */
interface Measured {
  sent: Sent;
  received: number;
  /** CPU seconds. */
  relaySeconds: number;
  machineSeconds: number;
  hasProcesses: boolean;
  /** Whether delays say something: as fast as possible, they only say how large the buffers are. */
  isPaced: boolean;
  /** From the first packet sent to the last one that came. */
  seconds: number;
  delayUs: Distribution;
  jitterUs: number;
  beside: Values;
}

type Arrived = Pick<Measured, 'received' | 'seconds' | 'delayUs' | 'jitterUs'> & { overflow?: number };

async function compare(context: Context, { streams, cases }: RelayCases): Promise<void> {
  const fits = (one: Relay): boolean => one !== EAGER || (streams <= MOST_EAGER_STREAMS && !context.quick);
  const relays = RELAYS.filter((one) => one === direct || (context.compares(one.name) && fits(one)));
  const measured = new Map<Relay, Measured[]>();
  const dropped = new Map<Relay, Measured[]>();
  const faults = new Map<Relay, string>();
  for (const one of rotate(relays, context.round)) {
    if (absence(context, one) !== undefined) continue;
    const [all, baseline]: [Measured[], Measured[]] = [[], []];
    const use = async (farm: Farm, running: RunningRelay, { media }: RelayCase): Promise<void> => {
      all.push(await measure(context, farm, running, media));
      if (one === direct || one.inKernel) baseline.push(...(await measureDropped(context, farm, running, media)));
    };
    try {
      for (const part of one.restartAfterOverload ? untilOverload(cases) : [cases]) {
        await withRelay(context, one, streams, async (farm, running) => {
          for (const each of part) await use(farm, running, each);
        });
      }
      measured.set(one, all);
      dropped.set(one, baseline);
    } catch (error) {
      if (!RIVALS.includes(one)) throw error;
      faults.set(one, `failed: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  for (const [index, { name }] of cases.entries()) {
    recordCase(context, name, {
      relays,
      measured: (one) => measured.get(one)?.[index],
      absence: (one) => absence(context, one) ?? faults.get(one) ?? 'not measured',
      direct: measured.get(direct)?.[index],
      dropped: (one) => dropped.get(one)?.[index] ?? dropped.get(direct)?.[index],
    });
  }
}

/** Parts that each end with the first kind of media that is too much. */
function untilOverload(cases: readonly RelayCase[]): RelayCase[][] {
  const parts: RelayCase[][] = [[]];
  for (const one of cases) {
    parts.at(-1)?.push(one);
    if (!isPaced(one.media)) parts.push([]);
  }
  return parts.filter((part) => part.length > 0);
}

function absence({ bed }: Context, one: Relay): string | undefined {
  if (one.needsNamespaces && bed.kind !== 'namespaces') return 'not measured: needs network namespaces (root)';
  return one.missing();
}

async function withRelay(
  { bed }: Context,
  one: Relay,
  streams: number,
  use: (farm: Farm, running: RunningRelay) => Promise<void>,
): Promise<void> {
  const farm = await Farm.start(bed, 'shared');
  let running: RunningRelay | undefined;
  try {
    running = await one.start(bed, farm, streams);
    await farm.send(WARM_UP, WARM_UP_SECONDS);
    if (PRODUCTS.includes(one)) await sleep(SETTLE_MS);
    await use(farm, running);
  } finally {
    await running?.stop();
    await farm.stop();
  }
}

async function measure(context: Context, farm: Farm, running: RunningRelay, media: Media): Promise<Measured> {
  const { entrances } = context.bed;
  if (context.quick || !entrances) return await measureAt(context, farm, running, media, throughSockets(running));
  return await atSink(entrances.client, (end) => measureAt(context, farm, running, media, end));
}

/** What generator and receive path cost by themselves; nothing where that cannot be told. */
async function measureDropped(context: Context, farm: Farm, running: RunningRelay, media: Media): Promise<Measured[]> {
  const { entrances } = context.bed;
  if (context.quick || !entrances) return [];
  return [await atSink(entrances.appliance, (end) => measureAt(context, farm, running, media, end))];
}

/** Where media ends and is counted. */
interface End {
  reset(): Promise<void>;
  report(): Promise<Arrived>;
}

async function atSink(entrance: Entrance, use: (end: End) => Promise<Measured>): Promise<Measured> {
  const sink = await Sink.open(entrance);
  try {
    return await use(sink);
  } finally {
    await sink.stop();
  }
}

const throughSockets = ({ crowd }: RunningRelay): End => crowd;

async function measureAt(
  { seconds }: Context,
  farm: Farm,
  running: RunningRelay,
  media: Media,
  end: End,
): Promise<Measured> {
  const pids = await running.pids();
  const before = await running.counters();
  await end.reset();
  const relayCpu = new CpuMeter(pids);
  const machineCpu = new CpuMeter(machinePids(farm, running, pids));
  const sent = await farm.send(media, seconds);
  const { overflow, ...arrived } = await drained(() => end.report(), sent.sent);
  const [relaySeconds, machineSeconds] = [relayCpu.seconds(), machineCpu.seconds()];
  const beside = {
    ...batching(before, await running.counters(), arrived.received),
    ...(overflow === undefined ? {} : { clientLost: overflow }),
  };
  return {
    ...arrived,
    sent,
    relaySeconds,
    machineSeconds,
    hasProcesses: pids.size > 0,
    isPaced: isPaced(media),
    beside,
  };
}

/** How many packets the engine took and gave at a time, where it was the engine that moved them. */
function batching(before: Map<string, number>, after: Map<string, number>, packets: number): Values {
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  if (packets === 0 || grown('tx_packets') < packets / 2) return {};
  return { perWake: grown('rx_packets') / grown('wakes'), perCall: grown('tx_packets') / grown('tx_calls') };
}

function machinePids(farm: Farm, { crowd }: RunningRelay, pids: Map<string, number>): Map<string, number> {
  const all = new Map(pids).set('farm', farm.pid).set('crowd', crowd.pid);
  for (const pid of softirqThreads()) all.set(`ksoftirqd ${pid}`, pid);
  return all;
}

/** One kind of media through all relays. */
interface Comparison {
  relays: readonly Relay[];
  measured(one: Relay): Measured | undefined;
  /** Why it was not. */
  absence(one: Relay): string;
  /** Media goes straight to the client. */
  direct: Measured | undefined;
  /** It is dropped before a relay has it. */
  dropped(one: Relay): Measured | undefined;
}

function recordCase(context: Context, group: string, comparison: Comparison): void {
  const { relays, measured, absence } = comparison;
  const valuesOf = (one: Relay): Values | undefined => {
    const found = measured(one);
    return found && (one === direct ? delivery(found) : relayed(found, comparison.direct, comparison.dropped(one)));
  };
  const best = { gso: valuesOf(GSO), offload: valuesOf(OFFLOAD) };
  for (const one of relays) {
    const which = { group, name: one.name };
    const values = valuesOf(one);
    if (one === OFFLOAD && values?.perCall !== undefined)
      context.note('tier offload is not possible here: its rows show the engine');
    if (values) context.record(which, { ...values, ...(RIVALS.includes(one) ? ratios(values, best) : {}) });
    else context.absent(which, absence(one));
    if (context.quick && !RIVALS.includes(one) && (values?.lossPercent ?? 0) > 0) {
      context.fail(`relay: ${group}, ${one.name} lost ${values?.lossPercent} %`);
    }
  }
  if (context.compares(NOT_PACKAGED.name)) context.absent({ group, name: NOT_PACKAGED.name }, NOT_PACKAGED.why);
}

function delivery({ sent, received, seconds, delayUs, beside, isPaced }: Measured): Values {
  return {
    lossPercent: (1 - (received + (beside.clientLost ?? 0)) / sent.sent) * 100,
    kpps: received / Math.max(seconds, sent.seconds) / 1000,
    ...(isPaced ? { p50Us: delayUs.p50, maxUs: delayUs.max } : {}),
    ...beside,
  };
}

function relayed(one: Measured, direct: Measured | undefined, dropped: Measured | undefined): Values {
  const values = delivery(one);
  if (one.received === 0) return values;
  const each = (cpuSeconds: number): number => (cpuSeconds / one.received) * 1e6;
  if (one.hasProcesses) values.aUs = each(one.relaySeconds);
  if (direct && one.isPaced) {
    values.addedP50Us = one.delayUs.p50 - direct.delayUs.p50;
    values.addedP99Us = one.delayUs.p99 - direct.delayUs.p99;
    values.addedJitterUs = one.jitterUs - direct.jitterUs;
  }
  if (dropped) {
    const idle = (dropped.machineSeconds / dropped.sent.sent) * one.sent.sent;
    values.bUs = each(one.machineSeconds - idle);
  }
  return values;
}

/** The product's CPU in those of a rival, unless that was mostly busy with losing packets. */
function ratios(rival: Values, { gso, offload }: { gso: Values | undefined; offload: Values | undefined }): Values {
  if ((rival.lossPercent ?? 0) > MOST_LOSS_PERCENT) return {};
  return {
    ...(gso?.aUs && rival.aUs ? { gsoRatio: gso.aUs / rival.aUs } : {}),
    ...(offload?.bUs && rival.bUs && Math.min(offload.bUs, rival.bUs) > 0
      ? { offloadRatio: offload.bUs / rival.bUs }
      : {}),
  };
}

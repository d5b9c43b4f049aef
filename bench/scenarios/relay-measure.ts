import { setTimeout as sleep } from 'node:timers/promises';
import { CpuMeter, machineMeter } from '../lib/cpu.js';
import { drained } from '../lib/drain.js';
import { type Distribution, Farm, type Media, type Sent, type SyntheticMedia } from '../lib/load.js';
import type { Entrance } from '../lib/place.js';
import type { Relay, RunningRelay } from '../lib/relay.js';
import type { Context, Values } from '../lib/scenario.js';
import { Sink } from '../lib/sink.js';
import { isPaced } from './relay-cases.js';

/** Before the first measurement: sources are latched, neighbours known, streams on their fastest path. */
const WARM_UP: SyntheticMedia = { pattern: 'singly', size: 200, rate: 10_000 };
const WARM_UP_SECONDS = 0.6;

/** What one relay did with one kind of media, before it is set against the others. */
export interface Measured {
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

/** Sets up so many streams through it, and hands them to `use` once all is as it will stay. */
export async function withRelay(
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
    if (one.settleMs) await sleep(one.settleMs);
    await use(farm, running);
  } finally {
    await running?.stop();
    await farm.stop();
  }
}

/** As the clients have it. */
export async function measure(context: Context, farm: Farm, running: RunningRelay, media: Media): Promise<Measured> {
  const { entrances } = context.bed;
  if (context.quick || !entrances) return await measureAt(context, farm, running, media, throughSockets(running));
  return await atSink(entrances.client, (end) => measureAt(context, farm, running, media, end));
}

/** What generator and receive path cost by themselves; nothing where that cannot be told. */
export async function measureDropped(
  context: Context,
  farm: Farm,
  running: RunningRelay,
  media: Media,
): Promise<Measured[]> {
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
  const machineCpu = machineMeter(pids, farm, running.crowd);
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

import { setTimeout as sleep } from 'node:timers/promises';
import { CpuMeter, softirqThreads } from '../lib/cpu.js';
import { Farm, type Media, type Pattern, type Received, type Sent, whileDropping } from '../lib/load.js';
import { mostStreams } from '../lib/machine.js';
import { direct, penstock, type Relay, type RunningRelay } from '../lib/relay.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { rotate } from '../lib/statistics.js';

const RELAYS = [
  direct,
  penstock('auto', 'auto'),
  penstock('gso', 'gso'),
  penstock('gso, delay 0', 'gso', ['--batch-delay', '0']),
  penstock('mmsg', 'mmsg'),
];
const STREAMS = [1, 100, 2000, 4900];
const QUICK_STREAMS = [100];
const PATTERNS: Pattern[] = ['frames', 'interleaved', 'merged'];
const SIZES = [1200, 200];
const RATES = [10_000, 50_000];
const QUICK_RATES = [5000];
/** Between the last packet sent and the count of what came. */
const DRAIN_MS = 100;
/** Before the first measurement: sources are latched, neighbours known, streams on their fastest path. */
const WARM_UP = { pattern: 'interleaved', size: 200, rate: 5000, seconds: 1.5 } as const;

export const relay: Scenario = {
  name: 'relay',
  about:
    'Sessions set up through RTSP, then RTP from the servers to the clients: "frames" are 42 packets of a stream back to ' +
    'back, "interleaved" is one packet of each stream in turn, "merged" frames arrive as one buffer, as after GRO. ' +
    '"engine" and "product" are CPU per packet that reached a client, the kernel\'s delivery to the client\'s socket ' +
    'included. A and B: CPU of the engine, and what the relay adds to the whole machine (all processes and softirq, less ' +
    'the same traffic dropped when it reaches the appliance), with clients that drop media on arrival. Delays are one ' +
    'way, from the server\'s send call to the client\'s receive call; "added" is the difference to direct.',
  columns: [
    { key: 'lossPercent', title: 'loss %', digits: 3, better: 'lower' },
    { key: 'engineUs', title: 'engine µs/packet', digits: 2, better: 'lower' },
    { key: 'productUs', title: 'product µs/packet', digits: 2, better: 'lower' },
    { key: 'aUs', title: 'A µs/packet', digits: 2, better: 'lower' },
    { key: 'bUs', title: 'B µs/packet', digits: 2, better: 'lower' },
    { key: 'addedP50Us', title: 'added p50 µs', digits: 0, better: 'lower' },
    { key: 'p50Us', title: 'p50 µs', digits: 0, better: 'lower' },
    { key: 'p99Us', title: 'p99 µs', digits: 0, better: 'lower' },
    { key: 'maxUs', title: 'max µs', digits: 0, better: 'lower' },
    { key: 'perWake', title: 'packets/wake', digits: 1, better: 'none' },
    { key: 'perCall', title: 'packets/send call', digits: 1, better: 'none' },
    { key: 'kpps', title: 'kpps sent', digits: 1, better: 'none' },
    { key: 'clientLost', title: 'lost in client', digits: 0, better: 'none' },
  ],
  async run(context) {
    for (const streams of streamCounts(context)) {
      const medias = mediasFor(context, streams);
      if (medias.length === 0) continue;
      const results = new Map<string, Values[]>();
      for (const one of rotate(RELAYS, context.round)) {
        results.set(one.name, await measureRelay(context, one, streams, medias));
      }
      recordAll(context, streams, medias, results);
    }
  },
};

function streamCounts({ quick, note }: Context): number[] {
  const most = mostStreams();
  const wanted = quick ? QUICK_STREAMS : STREAMS;
  if (wanted.some((count) => count > most)) {
    note(`at most ${most} streams fit the limit of descriptors per process (four per UDP stream)`);
  }
  return wanted.filter((count) => count <= most);
}

function mediasFor(context: Context, streams: number): Media[] {
  const { quick, seconds } = context;
  const medias = PATTERNS.flatMap((pattern) =>
    (pattern === 'merged' ? SIZES.slice(0, 1) : SIZES).flatMap((size) =>
      (quick ? QUICK_RATES : RATES).map((rate) => ({ pattern, size, rate, seconds })),
    ),
  );
  return medias.filter((media) => context.wants(caseName(streams, media)));
}

function caseName(streams: number, { pattern, size, rate }: Media): string {
  return `${streams} streams, ${pattern}, ${size} B, ${rate / 1000} kpps`;
}

function recordAll(context: Context, streams: number, medias: readonly Media[], results: Map<string, Values[]>): void {
  for (const [index, media] of medias.entries()) {
    const base = results.get(direct.name)?.[index];
    for (const [name, all] of results) {
      const values = all[index] ?? {};
      const added = name === direct.name ? {} : { addedP50Us: (values.p50Us ?? 0) - (base?.p50Us ?? 0) };
      context.record(`${caseName(streams, media)}, ${name}`, { ...values, ...added });
      if (context.quick && (values.lossPercent ?? 0) > 0) {
        context.fail(`relay: ${caseName(streams, media)}, ${name} lost ${values.lossPercent} %`);
      }
    }
  }
}

async function measureRelay(
  context: Context,
  one: Relay,
  streams: number,
  medias: readonly Media[],
): Promise<Values[]> {
  const farm = await Farm.start(context.bed, 'shared');
  let running: RunningRelay | undefined;
  try {
    running = await one.start(context.bed, farm, streams);
    await farm.send(WARM_UP);
    await sleep(DRAIN_MS);
    const values: Values[] = [];
    for (const media of medias) values.push(await measureMedia(context, farm, running, media));
    return values;
  } finally {
    await running?.stop();
    await farm.stop();
  }
}

async function measureMedia(context: Context, farm: Farm, running: RunningRelay, media: Media): Promise<Values> {
  const pids = await running.pids();
  const values = await throughClient(farm, running, pids, media);
  const { entrances } = context.bed;
  if (context.quick || !entrances || pids.size === 0) return values;
  const everything = machinePids(farm, running, pids);
  const relayed = await whileDropping(entrances.client, () => costOf(farm, everything, media));
  const base = await whileDropping(entrances.appliance, () => costOf(farm, everything, media));
  return { ...values, aUs: relayed.engine, bUs: relayed.machine - base.machine };
}

async function throughClient(
  farm: Farm,
  { crowd, counters }: RunningRelay,
  pids: Map<string, number>,
  media: Media,
): Promise<Values> {
  await crowd.reset();
  const before = await counters();
  const cpu = new CpuMeter(pids);
  const sent = await farm.send(media);
  await sleep(DRAIN_MS);
  const used = { engine: cpu.seconds('engine'), product: cpu.seconds() };
  const report = await crowd.report();
  return {
    ...delivery(sent, report),
    ...(pids.size > 0 ? cost(used, report.received) : {}),
    ...batching(before, await counters(), report.received),
  };
}

function delivery(sent: Sent, { received, overflow, delayUs }: Received): Values {
  return {
    lossPercent: (1 - (received + overflow) / sent.sent) * 100,
    p50Us: delayUs.p50,
    p99Us: delayUs.p99,
    maxUs: delayUs.max,
    kpps: sent.rate / 1000,
    clientLost: overflow,
  };
}

function cost(used: { engine: number; product: number }, packets: number): Values {
  return { engineUs: (used.engine / packets) * 1e6, productUs: (used.product / packets) * 1e6 };
}

/** How many packets the engine took and gave at a time, where it was the engine that moved them. */
function batching(before: Map<string, number>, after: Map<string, number>, packets: number): Values {
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  if (grown('tx_packets') < packets / 2) return {};
  return { perWake: grown('rx_packets') / grown('wakes'), perCall: grown('tx_packets') / grown('tx_calls') };
}

/** CPU per packet sent, in microseconds. */
async function costOf(
  farm: Farm,
  pids: ReadonlyMap<string, number>,
  media: Media,
): Promise<{ engine: number; machine: number }> {
  const cpu = new CpuMeter(pids);
  const { sent } = await farm.send(media);
  await sleep(DRAIN_MS);
  return { engine: (cpu.seconds('engine') / sent) * 1e6, machine: (cpu.seconds() / sent) * 1e6 };
}

function machinePids(farm: Farm, { crowd }: RunningRelay, pids: Map<string, number>): Map<string, number> {
  const all = new Map(pids).set('farm', farm.pid).set('crowd', crowd.pid);
  for (const pid of softirqThreads()) all.set(`ksoftirqd ${pid}`, pid);
  return all;
}

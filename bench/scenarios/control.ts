import { Appliance } from '../lib/appliance.js';
import { CpuMeter } from '../lib/cpu.js';
import { type Churned, Crowd, Farm, REQUESTS, type Steps } from '../lib/load.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { rotate } from '../lib/statistics.js';

const CONCURRENCY = 32;
/** Until the hot functions are compiled. */
const WARM_UP_SECONDS = 2;
const QUICK_WARM_UP_SECONDS = 0.5;

interface Case {
  name: string;
  workers: number;
  streams: number;
  args: readonly string[];
}

const CASES: Case[] = [
  { name: '1 worker, 1 stream', workers: 1, streams: 1, args: [] },
  { name: '2 workers, 1 stream', workers: 2, streams: 1, args: [] },
  { name: '1 worker, 2 streams', workers: 1, streams: 2, args: [] },
  { name: '1 worker, 1 stream, log-level warn', workers: 1, streams: 1, args: ['--log-level', 'warn'] },
];

/** Whole sessions without media: connect, OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN. */
export const control: Scenario = {
  name: 'control',
  about:
    `Whole sessions over UDP without media (connect, OPTIONS, DESCRIBE, SETUP per stream, PLAY, TEARDOWN), ${CONCURRENCY} ` +
    'clients at a time. CPU is that of all processes of the product together. "gained" is what a request takes longer ' +
    'through the appliance than asked directly, one client at a time.',
  columns: [
    { key: 'perCpuSecond', title: 'sessions per CPU-second', digits: 0, better: 'higher' },
    { key: 'perSecond', title: 'sessions/s', digits: 0, better: 'higher' },
    { key: 'workerUs', title: 'workers µs/session', digits: 0, better: 'lower' },
    { key: 'primaryUs', title: 'primary µs/session', digits: 0, better: 'lower' },
    { key: 'engineUs', title: 'engine µs/session', digits: 0, better: 'lower' },
    { key: 'gainedP50Us', title: 'request gained p50 µs', digits: 0, better: 'lower' },
    { key: 'gainedSetupP50Us', title: 'SETUP gained p50 µs', digits: 0, better: 'lower' },
    { key: 'p99Us', title: 'request p99 µs, one client', digits: 0, better: 'lower' },
    { key: 'busyP99Us', title: 'request p99 µs, busy', digits: 0, better: 'lower' },
    { key: 'failed', title: 'failed', digits: 0, better: 'lower' },
  ],
  async run(context) {
    const direct = await measureDirect(context);
    for (const one of rotate(CASES, context.round)) {
      if (context.wants(one.name)) context.record({ group: '', name: one.name }, await measure(context, one, direct));
    }
  },
};

async function measureDirect({ bed, seconds }: Context): Promise<Steps> {
  const farm = await Farm.start(bed, 'announced');
  const crowd = await Crowd.start(bed, farm.address);
  try {
    return (await crowd.churn(seconds, 1, 1)).steps;
  } finally {
    await crowd.stop();
    await farm.stop();
  }
}

async function measure(context: Context, { workers, streams, args, name }: Case, direct: Steps): Promise<Values> {
  const { bed, seconds, quick } = context;
  const farm = await Farm.start(bed, 'announced');
  const core = workers === 1 ? 'product' : 'any';
  const appliance = await Appliance.start(bed, farm.address, { core, workers, args });
  const crowd = await Crowd.start(bed, appliance.address);
  try {
    await crowd.churn(quick ? QUICK_WARM_UP_SECONDS : WARM_UP_SECONDS, CONCURRENCY, streams);
    const cpu = new CpuMeter(await appliance.pids());
    const busy = await crowd.churn(seconds, CONCURRENCY, streams);
    const used = { all: cpu.seconds(), worker: cpu.seconds('worker'), primary: cpu.seconds('primary') };
    const engine = cpu.seconds('engine');
    const alone = await crowd.churn(seconds, 1, streams);
    const failed = busy.steps.failed + alone.steps.failed;
    if (failed > 0) context.fail(`control, ${name}: ${JSON.stringify([busy.steps.failures, alone.steps.failures])}`);
    return {
      perCpuSecond: busy.sessions / used.all,
      perSecond: busy.perSecond,
      workerUs: (used.worker / busy.sessions) * 1e6,
      primaryUs: (used.primary / busy.sessions) * 1e6,
      engineUs: (engine / busy.sessions) * 1e6,
      gainedP50Us: meanOver(alone, 'p50') - meanOver({ steps: direct }, 'p50'),
      gainedSetupP50Us: alone.steps.setup.p50 - direct.setup.p50,
      p99Us: meanOver(alone, 'p99'),
      busyP99Us: meanOver(busy, 'p99'),
      failed,
    };
  } finally {
    await crowd.stop();
    await appliance.stop();
    await farm.stop();
  }
}

/** Over the kinds of request. */
function meanOver({ steps }: Pick<Churned, 'steps'>, quantile: 'p50' | 'p99'): number {
  return REQUESTS.reduce((sum, request) => sum + steps[request][quantile], 0) / REQUESTS.length;
}

import { CpuMeter } from '../lib/cpu.js';
import { type Churned, Crowd, Farm, REQUESTS, type Request, type Steps } from '../lib/load.js';
import { penstockProxy, type TcpProxy } from '../lib/proxy.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { rotate } from '../lib/statistics.js';
import { haproxyTcp } from '../rivals/haproxy.js';
import { nginxTcp } from '../rivals/nginx.js';

const CONCURRENCY = 32;
/** Sessions of a worker until the functions that matter are compiled: before, one costs up to four times as much. */
const WARM_UP = 3000;
const QUICK_WARM_UP = 1500;
/** Of each measurement at least so many sessions, however slow the machine is. */
const BUSY = 1000;
const ALONE = 200;

const PRODUCT = penstockProxy('penstock, 1 worker', { core: 'product', workers: 1 });
const PRODUCTS = [PRODUCT, penstockProxy('penstock, 2 workers', { core: 'any', workers: 2 })];
const RIVALS = [haproxyTcp, nginxTcp];
const PROXIES = [...PRODUCTS, ...RIVALS];

/** `streams`: SETUPs of a session. */
const CASES = [
  { name: 'sessions of 1 stream', streams: 1 },
  { name: 'sessions of 2 streams', streams: 2 },
];

/** Whole sessions without media. */
export const control: Scenario = {
  name: 'control',
  about:
    `Whole sessions over UDP without media (connect, OPTIONS, DESCRIBE, SETUP per stream, PLAY, TEARDOWN), ${CONCURRENCY} ` +
    'clients at a time. CPU is that of all processes together. 2 workers share both cores with the load, everything ' +
    'else has one. haproxy and nginx copy the bytes and know nothing of RTSP. Gained: what a request takes longer than ' +
    'asked directly, one client at a time, mean over the kinds of request.',
  columns: [
    { key: 'ratio', title: 'penstock / this, CPU', digits: 2, better: 'lower' },
    { key: 'perCpuSecond', title: 'sessions per CPU-second', digits: 0, better: 'higher' },
    { key: 'perSecond', title: 'sessions/s', digits: 0, better: 'higher' },
    { key: 'workerUs', title: 'workers µs/session', digits: 0, better: 'lower' },
    { key: 'primaryUs', title: 'primary µs/session', digits: 0, better: 'lower' },
    { key: 'engineUs', title: 'engine µs/session', digits: 0, better: 'lower' },
    { key: 'gainedP50Us', title: 'request gained p50 µs', digits: 0, better: 'lower' },
    { key: 'gainedP99Us', title: 'gained p99 µs', digits: 0, better: 'lower' },
    { key: 'gainedSetupP50Us', title: 'SETUP gained p50 µs', digits: 0, better: 'lower' },
    { key: 'busyP99Us', title: 'request p99 µs, busy', digits: 0, better: 'lower' },
    { key: 'failed', title: 'failed', digits: 0, better: 'lower' },
  ],
  async run(context) {
    const wanted = CASES.filter(({ name }) => context.wants(name));
    const first = context.quick || (context.round > 0 && !context.partial);
    for (const one of first ? wanted.slice(0, 1) : wanted) await compare(context, one);
  },
};

interface Measured {
  busy: Churned;
  /** One client at a time. */
  alone: Churned;
  /** CPU seconds while busy, by kind of process; '' for all. */
  used: Record<'' | 'worker' | 'primary' | 'engine', number>;
}

async function compare(context: Context, { name: group, streams }: (typeof CASES)[number]): Promise<void> {
  const other = otherBuild(context);
  const proxies = [...PROXIES, ...other].filter((proxy) => other.includes(proxy) || context.compares(proxy.name));
  const direct = await measureDirect(context, streams);
  const measured = new Map<TcpProxy, Measured>();
  for (const proxy of rotate(proxies, context.round)) {
    if (proxy.missing() === undefined) measured.set(proxy, await measure(context, proxy, streams));
  }
  const cpuOf = (proxy: TcpProxy): number | undefined => {
    const found = measured.get(proxy);
    return found && found.used[''] / found.busy.sessions;
  };
  for (const proxy of proxies) {
    const found = measured.get(proxy);
    const [product, own] = [cpuOf(PRODUCT), cpuOf(proxy)];
    const isProduct = PRODUCTS.includes(proxy) || other.includes(proxy);
    const ratio: Values = !PRODUCTS.includes(proxy) && product && own ? { ratio: product / own } : {};
    if (!found) context.absent({ group, name: proxy.name }, proxy.missing() ?? 'not measured');
    else context.record({ group, name: proxy.name }, { ...ratio, ...valuesOf(found, direct, isProduct) });
    if (found && isProduct) checkFailures(context, `${group}, ${proxy.name}`, found);
  }
}

/** What a change gains or costs is told by the build before it, in the same rounds. */
function otherBuild({ against: folder }: Context): TcpProxy[] {
  return folder === undefined ? [] : [penstockProxy(folder, { core: 'product', workers: 1, folder })];
}

function checkFailures(context: Context, name: string, { busy, alone }: Measured): void {
  if (busy.steps.failed + alone.steps.failed === 0) return;
  context.fail(`control, ${name}: ${JSON.stringify([busy.steps.failures, alone.steps.failures])}`);
}

async function measureDirect({ bed, seconds }: Context, streams: number): Promise<Steps> {
  const farm = await Farm.start(bed, 'announced');
  const crowd = await Crowd.start(bed, farm.address);
  try {
    return (await crowd.churn({ seconds, sessions: ALONE }, 1, streams)).steps;
  } finally {
    await crowd.stop();
    await farm.stop();
  }
}

async function measure({ bed, seconds, quick }: Context, proxy: TcpProxy, streams: number): Promise<Measured> {
  const farm = await Farm.start(bed, 'announced');
  const running = await proxy.start(bed, farm.address);
  const crowd = await Crowd.start(bed, running.address);
  try {
    const pids = await running.pids();
    const workers = [...pids.keys()].filter((process) => process.startsWith('worker')).length;
    await crowd.churn({ sessions: (quick ? QUICK_WARM_UP : WARM_UP) * Math.max(1, workers) }, CONCURRENCY, streams);
    const cpu = new CpuMeter(pids);
    const busy = await crowd.churn({ seconds, sessions: BUSY }, CONCURRENCY, streams);
    const used = {
      '': cpu.seconds(),
      worker: cpu.seconds('worker'),
      primary: cpu.seconds('primary'),
      engine: cpu.seconds('engine'),
    };
    return { busy, used, alone: await crowd.churn({ seconds, sessions: ALONE }, 1, streams) };
  } finally {
    await crowd.stop();
    await running.stop();
    await farm.stop();
  }
}

function valuesOf({ busy, alone, used }: Measured, direct: Steps, byProcess: boolean): Values {
  const each = (seconds: number): number => (seconds / busy.sessions) * 1e6;
  const parts = { workerUs: each(used.worker), primaryUs: each(used.primary), engineUs: each(used.engine) };
  return {
    perCpuSecond: busy.sessions / used[''],
    perSecond: busy.perSecond,
    ...(byProcess ? parts : {}),
    gainedP50Us: gained(alone.steps, direct, REQUESTS, 'p50'),
    gainedP99Us: gained(alone.steps, direct, REQUESTS, 'p99'),
    gainedSetupP50Us: gained(alone.steps, direct, ['setup'], 'p50'),
    busyP99Us: meanOver(busy.steps, REQUESTS, 'p99'),
    failed: busy.steps.failed + alone.steps.failed,
  };
}

function gained(steps: Steps, direct: Steps, requests: readonly Request[], quantile: 'p50' | 'p99'): number {
  return meanOver(steps, requests, quantile) - meanOver(direct, requests, quantile);
}

function meanOver(steps: Steps, requests: readonly Request[], quantile: 'p50' | 'p99'): number {
  return requests.reduce((sum, request) => sum + steps[request][quantile], 0) / requests.length;
}

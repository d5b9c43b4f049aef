import { setTimeout as sleep } from 'node:timers/promises';
import { CpuMeter, machineMeter } from '../lib/cpu.js';
import { drained } from '../lib/drain.js';
import { Crowd, Farm, type Received, type Sent, type SyntheticMedia } from '../lib/load.js';
import { anonymousBytes } from '../lib/memory.js';
import { directTcp, penstockProxy, type TcpProxy } from '../lib/proxy.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { rotate } from '../lib/statistics.js';
import { haproxyTcp } from '../rivals/haproxy.js';
import { nginxTcp } from '../rivals/nginx.js';

const PRODUCT = penstockProxy('penstock', { core: 'product', workers: 1 });
const RIVALS = [haproxyTcp, nginxTcp];
const PROXIES = [directTcp, PRODUCT, ...RIVALS];

const MAX = 0;
const FRAME_HEADER = 4;
const MEGABYTE = 1e6;
const MIB = 2 ** 20;
/** What the slow client reads: a hundredth of its stream, so that every buffer on the way gets full. */
const SLOW_BYTES_PER_SECOND = 20_000;
const SLOW_SECONDS = 4;
const WARM_UP_SECONDS = 0.3;
const SETTLE_MS = 300;

interface Case {
  name: string;
  media: SyntheticMedia;
}

/** So many clients, and what they are sent one after the other. */
interface Cases {
  streams: number;
  slowClients: number;
  cases: Case[];
}

const ALL: Cases[] = [
  cases(100, 0, [
    { pattern: 'frames', size: 1200, rate: 10_000 },
    { pattern: 'frames', size: 1200, rate: 30_000 },
    { pattern: 'singly', size: 1200, rate: 10_000 },
    { pattern: 'singly', size: 200, rate: 10_000 },
    { pattern: 'frames', size: 1200, rate: MAX },
  ]),
  cases(1000, 0, [
    { pattern: 'frames', size: 1200, rate: 10_000 },
    { pattern: 'frames', size: 1200, rate: 30_000 },
    { pattern: 'singly', size: 1200, rate: 10_000 },
  ]),
  cases(10, 1, [{ pattern: 'frames', size: 1200, rate: 20_000 }]),
];
const QUICK: Cases[] = [
  cases(50, 0, [
    { pattern: 'frames', size: 1200, rate: 2000 },
    { pattern: 'singly', size: 200, rate: 2000 },
  ]),
  cases(10, 1, [{ pattern: 'frames', size: 1200, rate: 5000 }]),
];

/** RTP in the RTSP connection, as `$`, channel, length, packet (RFC 2326 §10.12). */
export const interleaved: Scenario = {
  name: 'interleaved',
  about:
    'RTP inside the RTSP connections, one frame for each packet; all proxies have one core and one thread for it. CPU is ' +
    "that of the proxy's processes per frame that a client read; B: what the proxy adds to the whole machine. Delays " +
    'are from the send call of the server to the return of the read call of the client; added: less what it takes ' +
    `without a proxy. With a slow client, one of the clients reads ${SLOW_BYTES_PER_SECOND / 1000} kB/s for ` +
    `${SLOW_SECONDS} s: loss and delay are those of the others, memory is what the proxy's processes grew by.`,
  columns: [
    { key: 'ratio', title: 'penstock / this, CPU', digits: 2, better: 'lower' },
    { key: 'frameUs', title: 'CPU µs/frame', digits: 2, better: 'lower' },
    { key: 'megabyteMs', title: 'CPU ms/MB', digits: 2, better: 'lower' },
    { key: 'bUs', title: 'B µs/frame', digits: 2, better: 'lower' },
    { key: 'lossPercent', title: 'loss %', digits: 3, better: 'lower' },
    { key: 'kfps', title: 'kframes/s out', digits: 1, better: 'higher' },
    { key: 'p50Us', title: 'delay p50 µs', digits: 0, better: 'lower' },
    { key: 'addedP50Us', title: 'added p50 µs', digits: 0, better: 'lower' },
    { key: 'addedP99Us', title: 'added p99 µs', digits: 0, better: 'lower' },
    { key: 'grownMib', title: 'memory grown MiB', digits: 1, better: 'lower' },
    { key: 'slowPercent', title: 'slow client got %', digits: 1, better: 'none' },
    { key: 'connectionsLost', title: 'connections lost', digits: 0, better: 'lower' },
  ],
  async run(context) {
    for (const { cases, ...rest } of context.quick ? QUICK : ALL) {
      const wanted = cases.filter(({ name }) => context.wants(name));
      if (wanted.length > 0) await compare(context, { cases: wanted, ...rest });
    }
  },
};

function cases(streams: number, slowClients: number, medias: readonly SyntheticMedia[]): Cases {
  const name = ({ pattern, size, rate }: SyntheticMedia): string => {
    const speed = rate === MAX ? 'as fast as possible' : `${rate / 1000} kframes/s`;
    return `${streams} streams, ${pattern}, ${size} B, ${speed}${slowClients > 0 ? ', one slow client' : ''}`;
  };
  return { streams, slowClients, cases: medias.map((media) => ({ name: name(media), media })) };
}

interface Measured {
  sent: Sent;
  report: Received;
  proxySeconds: number;
  machineSeconds: number;
  grownBytes: number;
}

async function compare(context: Context, all: Cases): Promise<void> {
  const proxies = PROXIES.filter((proxy) => proxy === directTcp || context.compares(proxy.name));
  const measured = new Map<TcpProxy, Measured[]>();
  for (const proxy of rotate(proxies, context.round)) {
    if (proxy.missing() === undefined) measured.set(proxy, await measure(context, proxy, all));
  }
  for (const [index, one] of all.cases.entries()) {
    recordCase(context, all, one, proxies, (proxy) => measured.get(proxy)?.[index]);
  }
}

function recordCase(
  context: Context,
  all: Cases,
  { name, media }: Case,
  proxies: readonly TcpProxy[],
  measured: (proxy: TcpProxy) => Measured | undefined,
): void {
  const base = measured(directTcp);
  const values = (proxy: TcpProxy): Values | undefined => {
    const found = measured(proxy);
    return found && valuesOf(all, media, found, proxy === directTcp ? undefined : base);
  };
  const product = values(PRODUCT)?.frameUs;
  for (const proxy of proxies) {
    const which = { group: name, name: proxy.name };
    const found = values(proxy);
    if (!found) context.absent(which, proxy.missing() ?? 'not measured');
    else context.record(which, { ...found, ...(RIVALS.includes(proxy) ? ratio(product, found.frameUs) : {}) });
  }
  checkProduct(context, name, values(PRODUCT));
}

const ratio = (product: number | undefined, rival: number | undefined): Values =>
  product && rival ? { ratio: product / rival } : {};

function checkProduct(context: Context, name: string, values: Values | undefined): void {
  if (!context.quick || !values) return;
  if (values.lossPercent !== 0) context.fail(`interleaved: ${name} lost ${values.lossPercent} %`);
  if (values.connectionsLost !== 0) context.fail(`interleaved: ${name} lost ${values.connectionsLost} connections`);
}

async function measure(context: Context, proxy: TcpProxy, all: Cases): Promise<Measured[]> {
  const { bed } = context;
  const farm = await Farm.start(bed, 'shared');
  const running = await proxy.start(bed, farm.address);
  const crowd = await Crowd.start(bed, running.address);
  try {
    await crowd.open(all.streams, { transport: 'tcp' });
    await farm.send({ pattern: 'frames', size: 1200, rate: 5000 }, WARM_UP_SECONDS);
    await sleep(SETTLE_MS);
    if (all.slowClients > 0) await crowd.slowDown(all.slowClients, SLOW_BYTES_PER_SECOND);
    const pids = await running.pids();
    const measured: Measured[] = [];
    for (const { media } of all.cases) {
      await crowd.reset();
      measured.push(await sendAndCount(media, all.slowClients > 0 ? SLOW_SECONDS : context.seconds, farm, crowd, pids));
    }
    return measured;
  } finally {
    await crowd.stop();
    await running.stop();
    await farm.stop();
  }
}

async function sendAndCount(
  media: SyntheticMedia,
  seconds: number,
  farm: Farm,
  crowd: Crowd,
  pids: Map<string, number>,
): Promise<Measured> {
  const memory = (): number => [...pids.values()].reduce((sum, pid) => sum + anonymousBytes(pid), 0);
  const before = memory();
  const proxyCpu = new CpuMeter(pids);
  const machineCpu = machineMeter(pids, farm, crowd);
  const sent = await farm.send(media, seconds);
  const grownBytes = memory() - before;
  const report = await drained(() => crowd.report(), sent.sent);
  return { sent, report, proxySeconds: proxyCpu.seconds(), machineSeconds: machineCpu.seconds(), grownBytes };
}

/** `base`: the same without a proxy; undefined for that itself. */
function valuesOf(all: Cases, media: SyntheticMedia, found: Measured, base: Measured | undefined): Values {
  const { sent, report } = found;
  const isPaced = media.rate !== MAX;
  return {
    kfps: report.received / report.seconds / 1000,
    connectionsLost: all.streams - report.playing,
    ...(isPaced ? { lossPercent: loss(all, found), p50Us: report.delayUs.p50 } : {}),
    ...(base ? cost(media, found) : {}),
    ...(base && isPaced ? added(report, base.report) : {}),
    ...(base && isPaced && all.slowClients === 0 ? { bUs: machineCost(found, base) } : {}),
    ...(base && all.slowClients > 0 ? { grownMib: found.grownBytes / MIB } : {}),
    ...(all.slowClients > 0 ? { slowPercent: slowShare(all, sent, report) } : {}),
  };
}

function cost({ size }: SyntheticMedia, { report, proxySeconds }: Measured): Values {
  const megabytes = (report.received * (size + FRAME_HEADER)) / MEGABYTE;
  return { frameUs: (proxySeconds / report.received) * 1e6, megabyteMs: (proxySeconds / megabytes) * 1e3 };
}

function machineCost({ report, machineSeconds }: Measured, base: Measured): number {
  return (machineSeconds / report.received - base.machineSeconds / base.report.received) * 1e6;
}

function added({ delayUs }: Received, base: Received): Values {
  return { addedP50Us: delayUs.p50 - base.delayUs.p50, addedP99Us: delayUs.p99 - base.delayUs.p99 };
}

/** Percent, of clients that read; what a slow one misses does not show in the others' sequence numbers. */
function loss({ slowClients }: Cases, { sent, report }: Measured): number {
  const wanted = slowClients > 0 ? report.received + report.missing : sent.sent + sent.unsent;
  return (1 - report.received / wanted) * 100;
}

/** Percent of what its stream had. */
function slowShare({ streams, slowClients }: Cases, sent: Sent, report: Received): number {
  const offered = ((sent.sent + sent.unsent) / streams) * slowClients;
  return (report.slowFrames / offered) * 100;
}

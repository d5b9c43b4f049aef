import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd, Farm } from '../lib/load.js';
import { mostSessions } from '../lib/machine.js';
import { anonymousBytes, slabBytes } from '../lib/memory.js';
import { ROOT } from '../lib/paths.js';
import { directTcp, penstockProxy, type TcpProxy } from '../lib/proxy.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { haproxyTcp } from '../rivals/haproxy.js';
import { nginxTcp } from '../rivals/nginx.js';

const PRODUCT = penstockProxy('penstock', { core: 'any', workers: 2 });
const PROXIES = [PRODUCT, haproxyTcp, nginxTcp];
const SESSIONS = [1000, 5000];
const QUICK_SESSIONS = [200];
/** Sessions that come and go before the first look: code is compiled, pools and heaps have their size. */
const WARM_UP = 6000;
const QUICK_WARM_UP = 1500;
const CONCURRENCY = 32;
const SETTLE_MS = 2000;
const KIB = 1024;

export const memory: Scenario = {
  name: 'memory',
  about:
    'Memory of a live UDP session with one stream: growth per session while so many are opened, after ' +
    `${WARM_UP} that came and went; once, in the first round. Anonymous memory of the processes (JavaScript's garbage included); the ` +
    "kernel's slab memory, less that of the same sessions opened directly; and the rows of the shared region. penstock " +
    'holds four UDP sockets and two ends of TCP for it, haproxy and nginx no more than the two ends.',
  columns: [
    { key: 'userKib', title: 'processes KiB/session', digits: 1, better: 'lower' },
    { key: 'workersKib', title: 'workers KiB', digits: 1, better: 'lower' },
    { key: 'primaryKib', title: 'primary KiB', digits: 1, better: 'lower' },
    { key: 'engineKib', title: 'engine KiB', digits: 1, better: 'lower' },
    { key: 'regionKib', title: 'region KiB', digits: 1, better: 'lower' },
    { key: 'slabKib', title: 'kernel slab KiB', digits: 1, better: 'lower' },
    { key: 'openPerSecond', title: 'sessions opened/s', digits: 0, better: 'higher' },
  ],
  async run(context) {
    if (context.round > 0) return;
    const room = mostSessions(1);
    for (const wish of context.quick ? QUICK_SESSIONS : SESSIONS) {
      const sessions = Math.min(wish, room);
      const name = `${sessions} sessions`;
      if (sessions < wish) context.note(`memory: ${wish} sessions are more than descriptors allow (${room})`);
      if (context.wants(name)) await compare(context, name, sessions);
    }
  },
};

async function compare(context: Context, group: string, sessions: number): Promise<void> {
  const direct = await measure(context, directTcp, sessions);
  for (const proxy of PROXIES.filter(({ name }) => context.compares(name))) {
    const which = { group, name: proxy.name };
    const missing = proxy.missing();
    if (missing) context.absent(which, missing);
    else context.record(which, valuesOf(proxy, sessions, await measure(context, proxy, sessions), direct));
  }
}

interface Growth {
  /** Bytes by name of the process. */
  processes: Map<string, number>;
  slab: number;
  /** That it took to open the sessions. */
  seconds: number;
}

async function measure({ bed, quick }: Context, proxy: TcpProxy, sessions: number): Promise<Growth> {
  const farm = await Farm.start(bed, 'shared');
  const running = await proxy.start(bed, farm.address);
  const crowd = await Crowd.start(bed, running.address);
  try {
    await crowd.churn({ sessions: quick ? QUICK_WARM_UP : WARM_UP }, CONCURRENCY, 1);
    await sleep(SETTLE_MS);
    const pids = [...(await running.pids())];
    const before = { processes: new Map(pids.map(([name, pid]) => [name, anonymousBytes(pid)])), slab: slabBytes() };
    const { seconds } = await crowd.open(sessions);
    await sleep(SETTLE_MS);
    const grown = ([name, pid]: [string, number]): [string, number] => [
      name,
      anonymousBytes(pid) - (before.processes.get(name) ?? 0),
    ];
    return { processes: new Map(pids.map(grown)), slab: slabBytes() - before.slab, seconds };
  } finally {
    await crowd.stop();
    await running.stop();
    await farm.stop();
  }
}

function valuesOf(proxy: TcpProxy, sessions: number, growth: Growth, direct: Growth): Values {
  const each = (bytes: number): number => bytes / sessions / KIB;
  const grown = (prefix: string): number =>
    [...growth.processes].reduce((sum, [name, bytes]) => (name.startsWith(prefix) ? sum + bytes : sum), 0);
  const parts = {
    workersKib: each(grown('worker')),
    primaryKib: each(grown('primary')),
    engineKib: each(grown('engine')),
    regionKib: regionBytes() / KIB,
  };
  return {
    userKib: each(grown('')),
    ...(proxy === PRODUCT ? parts : {}),
    slabKib: each(growth.slab - direct.slab),
    openPerSecond: sessions / growth.seconds,
  };
}

/** A session entry and one stream row. */
function regionBytes(): number {
  const addon = createRequire(import.meta.url)(join(ROOT, 'build', 'Release', 'penstock.node')) as {
    layout: { sizes: { session: number; stream: number } };
  };
  return addon.layout.sizes.session + addon.layout.sizes.stream;
}

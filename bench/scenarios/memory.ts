import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Appliance } from '../lib/appliance.js';
import { Crowd, Farm } from '../lib/load.js';
import { mostStreams } from '../lib/machine.js';
import { anonymousBytes, slabBytes } from '../lib/memory.js';
import { ROOT } from '../lib/paths.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';

const SESSIONS = [1000, 4700];
const QUICK_SESSIONS = [200];
/** Opened before the first look: code is compiled, pools have their first size. */
const WARM_UP = 200;
const SETTLE_MS = 2000;
const KIB = 1024;

export const memory: Scenario = {
  name: 'memory',
  about:
    `Memory of a live UDP session with one stream: growth per session while so many are opened, after the first ` +
    `${WARM_UP}. Anonymous memory of the processes (JavaScript's garbage included); the kernel's slab memory, less that ` +
    'of the same sessions opened directly (so: four UDP sockets and two TCP ends); and the rows of the shared region.',
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
    const room = mostStreams() - WARM_UP;
    for (const sessions of context.quick ? QUICK_SESSIONS : SESSIONS) {
      const name = `${sessions} sessions`;
      if (!context.wants(name)) continue;
      if (sessions > room) context.note(`memory: ${sessions} sessions are more than descriptors allow (${room})`);
      else context.record({ group: '', name }, await measure(context, sessions));
    }
  },
};

async function measure({ bed }: Context, sessions: number): Promise<Values> {
  const directSlab = await slabOfDirect(bed, sessions);
  const farm = await Farm.start(bed, 'shared');
  const appliance = await Appliance.start(bed, farm.address, { core: 'any', workers: 2 });
  const crowd = await Crowd.start(bed, appliance.address);
  try {
    await crowd.open(WARM_UP);
    await sleep(SETTLE_MS);
    const pids = await appliance.pids();
    const look = (): Map<string, number> => new Map([...pids].map(([name, pid]) => [name, anonymousBytes(pid)]));
    const before = { processes: look(), slab: slabBytes() };
    const { seconds } = await crowd.open(sessions);
    await sleep(SETTLE_MS);
    const after = { processes: look(), slab: slabBytes() };
    const grown = (prefix: string): number =>
      [...after.processes].reduce(
        (sum, [name, bytes]) => (name.startsWith(prefix) ? sum + bytes - (before.processes.get(name) ?? 0) : sum),
        0,
      );
    const each = (bytes: number): number => bytes / sessions / KIB;
    return {
      userKib: each(grown('')),
      workersKib: each(grown('worker')),
      primaryKib: each(grown('primary')),
      engineKib: each(grown('engine')),
      regionKib: regionBytes() / KIB,
      slabKib: each(after.slab - before.slab - directSlab),
      openPerSecond: sessions / seconds,
    };
  } finally {
    await crowd.stop();
    await appliance.stop();
    await farm.stop();
  }
}

/** What the sockets of servers and clients take. */
async function slabOfDirect(bed: Context['bed'], sessions: number): Promise<number> {
  const farm = await Farm.start(bed, 'shared');
  const crowd = await Crowd.start(bed, farm.address);
  try {
    await crowd.open(WARM_UP);
    await sleep(SETTLE_MS);
    const before = slabBytes();
    await crowd.open(sessions);
    await sleep(SETTLE_MS);
    return slabBytes() - before;
  } finally {
    await crowd.stop();
    await farm.stop();
  }
}

/** A session entry and one stream row. */
function regionBytes(): number {
  const addon = createRequire(import.meta.url)(join(ROOT, 'build', 'Release', 'penstock.node')) as {
    layout: { sizes: { session: number; stream: number } };
  };
  return addon.layout.sizes.session + addon.layout.sizes.stream;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Appliance } from '../lib/appliance.js';
import { Crowd, Farm } from '../lib/load.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { rotate } from '../lib/statistics.js';

const STREAMS = 20;
/** Packets per second of each stream: the resolution of a gap is 5 ms. */
const RATE = 200;
const VICTIMS = ['none', 'worker 0', 'engine'] as const;
const BEFORE_MS = 700;
const MEDIA_SECONDS = 3;
const RECOVERY_LIMIT_MS = 10_000;
const DRAIN_MS = 200;

export const gaps: Scenario = {
  name: 'gaps',
  about:
    `${STREAMS} streams of ${RATE} packets a second while a process of the appliance is killed (SIGKILL): the longest time ` +
    'between two packets of any stream, packets that never came, and how soon a successor was ready.',
  columns: [
    { key: 'longestGapMs', title: 'longest gap ms', digits: 1, better: 'lower' },
    { key: 'lost', title: 'packets lost', digits: 0, better: 'lower' },
    { key: 'lostWorst', title: 'lost of one stream', digits: 0, better: 'lower' },
    { key: 'sent', title: 'packets sent', digits: 0, better: 'none' },
    { key: 'recoveryMs', title: 'successor ready ms', digits: 0, better: 'lower' },
    { key: 'connectionsLost', title: 'connections lost', digits: 0, better: 'none' },
    { key: 'streamsEnded', title: 'streams ended', digits: 0, better: 'lower' },
  ],
  async run(context) {
    for (const victim of rotate(VICTIMS, context.round)) {
      const name = `kill ${victim}`;
      if (context.wants(name)) context.record({ group: '', name }, await measure(context, victim));
    }
  },
};

async function measure({ bed, fail }: Context, victim: (typeof VICTIMS)[number]): Promise<Values> {
  const farm = await Farm.start(bed, 'shared');
  const appliance = await Appliance.start(bed, farm.address, { core: 'any', workers: 2 });
  const crowd = await Crowd.start(bed, appliance.address);
  try {
    await crowd.open(STREAMS);
    await farm.send({ pattern: 'singly', size: 1200, rate: STREAMS * RATE }, 0.2);
    await sleep(DRAIN_MS);
    await crowd.reset();
    const media = farm.send({ pattern: 'singly', size: 1200, rate: STREAMS * RATE }, MEDIA_SECONDS);
    await sleep(BEFORE_MS);
    const recoveryMs = victim === 'none' ? 0 : await killAndAwait(appliance, victim);
    const sent = await media;
    await sleep(DRAIN_MS);
    const report = await crowd.report();
    if (report.streams !== STREAMS) fail(`gaps, ${victim}: ${report.streams} of ${STREAMS} streams came`);
    return {
      longestGapMs: report.longestGapMs,
      lost: sent.sent - report.received,
      lostWorst: report.missingWorst,
      sent: sent.sent,
      recoveryMs,
      connectionsLost: STREAMS - report.playing,
      streamsEnded: STREAMS - (await farm.stats()).playing,
    };
  } finally {
    await crowd.stop();
    await appliance.stop();
    await farm.stop();
  }
}

/** Milliseconds until a successor says that it is ready. */
async function killAndAwait(appliance: Appliance, name: string): Promise<number> {
  const pid = (await appliance.pids()).get(name);
  if (!pid) throw new Error(`no process is called ${name}`);
  const killed = performance.now();
  process.kill(pid, 'SIGKILL');
  while (performance.now() - killed < RECOVERY_LIMIT_MS) {
    await sleep(5);
    const now = (await appliance.show('process')).find((one) => one.name === name);
    if (now && now.pid !== pid && now.state === 'ready') return performance.now() - killed;
  }
  throw new Error(`${name} has no successor after ${RECOVERY_LIMIT_MS} ms`);
}

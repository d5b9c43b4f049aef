import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../lib/paths.js';
import { pinned } from '../lib/pinned.js';
import type { Scenario } from '../lib/scenario.js';

const PROGRAM = join(ROOT, 'build-bench', 'js', 'bench', 'micro', 'messages.js');
const MICROSECONDS = 1e6;

/** The parts of a worker's work on messages that need no socket. */
export const messages: Scenario = {
  name: 'messages',
  about:
    'What one core does with RTSP messages and interleaved frames in memory: "parse" reads one, the others read it, ' +
    'rewrite what the appliance rewrites and write it. Nothing to compare it with.',
  columns: [
    { key: 'perSecond', title: 'thousands per second', digits: 0, better: 'higher' },
    { key: 'eachUs', title: 'µs each', digits: 2, better: 'lower' },
  ],
  run(context) {
    const [command, args] = pinned('product', process.execPath, [PROGRAM, String(context.seconds)]);
    const found = JSON.parse(execFileSync(command, args, { encoding: 'utf8' })) as Record<string, number>;
    for (const [name, each] of Object.entries(found)) {
      if (context.wants(name))
        context.record({ group: '', name }, { perSecond: each / 1000, eachUs: MICROSECONDS / each });
    }
    return Promise.resolve();
  },
};

// Builds the load generator and the bench, then runs it; `--help` tells what it takes.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensurePackages } from './lib/packages.mjs';
import { findCommand, main, passThrough, ROOT, run } from './lib/run.mjs';

const path = (...parts) => join(ROOT, ...parts);

/** What the bench needs beside the tools that build the addon. */
const TOOLS = [
  { packages: ['cmake'], works: () => Boolean(findCommand('cmake')) },
  { packages: ['iproute2'], works: () => Boolean(findCommand('ip')) },
  { packages: ['procps'], works: () => Boolean(findCommand('sysctl')) },
];

function build() {
  const folder = path('build-bench', 'native');
  const quiet = { stdio: ['ignore', 'ignore', 2] };
  run('cmake', ['-S', path('bench', 'native'), '-B', folder], quiet);
  run('cmake', ['--build', folder, '--parallel'], quiet);
  run(path('node_modules', '.bin', 'tsc'), ['-p', path('bench', 'tsconfig.json')]);
  const helper = ['test', 'support', 'socket-helper.mjs']; // runs as it is, in a namespace
  copyFileSync(path(...helper), path('build-bench', 'js', ...helper));
}

await main(async () => {
  ensurePackages(TOOLS, 'benchmarks');
  build();
  const entry = path('build-bench', 'js', 'bench', 'run.js');
  process.exitCode = await passThrough(process.execPath, ['--enable-source-maps', entry, ...process.argv.slice(2)]);
});

// Every test: C++ unit tests, then TypeScript unit tests, then the tests with real peers one by one.
// Words select test files by path, as vitest does (`npm test -- test/unit/rtsp`); `test/native` the C++ ones.
// The last line is `N passed, N failed`.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { passThrough, ROOT } from './lib/run.mjs';

const words = process.argv.slice(2);
const filters = words.filter((word) => !word.startsWith('test/native'));
const wantNative = words.length === 0 || filters.length < words.length;
const wantVitest = words.length === 0 || filters.length > 0;
const total = { passed: 0, failed: 0 };

function add({ passed, failed }) {
  total.passed += passed;
  total.failed += failed;
}

/** Runs a command on our terminal and returns what it printed as well as its status. */
async function capture(command, args) {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    process.stdout.write(text);
  });
  const status = await new Promise((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  return { status, output };
}

async function native() {
  const { status, output } = await capture(process.execPath, [join(ROOT, 'scripts', 'build-addon.mjs'), '--tests']);
  const counts = /(\d+) passed, (\d+) failed/.exec(output.trim().split('\n').at(-1) ?? '');
  const passed = Number(counts?.[1] ?? 0);
  // A crash, or a build that fails, prints no counts or a bad status: that is a failure as well.
  const failed = Math.max(Number(counts?.[2] ?? 0), status === 0 && passed > 0 ? 0 : 1);
  return { passed, failed };
}

async function vitest(project) {
  const directory = mkdtempSync(join(tmpdir(), 'penstock-test-'));
  const report = join(directory, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const select = ['--project', project, '--passWithNoTests', ...filters];
  const status = await passThrough(join(ROOT, 'node_modules', '.bin', 'vitest'), ['run', ...select, ...reporters]);
  const counts = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
  rmSync(directory, { recursive: true });
  const passed = counts.numPassedTests ?? 0;
  const failed = Math.max(counts.numFailedTests ?? 0, status === 0 ? 0 : 1);
  return { passed, failed };
}

async function prepared() {
  return (await passThrough(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), '--test'])) === 0;
}

// Words that name only other folders make the real peers needless.
const wantPeers = words.length === 0 || !words.every((word) => /^test\/(?!e2e)/.test(word));
const ready = !wantPeers || (await prepared());

if (wantNative) add(await native());
if (wantVitest) add(await vitest('unit'));
if (wantPeers) add(ready ? await vitest('e2e') : { passed: 0, failed: 1 });
if (total.passed + total.failed === 0) {
  process.stderr.write(`no test matches: ${words.join(' ')}\n`);
  total.failed = 1;
}
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 ? 0 : 1;

// Fuzzing campaigns: the C++ targets of test/fuzz/native with libFuzzer (clang, else a driver of our own and any
// compiler), and the TypeScript ones of test/fuzz. Words select targets by parts of their names; each runs for
// --seconds. Inputs that found something are kept in build-fuzz/found, and the exit status is 1 then.
//   npm run fuzz -- [--seconds N] [--driver libfuzzer|own] [WORD…]
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { findCommand, main, passThrough, ROOT, run, SetupError, say } from './lib/run.mjs';

const DEFAULT_SECONDS = '20';
const DRIVERS = ['libfuzzer', 'own'];
const SANITIZE = 'address,undefined';
const MAX_INPUT = 4096;

const path = (...parts) => join(ROOT, ...parts);
const BUILD = path('build-fuzz');
const FOUND = join(BUILD, 'found');
/** Of the campaigns in TypeScript: a line of JSON each. */
const RESULTS = join(BUILD, 'results.jsonl');

/** clang may be there without the libraries that its fuzzer and sanitizers need. */
function hasLibFuzzer() {
  if (!findCommand('clang++')) return false;
  const probe = join(BUILD, 'probe.cc');
  writeFileSync(probe, 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n');
  const args = [`-fsanitize=fuzzer,${SANITIZE}`, probe, '-o', join(BUILD, 'probe')];
  return spawnSync('clang++', args, { stdio: 'ignore' }).status === 0;
}

function chooseDriver(wanted) {
  if (wanted !== undefined && !DRIVERS.includes(wanted)) throw new SetupError(`--driver takes ${DRIVERS.join(' or ')}`);
  if (wanted === 'own') return 'own';
  if (hasLibFuzzer()) return 'libfuzzer';
  const missing = 'there is no clang with libFuzzer here. Type:\n\n  sudo apt-get install clang\n';
  if (wanted === 'libfuzzer') throw new SetupError(missing);
  say('no clang with libFuzzer: the C++ targets run under a driver of our own, which is not guided by coverage');
  return 'own';
}

function build(names, driver) {
  if (!findCommand('cmake')) throw new SetupError('fuzzing needs cmake. Type:\n\n  sudo apt-get install cmake\n');
  const folder = join(BUILD, driver);
  const how =
    driver === 'libfuzzer'
      ? ['-DCMAKE_CXX_COMPILER=clang++', `-DPENSTOCK_SANITIZE=${SANITIZE},fuzzer-no-link`]
      : [`-DPENSTOCK_SANITIZE=${SANITIZE}`];
  run('cmake', ['-S', ROOT, '-B', folder, `-DPENSTOCK_FUZZ=${driver}`, ...how, '--log-level=WARNING']);
  const wanted = names.flatMap((name) => ['--target', `penstock_fuzz_${name}`]);
  run('cmake', ['--build', folder, ...wanted, '--', '--no-print-directory']);
  return folder;
}

/** One campaign: name, executions, and how many inputs it found, at most one. */
function runNative(folder, name, seconds) {
  say(`${name}: ${seconds} s`);
  const corpus = join(BUILD, 'corpus', name);
  mkdirSync(corpus, { recursive: true });
  const flags = [`-max_total_time=${seconds}`, `-max_len=${MAX_INPUT}`, '-print_final_stats=1', '-verbosity=0'];
  const kept = `-artifact_prefix=${join(FOUND, name)}-`;
  const env = { ...process.env, ASAN_OPTIONS: 'abort_on_error=1', UBSAN_OPTIONS: 'print_stacktrace=1' };
  const args = [...flags, kept, corpus, path('test', 'fuzz', 'seeds', name)];
  const result = spawnSync(join(folder, `penstock_fuzz_${name}`), args, { cwd: FOUND, env, encoding: 'utf8' });
  const found = result.status === 0 ? 0 : 1;
  if (found) say(result.stderr.slice(-4000));
  keepInput(name);
  return { name, executions: Number(/number_of_executed_units: (\d+)/.exec(result.stderr)?.[1] ?? 0), found };
}

/** Our own driver leaves what killed it under one and the same name. */
function keepInput(name) {
  const left = join(FOUND, 'crash-input');
  if (!existsSync(left)) return;
  const digest = createHash('sha256').update(readFileSync(left)).digest('hex').slice(0, 12);
  renameSync(left, join(FOUND, `${name}-${digest}`));
}

/** The campaigns in TypeScript run under vitest, which compiles them. */
async function runCampaigns(words, seconds) {
  rmSync(RESULTS, { force: true });
  const env = {
    ...process.env,
    PENSTOCK_FUZZ_SECONDS: String(seconds),
    PENSTOCK_FUZZ_FOUND: FOUND,
    PENSTOCK_FUZZ_RESULTS: RESULTS,
  };
  if (words.length > 0) env.PENSTOCK_FUZZ_TARGETS = words.join(',');
  const args = ['run', '--project', 'unit', 'test/fuzz', '--reporter=verbose', '--no-file-parallelism'];
  const good = (await passThrough(path('node_modules', '.bin', 'vitest'), args, { env })) === 0;
  const lines = existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8').trim().split('\n') : [];
  const results = lines.map((line) => JSON.parse(line));
  if (good || results.some(({ found }) => found > 0)) return results;
  throw new SetupError('the campaigns in TypeScript did not run to their end');
}

function summarize(results, seconds) {
  const row = (name, executions, found) => `${name.padEnd(16)}${String(executions).padStart(14)}${found.padStart(8)}`;
  const sum = (key) => results.reduce((all, result) => all + result[key], 0);
  say(row('target', 'executions', 'found'));
  for (const { name, executions, found } of results) say(row(name, executions, String(found)));
  say(row('all', sum('executions'), String(sum('found'))));
  say(`${results.length} targets, ${seconds} s each`);
  if (sum('found') > 0) say(`what was found: ${FOUND}; mended, it becomes a seed: test/fuzz/seeds/TARGET`);
}

await main(async () => {
  const options = { seconds: { type: 'string', default: DEFAULT_SECONDS }, driver: { type: 'string' } };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new SetupError('--seconds takes a number of seconds for each target');
  mkdirSync(FOUND, { recursive: true });
  const isWanted = (name) => positionals.length === 0 || positionals.some((word) => name.includes(word));
  const sources = readdirSync(path('test', 'fuzz', 'native')).filter((file) => file.endsWith('.cc'));
  const names = sources.map((file) => basename(file, '.cc')).filter((name) => name !== 'driver' && isWanted(name));
  const driver = chooseDriver(values.driver);
  const folder = names.length > 0 ? build(names, driver) : '';
  const native = names.map((name) => runNative(folder, name, seconds));
  const results = [...native, ...(await runCampaigns(positionals, seconds))];
  if (results.length === 0) throw new SetupError(`no target has a name with: ${positionals.join(' ')}`);
  summarize(results, seconds);
  process.exitCode = results.some(({ found }) => found > 0) ? 1 : 0;
});

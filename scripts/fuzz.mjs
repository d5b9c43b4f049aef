// Fuzzing campaigns: the C++ targets of test/fuzz/native with libFuzzer (clang, else a driver of our own), and the
// TypeScript ones of test/fuzz. Words select targets; each runs for --seconds. What was found lies in build-fuzz/found.
//   npm run fuzz -- [--seconds N] [WORD…]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findCommand, main, passThrough, ROOT, run, SetupError, say } from './lib/run.mjs';

const DEFAULT_SECONDS = 60;
const SANITIZE = 'address,undefined';
const MAX_INPUT = 4096;

const path = (...parts) => join(ROOT, ...parts);
const BUILD = path('build-fuzz');
const FOUND = join(BUILD, 'found');
const targets = readdirSync(path('test', 'fuzz', 'seeds'));

/** clang may be there without the libraries that its fuzzer and sanitizers need. */
function hasLibFuzzer() {
  if (!findCommand('clang++')) return false;
  mkdirSync(BUILD, { recursive: true });
  const probe = join(BUILD, 'probe.cc');
  writeFileSync(probe, 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n');
  const args = [`-fsanitize=fuzzer,${SANITIZE}`, probe, '-o', join(BUILD, 'probe')];
  return spawnSync('clang++', args, { stdio: 'ignore' }).status === 0;
}

function build(names, libFuzzer) {
  if (!findCommand('cmake')) throw new SetupError('fuzzing needs cmake. Type:\n\n  sudo apt-get install cmake\n');
  const folder = join(BUILD, libFuzzer ? 'clang' : 'own');
  const how = libFuzzer
    ? ['-DCMAKE_CXX_COMPILER=clang++', '-DPENSTOCK_FUZZ=libfuzzer', `-DPENSTOCK_SANITIZE=${SANITIZE},fuzzer-no-link`]
    : ['-DPENSTOCK_FUZZ=own', `-DPENSTOCK_SANITIZE=${SANITIZE}`];
  run('cmake', ['-S', ROOT, '-B', folder, ...how, '--log-level=WARNING']);
  const wanted = names.flatMap((name) => ['--target', `penstock_fuzz_${name}`]);
  run('cmake', ['--build', folder, ...wanted, '--', '--no-print-directory']);
  return folder;
}

/** One campaign; false where it found something. */
function runNative(folder, name, seconds) {
  const corpus = join(BUILD, 'corpus', name);
  for (const directory of [corpus, FOUND]) mkdirSync(directory, { recursive: true });
  const flags = [`-max_total_time=${seconds}`, `-max_len=${MAX_INPUT}`, '-print_final_stats=1', '-verbosity=0'];
  const kept = `-artifact_prefix=${join(FOUND, name)}-`;
  const env = { ...process.env, ASAN_OPTIONS: 'abort_on_error=1', UBSAN_OPTIONS: 'print_stacktrace=1' };
  const args = [...flags, kept, corpus, path('test', 'fuzz', 'seeds', name)];
  const result = spawnSync(join(folder, `penstock_fuzz_${name}`), args, { cwd: FOUND, env, encoding: 'utf8' });
  const executions = /number_of_executed_units: (\d+)/.exec(result.stderr)?.[1] ?? 'an unknown number of';
  const good = result.status === 0;
  say(`${name}: ${executions} executions in ${seconds} s, ${good ? 'nothing found' : `FOUND, see ${FOUND}`}`);
  if (!good) say(result.stderr.slice(-4000));
  return good;
}

/** The campaigns in TypeScript run under vitest, which compiles them. */
async function runCampaigns(words, seconds) {
  const env = { ...process.env, PENSTOCK_FUZZ_SECONDS: String(seconds), PENSTOCK_FUZZ_FOUND: FOUND };
  if (words.length > 0) env.PENSTOCK_FUZZ_TARGETS = words.join(',');
  const args = ['run', '--project', 'unit', 'test/fuzz', '--reporter=verbose', '--no-file-parallelism'];
  return (await passThrough(path('node_modules', '.bin', 'vitest'), args, { env })) === 0;
}

await main(async () => {
  const { values, positionals } = parseArgs({ options: { seconds: { type: 'string' } }, allowPositionals: true });
  const seconds = Number(values.seconds ?? DEFAULT_SECONDS);
  if (!(seconds > 0)) throw new SetupError('--seconds takes a number of seconds for each target');
  const isWanted = (name) => positionals.length === 0 || positionals.some((word) => name.includes(word));
  const names = targets.filter((name) => existsSync(path('test', 'fuzz', 'native', `${name}.cc`)) && isWanted(name));
  let good = true;
  if (names.length > 0) {
    const folder = build(names, hasLibFuzzer());
    for (const name of names) good = runNative(folder, name, seconds) && good;
  }
  good = (await runCampaigns(positionals, seconds)) && good;
  process.exitCode = good ? 0 : 1;
});

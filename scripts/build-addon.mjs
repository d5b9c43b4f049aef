// Builds the native addon, or its C++ tests. Quick where nothing changed.
//   node scripts/build-addon.mjs [--cmake|--gyp]                          the addon (cmake-js where cmake is there)
//   node scripts/build-addon.mjs --tests [--sanitize address|thread] […]  builds and runs test/native; words select tests
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findCommand, main, passThrough, ROOT, run, SetupError, say } from './lib/run.mjs';

const CMAKE_OUTPUT = join(ROOT, 'build', 'Release', 'penstock.node');
const GYP_FOLDER = join(ROOT, 'build-gyp');
const GYP_OUTPUT = join(GYP_FOLDER, 'build', 'Release', 'penstock.node');
const INPUTS = ['native', 'CMakeLists.txt', 'binding.gyp', 'node_modules/node-addon-api/package.json'];
const JOBS = String(availableParallelism());
// What each word stands for; undefined behaviour costs so little that it goes with the addresses.
const SANITIZERS = { address: 'address,undefined', thread: 'thread' };

const path = (...parts) => join(ROOT, ...parts);

/** The newest change below a path; a folder's own time tells of removed files. */
function newest(file) {
  const info = statSync(file);
  if (!info.isDirectory()) return info.mtimeMs;
  return Math.max(info.mtimeMs, ...readdirSync(file).map((name) => newest(join(file, name))));
}

/** The part of the addon that uses V8 is bound to a major version of Node. */
const target = `${process.arch} node ${process.versions.modules}\n`;
const stampOf = (output) => `${output}.target`;

function isCurrent(output) {
  const stamp = stampOf(output);
  if (!existsSync(output) || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== target) return false;
  return statSync(output).mtimeMs >= Math.max(...INPUTS.map((input) => newest(path(input))));
}

/** Where include/node of this very Node lies, if anywhere: a distribution's headers, or an unpacked tarball. */
function nodeDirectory() {
  const candidates = [process.env.npm_config_nodedir, resolve(process.execPath, '../..'), '/usr', '/usr/local'];
  return candidates.find((candidate) => candidate && hasHeaders(candidate));
}

function hasHeaders(directory) {
  const version = join(directory, 'include', 'node', 'node_version.h');
  if (!existsSync(version)) return false;
  const modules = /#define NODE_MODULE_VERSION (\d+)/.exec(readFileSync(version, 'utf8'))?.[1];
  return modules === process.versions.modules;
}

/** Both builders read this variable; without it they download the headers. */
function builderEnvironment() {
  const { npm_config_nodedir: _, ...environment } = process.env;
  const directory = nodeDirectory();
  if (!directory) say('no headers of this Node found beside it: the builder downloads them');
  return directory ? { ...environment, npm_config_nodedir: directory } : environment;
}

/** A build folder that node-gyp or another Node left behind is of no use to cmake. */
function discardForeignBuild() {
  const cache = path('build', 'CMakeCache.txt');
  const mine = `NODE_RUNTIMEVERSION:UNINITIALIZED=${process.versions.node}\n`;
  if (existsSync(cache) && readFileSync(cache, 'utf8').includes(mine)) return;
  rmSync(path('build'), { recursive: true, force: true });
}

function buildWithCmake() {
  discardForeignBuild();
  const script = path('node_modules', 'cmake-js', 'bin', 'cmake-js');
  const args = [script, 'build', '--target', 'penstock', '--parallel', JOBS, '--log-level', 'warn'];
  run(process.execPath, args, { env: builderEnvironment() });
}

/** node-gyp insists on a folder `build` beside binding.gyp, which is cmake's: it gets a folder of links. */
function buildWithGyp() {
  mkdirSync(GYP_FOLDER, { recursive: true });
  for (const name of ['binding.gyp', 'native']) {
    rmSync(join(GYP_FOLDER, name), { force: true });
    symlinkSync(join('..', name), join(GYP_FOLDER, name));
  }
  const script = path('node_modules', 'node-gyp', 'bin', 'node-gyp.js');
  const args = [script, 'configure', 'build', '--directory', GYP_FOLDER, '--jobs', JOBS, '--loglevel', 'warn'];
  run(process.execPath, args, { env: builderEnvironment() });
}

function build(output, builder) {
  if (isCurrent(output)) return;
  say(`building the addon (${builder === buildWithGyp ? 'node-gyp' : 'cmake-js'})`);
  const started = new Date();
  builder();
  if (!existsSync(output)) throw new SetupError(`the build ended well but made no ${output}`);
  writeFileSync(stampOf(output), target);
  // The linker leaves a module alone that came out the same; its time must not call for another build.
  utimesSync(output, started, started);
}

async function runTests(sanitize, words) {
  if (!findCommand('cmake')) throw new SetupError('the C++ tests need cmake. Type:\n\n  sudo apt-get install cmake\n');
  const folder = path(sanitize ? `build-tests-${sanitize}` : 'build-tests');
  run('cmake', ['-S', ROOT, '-B', folder, `-DPENSTOCK_SANITIZE=${SANITIZERS[sanitize] ?? ''}`, '--log-level=WARNING']);
  run('cmake', [
    '--build',
    folder,
    '--target',
    'penstock_native_tests',
    '--parallel',
    JOBS,
    '--',
    '--no-print-directory',
  ]);
  return await passThrough(join(folder, 'penstock_native_tests'), words);
}

function readArguments() {
  const options = {
    cmake: { type: 'boolean' },
    gyp: { type: 'boolean' },
    tests: { type: 'boolean' },
    sanitize: { type: 'string' },
  };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  if (values.sanitize !== undefined && !Object.hasOwn(SANITIZERS, values.sanitize)) {
    throw new SetupError(`--sanitize takes ${Object.keys(SANITIZERS).join(' or ')}`);
  }
  if (values.sanitize !== undefined && !values.tests) throw new SetupError('--sanitize goes with --tests');
  if (values.cmake && values.gyp) throw new SetupError('--cmake or --gyp, not both');
  return { ...values, words: positionals };
}

await main(async () => {
  const { cmake, gyp, tests, sanitize, words } = readArguments();
  if (tests) {
    process.exitCode = await runTests(sanitize, words);
  } else if (gyp || (!cmake && !findCommand('cmake'))) {
    build(GYP_OUTPUT, buildWithGyp);
  } else {
    build(CMAKE_OUTPUT, buildWithCmake);
  }
});

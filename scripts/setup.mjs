// All set-up: npm packages, build tools, TypeScript, addon; with --test also the real peers.
// Does only what is missing or out of date, so a second run is quick. `--test` is for test.mjs.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BUILD_TOOLS, ensurePackages, NPM_PEERS, TEST_PEERS } from './lib/packages.mjs';
import { main, ROOT, run, SetupError, say } from './lib/run.mjs';

const MIN_NODE = [20, 17];

const path = (...parts) => join(ROOT, ...parts);
const readJson = (...parts) => JSON.parse(readFileSync(path(...parts), 'utf8'));

function checkPlatform() {
  if (process.platform !== 'linux') throw new SetupError('penstock runs on Linux only');
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1])) {
    throw new SetupError(`Node ${MIN_NODE.join('.')} or newer is needed, this is ${process.version}`);
  }
}

/** Whether node_modules holds what package-lock.json asks for; npm notes in a hidden file what it installed. */
function packagesAreCurrent() {
  if (!existsSync(path('node_modules', '.package-lock.json'))) return false;
  const wanted = Object.entries(readJson('package-lock.json').packages).filter(([name]) => name !== '');
  const installed = readJson('node_modules', '.package-lock.json').packages;
  // An optional package may be missing: it is for another platform.
  return wanted.every(([name, { version, optional }]) =>
    installed[name] ? installed[name].version === version : optional === true,
  );
}

function installPackages() {
  if (packagesAreCurrent()) return;
  say('installing npm packages');
  // The install script of this package would build the addon; that is a step of its own here.
  run('npm', ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund']);
}

function* filesBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(file);
    else yield file;
  }
}

/** A digest of names, sizes and times of all that the compiler reads: a deleted file changes it too. */
function sourcesDigest() {
  const files = [
    ...filesBelow(path('src')),
    path('tsconfig.json'),
    path('tsconfig.build.json'),
    path('package-lock.json'),
  ];
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const { size, mtimeMs } = statSync(file);
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function compile() {
  const stamp = path('dist', '.sources'); // the digest of what dist was made from
  const digest = sourcesDigest();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  say('compiling TypeScript');
  // Into a new folder: no output of a source that is gone, and a failure leaves what runs alone.
  const fresh = path('build-dist');
  rmSync(fresh, { recursive: true, force: true });
  run(path('node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.build.json', '--outDir', fresh]);
  chmodSync(join(fresh, 'main.js'), 0o755);
  writeFileSync(join(fresh, '.sources'), digest);
  rmSync(path('dist'), { recursive: true, force: true });
  renameSync(fresh, path('dist'));
}

/** `npx penstock` finds the command of the package it stands in only through this link. */
function linkCommand() {
  const link = path('node_modules', '.bin', 'penstock');
  if (existsSync(link)) return;
  mkdirSync(path('node_modules', '.bin'), { recursive: true });
  rmSync(link, { force: true }); // a dangling one
  symlinkSync('../../dist/main.js', link);
}

/** Servers for the tests that only npm has; no part of us, so they have a folder of their own. */
function installNpmPeers() {
  const missing = Object.entries(NPM_PEERS).filter(([name]) => !existsSync(path('build-peers', 'node_modules', name)));
  if (missing.length === 0) return;
  const wanted = missing.map(([name, version]) => `${name}@${version}`);
  say(`tests with real servers: installing ${wanted.join(' ')}`);
  mkdirSync(path('build-peers'), { recursive: true });
  writeFileSync(path('build-peers', 'package.json'), '{ "private": true }\n');
  run('npm', ['install', '--prefix', path('build-peers'), '--ignore-scripts', '--no-audit', '--no-fund', ...wanted]);
}

function preparePeers() {
  ensurePackages(TEST_PEERS, 'tests with real servers and players');
  installNpmPeers();
  if (process.getuid() !== 0) {
    throw new SetupError('the tests with real peers make network namespaces and need root. Type:\n\n  sudo npm test\n');
  }
}

await main(() => {
  checkPlatform();
  installPackages();
  ensurePackages(BUILD_TOOLS, 'building the addon');
  compile();
  run(process.execPath, [path('scripts', 'build-addon.mjs')]);
  linkCommand();
  if (process.argv.includes('--test')) preparePeers();
});

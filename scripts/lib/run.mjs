import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. Every script works from there, wherever it is called. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What a person must do before set-up can go on; printed without a stack. */
export class SetupError extends Error {}

/** Progress goes to stderr: stdout belongs to the command that follows, such as `show --json`. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** Runs a command, its stdout on our stderr. Throws SetupError when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2], ...options });
  if (result.error) throw new SetupError(`${command} cannot be run: ${result.error.message}`);
  if (result.status !== 0) {
    throw new SetupError(`failed (${result.status ?? result.signal}): ${[command, ...args].join(' ')}`);
  }
}

/** Runs a command on our own terminal; its exit status (a signal counts as 1). Passes our signals on. */
export async function passThrough(command, args, options = {}) {
  const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  const forward = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, forward);
  const status = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, forward);
  return status;
}

/** The first executable of that name in PATH or where administrators' tools live. */
export function findCommand(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false; // not there, or not ours to run: the same for a search
  }
}

/** Runs the main function of a script; a SetupError ends it with its text and status 1. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`\n${error.message}`);
    process.exitCode = 1;
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/types.js';
import type { NativeBinding } from '../engine/binding.js';
import { type EngineInheritance, FIRST_INHERITED_FD, type ToEngine } from './ipc.js';

const ENTRY = fileURLToPath(new URL('./engine-entry.js', import.meta.url));

/** Starts an engine: it inherits the region, a socket to the vault and the wake descriptors. */
export function startEngine(
  binding: NativeBinding,
  config: Config,
  regionFd: number,
  wakeFds: readonly number[],
): ChildProcess {
  const [ours, theirs] = binding.socketPair();
  const inheritance: EngineInheritance = {
    regionFd: FIRST_INHERITED_FD,
    vaultFd: FIRST_INHERITED_FD + 1,
    wakeFds: wakeFds.map((_, thread) => FIRST_INHERITED_FD + 2 + thread),
  };
  const child = spawn(process.execPath, [...process.execArgv, ENTRY], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', regionFd, theirs, ...wakeFds],
    env: { ...process.env, PENSTOCK_ENGINE: JSON.stringify(inheritance) },
  });
  binding.closeFd(theirs);
  binding.vaultAttachEngine(ours);
  child.send({ type: 'init', config } satisfies ToEngine);
  return child;
}

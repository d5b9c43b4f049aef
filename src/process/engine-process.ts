import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/types.js';
import type { NativeBinding, OffloadMaps } from '../engine/binding.js';
import { type EngineInheritance, FIRST_INHERITED_FD, type ToEngine } from './ipc.js';

const ENTRY = fileURLToPath(new URL('./engine-entry.js', import.meta.url));

/** Starts an engine: it inherits the region, a socket to the vault, the wake descriptors and what there is for offload. */
export function startEngine(
  binding: NativeBinding,
  config: Config,
  regionFd: number,
  wakeFds: readonly number[],
  offload: OffloadMaps | number,
): ChildProcess {
  const [ours, theirs] = binding.socketPair();
  const tables = typeof offload === 'number' ? [] : [offload.flowsFd, offload.cellsFd, offload.interfacesFd];
  const firstTable = FIRST_INHERITED_FD + 2 + wakeFds.length;
  const inheritance: EngineInheritance = {
    regionFd: FIRST_INHERITED_FD,
    vaultFd: FIRST_INHERITED_FD + 1,
    wakeFds: wakeFds.map((_, thread) => FIRST_INHERITED_FD + 2 + thread),
    offload:
      typeof offload === 'number'
        ? offload
        : { flowsFd: firstTable, cellsFd: firstTable + 1, interfacesFd: firstTable + 2 },
  };
  const child = spawn(process.execPath, [...process.execArgv, ENTRY], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', regionFd, theirs, ...wakeFds, ...tables],
    env: { ...process.env, PENSTOCK_ENGINE: JSON.stringify(inheritance) },
  });
  binding.closeFd(theirs);
  binding.vaultAttachEngine(ours);
  child.send({ type: 'init', config } satisfies ToEngine);
  return child;
}

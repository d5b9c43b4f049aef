import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/types.js';
import type { NativeBinding, OffloadMaps } from '../engine/binding.js';
import { type EngineInheritance, FIRST_INHERITED_FD, type ToEngine } from './ipc.js';

const ENTRY = fileURLToPath(new URL('./engine-entry.js', import.meta.url));

export interface EngineProcessOptions {
  binding: NativeBinding;
  config: Config;
  regionFd: number;
  /** One eventfd per engine thread, and one per worker. */
  wakeFds: readonly number[];
  inboxFds: readonly number[];
  offload: OffloadMaps | number;
}

/** Starts an engine: it inherits the region, a socket to the vault, the wake descriptors and what there is for offload. */
export function startEngine(options: EngineProcessOptions): ChildProcess {
  const { binding, config, regionFd, wakeFds, inboxFds, offload } = options;
  const [ours, theirs] = binding.socketPair();
  const tables = typeof offload === 'number' ? [] : [offload.flowsFd, offload.cellsFd, offload.interfacesFd];
  const firstInbox = FIRST_INHERITED_FD + 2 + wakeFds.length;
  const firstTable = firstInbox + inboxFds.length;
  const inheritance: EngineInheritance = {
    regionFd: FIRST_INHERITED_FD,
    vaultFd: FIRST_INHERITED_FD + 1,
    wakeFds: wakeFds.map((_, thread) => FIRST_INHERITED_FD + 2 + thread),
    workerWakeFds: inboxFds.map((_, worker) => firstInbox + worker),
    offload:
      typeof offload === 'number'
        ? offload
        : { flowsFd: firstTable, cellsFd: firstTable + 1, interfacesFd: firstTable + 2 },
  };
  const child = spawn(process.execPath, [...process.execArgv, ENTRY], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', regionFd, theirs, ...wakeFds, ...inboxFds, ...tables],
    env: { ...process.env, PENSTOCK_ENGINE: JSON.stringify(inheritance) },
  });
  binding.closeFd(theirs);
  binding.vaultAttachEngine(ours);
  child.send({ type: 'init', config } satisfies ToEngine);
  return child;
}

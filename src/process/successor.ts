import type { Config } from '../config/types.js';
import type { NativeBinding } from '../engine/binding.js';
import { SharedRegion } from '../engine/shared-region.js';
import { createEstate, type Estate, servicesOf, sizesOf } from './estate.js';
import { type OpenListener, openListeners } from './listeners.js';
import { nameOf } from './service-table.js';
import {
  BEQUEST_VARIABLE,
  type Bequest,
  type Holdings,
  type ToPredecessor,
  type ToSuccessor,
  type UpgradeMode,
} from './upgrade-messages.js';

const VAULT_POLL_MS = 5;

/** A primary's side of taking the place of another one, which started it. */
export class Successor {
  readonly mode: UpgradeMode;
  readonly estate: Estate;
  readonly #binding: NativeBinding;
  readonly #bequest: Bequest;
  readonly #reason: string | undefined;

  /** Throws PENSTOCK_ERR_BIND for a listen address that the predecessor does not have and nobody can get. */
  constructor(binding: NativeBinding, config: Config, bequest: Bequest) {
    this.#binding = binding;
    this.#bequest = bequest;
    const listeners = openListeners(binding, config, bequest.listeners);
    this.#reason = whyNot(binding, config, bequest);
    this.mode = this.#reason === undefined ? 'adopt' : 'drain';
    this.estate =
      this.mode === 'adopt' ? adoptEstate(binding, bequest, listeners) : createEstate(binding, config, listeners);
  }

  /** Of this process, if a predecessor started it. To be asked once: children must not take it for theirs. */
  static findBequest(): Bequest | undefined {
    const text = process.env[BEQUEST_VARIABLE];
    delete process.env[BEQUEST_VARIABLE];
    return text === undefined ? undefined : (JSON.parse(text) as Bequest);
  }

  /** Resolves with what is to be expected in the vault when the predecessor has let go; rejects when it ends before. */
  claim(): Promise<Holdings> {
    return new Promise((resolve, reject) => {
      process.once('message', ({ holdings }: ToSuccessor) => resolve(holdings));
      process.once('disconnect', () => reject(new Error('the predecessor ended before it let go')));
      this.#tell({
        type: 'prepared',
        mode: this.mode,
        ...(this.#reason === undefined ? {} : { reason: this.#reason }),
      });
    });
  }

  /** Takes every socket out of the predecessor's vault into ours, which has been started. */
  async inherit(expected: Holdings): Promise<void> {
    if (this.mode === 'drain') return;
    // To our vault the other one is a worker that hands over streams; no worker has this index.
    this.#binding.vaultAttachWorker(this.estate.region.geometry.workers, this.#bequest.vaultFd);
    const isWhole = ({ streams, wires }: Holdings) => streams >= expected.streams && wires >= expected.wires;
    while (!isWhole(this.#binding.vaultStats())) await pause(VAULT_POLL_MS);
    forgetKernelCounts(this.estate.region);
  }

  /** `onAlone`: the predecessor has given up its place, or is gone. */
  ready(onAlone: () => void): void {
    process.once('disconnect', onAlone);
    this.#tell({ type: 'ready' });
    if (!process.connected) onAlone();
  }

  #tell(message: ToPredecessor): void {
    if (process.connected) process.send?.(message);
  }
}

function adoptEstate(binding: NativeBinding, bequest: Bequest, listeners: OpenListener[]): Estate {
  const { regionFd, wakeFds, inboxFds } = bequest;
  const region = new SharedRegion(binding.mapRegion(regionFd), binding.layout);
  return { regionFd, region, wakeFds, inboxFds, listeners };
}

/** What does not fit what is there; undefined if all does. */
function whyNot(binding: NativeBinding, config: Config, bequest: Bequest): string | undefined {
  const { version } = binding.layout;
  if (bequest.layoutVersion !== version) {
    return `the shared memory has layout ${bequest.layoutVersion}, this version uses ${version}`;
  }
  for (const [name, size] of Object.entries(sizesOf(config))) {
    const before = bequest.sizes[name];
    if (before !== size) return `${name} changed from ${before} to ${size}`;
  }
  const services = servicesOf(config).map((service) => nameOf({ service }));
  const former = bequest.services.filter((name) => name !== '');
  return services.sort().join() === former.sort().join() ? undefined : 'the services changed';
}

/** The kernel's own counts begin anew with our BPF program. No engine runs at this time. */
function forgetKernelCounts(region: SharedRegion): void {
  const { legData, limits } = region.layout;
  const { workers, streamsPerWorker } = region.geometry;
  for (let stream = 0; stream < workers * streamsPerWorker; stream++) {
    for (let leg = 0; leg < limits.legsPerStream; leg++) {
      const row = region.legDataAt(stream, leg);
      region.setU64(row + legData.kernelPackets, 0);
      region.setU64(row + legData.kernelBytes, 0);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

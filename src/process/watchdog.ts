import type { NativeBinding } from '../engine/binding.js';
import { readProcess } from '../engine/process-slots.js';
import { ENGINE_SLOT, type SharedRegion, workerSlot } from '../engine/shared-region.js';

/** An engine thread turns its loop at least four times a second, traffic or not. */
const ENGINE_STALL_MS = 3_000;
/** A worker's event loop may be busy, but not as long as this. */
const WORKER_STALL_MS = 10_000;
const CHECK_MS = 500;

export interface WatchdogOptions {
  region: SharedRegion;
  binding: NativeBinding;
  onStall(process: 'engine' | number, pid: number, stalledMs: number): void;
}

/** Finds children that live but do nothing. To kill one is safe: nothing that must last is theirs. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  /** By engine thread: the loop counter, and since when it stands. */
  readonly #loops: { count: number; since: number }[] = [];
  #engineEpoch = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.check(), CHECK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  check(): void {
    this.#checkEngine();
    for (let worker = 0; worker < this.#options.region.geometry.workers; worker++) this.#checkWorker(worker);
  }

  #checkEngine(): void {
    const { region, binding, onStall } = this.#options;
    const engine = readProcess(region, ENGINE_SLOT);
    if (engine.state !== 'ready') return;
    if (engine.epoch !== this.#engineEpoch) this.#loops.length = 0;
    this.#engineEpoch = engine.epoch;
    const now = binding.monotonicMs();
    for (let thread = 0; thread < region.geometry.engineThreads; thread++) {
      const count = this.#readLoops(thread);
      const known = this.#loops[thread];
      if (known?.count !== count) {
        this.#loops[thread] = { count, since: now };
      } else if (now - known.since > ENGINE_STALL_MS) {
        this.#loops.length = 0;
        onStall('engine', engine.pid, now - known.since);
        return;
      }
    }
  }

  #readLoops(thread: number): number {
    const { region } = this.#options;
    const field = region.layout.counters.find(({ name }) => name === 'loops');
    return field ? region.getU64(region.countersAt(thread) + field.offset) : 0;
  }

  #checkWorker(worker: number): void {
    const { region, binding, onStall } = this.#options;
    const { state, pid, heartbeatMs } = readProcess(region, workerSlot(worker));
    const stalledMs = binding.monotonicMs() - heartbeatMs;
    if (state === 'ready' && stalledMs > WORKER_STALL_MS) onStall(worker, pid, stalledMs);
  }
}

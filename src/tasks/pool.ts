import { Piscina } from 'piscina';
import type { SharedRegion } from '../engine/shared-region.js';
import type { HeldListenerReport, SessionReport, TierCounts } from './reports.js';
import type { Snapshot, SnapshotTask } from './sessions-snapshot.js';
import type { Names } from './snapshot.js';

const MAX_THREADS = 2;
/** A thread that had nothing to do this long ends; the first task of all starts one. */
const IDLE_MS = 30_000;
/** Requests beyond this are refused rather than gathered. */
const MAX_QUEUE = 64;
const SCRIPT = new URL('./sessions-snapshot.js', import.meta.url).href;

/**
 * Threads for work that would stall an event loop. The region goes to them as it is: the memory is
 * shared, nothing of it is copied.
 */
export class TaskPool {
  readonly #region: SharedRegion;
  readonly #names: () => Names;
  readonly #pool: Piscina<SnapshotTask, Snapshot>;

  /** `script` is the compiled task file; only tests, which run uncompiled, name another one. */
  constructor(region: SharedRegion, names: () => Names, script = SCRIPT) {
    this.#region = region;
    this.#names = names;
    this.#pool = new Piscina({
      filename: script,
      minThreads: 0,
      maxThreads: MAX_THREADS,
      maxQueue: MAX_QUEUE,
      idleTimeout: IDLE_MS,
    });
  }

  async sessions(): Promise<SessionReport[]> {
    return (await this.#pool.run(this.#task('sessions'))) as SessionReport[];
  }

  async listeners(): Promise<HeldListenerReport[]> {
    return (await this.#pool.run(this.#task('listeners'))) as HeldListenerReport[];
  }

  async tiers(): Promise<TierCounts> {
    return (await this.#pool.run(this.#task('tiers'))) as TierCounts;
  }

  /** Waits for running tasks; idempotent. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  #task(what: SnapshotTask['what']): SnapshotTask {
    return { what, memory: this.#region.memory, layout: this.#region.layout, names: this.#names() };
  }
}

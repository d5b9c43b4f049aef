/** Timer period: the jitter that pacing adds. */
export const TICK_MS = 5;
/** Longest wait that the wheel holds at once (SLOTS × TICK_MS); a longer one passes it several times. */
const SLOTS = 512;
/** After this long the timer gives way to RTSP; what is due then is sent a little later. */
export const MAX_RUN_MS = 20;

export interface Paced {
  /** Does what is due at `nowMs` (the pacer's clock) and tells when to be called again; undefined: never. */
  onTick(nowMs: number): number | undefined;
}

/**
 * One timer for any number of sessions: a timer wheel, so that a session costs work only when it has something due.
 * The timer runs only while somebody waits.
 */
export class Pacer {
  readonly #now: () => number;
  readonly #slots: Set<Paced>[] = Array.from({ length: SLOTS }, () => new Set<Paced>());
  readonly #waiting = new Map<Paced, { dueTick: number; slot: Set<Paced> }>();
  #timer: NodeJS.Timeout | undefined;
  #lastTick = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get nowMs(): number {
    return this.#now();
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Calls `paced.onTick` at or soon after `atMs`. A former wait of the same object is replaced. */
  add(paced: Paced, atMs: number): void {
    this.remove(paced);
    if (!this.#timer) this.#start();
    const dueTick = Math.max(Math.ceil(atMs / TICK_MS), this.#lastTick + 1);
    const slot = this.#slot(Math.min(dueTick, this.#lastTick + SLOTS - 1));
    slot.add(paced);
    this.#waiting.set(paced, { dueTick, slot });
  }

  remove(paced: Paced): void {
    this.#waiting.get(paced)?.slot.delete(paced);
    this.#waiting.delete(paced);
  }

  close(): void {
    for (const paced of [...this.#waiting.keys()]) this.remove(paced);
    this.#stop();
  }

  /** Runs all slots that time has passed. Called by the timer; by tests with their own clock. */
  advance(): void {
    const nowMs = this.#now();
    const tick = Math.floor(nowMs / TICK_MS);
    // After a long stall every slot is due once; there is no sense in going round the wheel twice.
    this.#lastTick = Math.max(this.#lastTick, tick - SLOTS);
    let isDone = this.#runSlot(nowMs + MAX_RUN_MS); // what the last time left
    while (isDone && this.#lastTick < tick) {
      this.#lastTick++;
      isDone = this.#runSlot(nowMs + MAX_RUN_MS);
    }
    if (this.#waiting.size === 0) this.#stop();
  }

  /** The slot of the last tick, until `stopMs`. False: some are left in it. */
  #runSlot(stopMs: number): boolean {
    const slot = this.#slot(this.#lastTick);
    for (const paced of [...slot]) {
      if (this.#now() >= stopMs) return false;
      const waiting = this.#waiting.get(paced);
      if (!waiting || waiting.slot !== slot) continue; // left while an earlier one ran
      const next = waiting.dueTick > this.#lastTick ? waiting.dueTick * TICK_MS : this.#run(paced);
      if (next !== undefined) this.add(paced, next);
    }
    return true;
  }

  #run(paced: Paced): number | undefined {
    this.remove(paced);
    return paced.onTick(this.#now());
  }

  #slot(tick: number): Set<Paced> {
    return this.#slots[tick % SLOTS] as Set<Paced>;
  }

  #start(): void {
    this.#lastTick = Math.floor(this.#now() / TICK_MS);
    this.#timer = setInterval(() => this.advance(), TICK_MS);
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

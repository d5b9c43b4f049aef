import type { Clock } from '../../../src/monitor/clock.js';

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; action: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#now + ms, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** Lets `ms` pass; every timer runs at its own time, and promises settle in between. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#nextUntil(end); next; next = this.#nextUntil(end)) {
      this.#timers.delete(next);
      this.#now = next.at;
      next.action();
      await settle();
    }
    this.#now = end;
  }

  #nextUntil(end: number): { at: number; action: () => void } | undefined {
    return [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
  }
}

/** All that is already resolved has run after this. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

import type { ToPrimary } from './ipc.js';

type Question = Extract<ToPrimary, { type: 'tunnel-question' }>;

/** Which worker has the tunnel of a key. */
export class TunnelRegistry {
  readonly #workers = new Map<string, number>();

  answer(worker: number, { question, key }: Question): boolean {
    if (question === 'find') return this.#workers.has(key);
    if (this.#workers.has(key)) return false;
    this.#workers.set(key, worker);
    return true;
  }

  workerOf(key: string): number | undefined {
    return this.#workers.get(key);
  }

  closed(worker: number, key: string): void {
    if (this.#workers.get(key) === worker) this.#workers.delete(key);
  }

  /** The worker died, and its tunnels with it. */
  forget(worker: number): void {
    for (const [key, owner] of this.#workers) if (owner === worker) this.#workers.delete(key);
  }
}

import type { ServiceState } from './balancer.js';

/** Sums of 1/weight that differ by less are equal but for rounding: weights end at 1000, sums grow by 1 per round. */
const TIE = 1e-6;

/**
 * Weighted turns that several workers take from one order without a lock.
 *
 * A service that is given a turn advances by 1/weight; the one that is least advanced is next. Each worker adds to its
 * own cell and all read the sum, so it does not matter which worker a client reaches: after each full round (as many
 * clients as the weights add up to) every service has exactly its weight.
 *
 * A service that could not be chosen for a while (down, drained, full) has missed its turns and does not get them
 * back: it is brought forward to the others (the start tag of start-time fair queueing), so a returning server is not
 * flooded, and a changed weight counts from now on. No base, no epoch, nothing to reset when a worker dies.
 *
 * Two workers that choose within the same microseconds may both take the same turn (single-writer cells cannot decide
 * who was first). Both are counted, so the next choice makes up for it; the floor below leaves room for one turn of
 * each worker, so that nothing of that is forgotten. Among equals the first wins, in every worker: that keeps the order
 * periodic, and any run of full rounds exact wherever it begins.
 */
export class Turns {
  readonly #workers: number;

  constructor(workers: number) {
    this.#workers = workers;
  }

  /** Gives the next turn to one of `candidates` and counts it. */
  take<S extends ServiceState>(candidates: readonly S[]): S | undefined {
    const given = candidates.map((service) => service.turns());
    const floor = this.#floor(candidates, given);
    let next = -1;
    let nextStart = Number.POSITIVE_INFINITY;
    for (const [at, turns] of given.entries()) {
      const start = Math.max(turns, floor);
      if (start >= nextStart - TIE) continue;
      next = at;
      nextStart = start;
    }
    const service = candidates[next];
    service?.addTurns(nextStart - (given[next] ?? 0) + 1 / service.weight);
    return service;
  }

  /** Nobody is further back than this: in an undisturbed order nobody ever is. */
  #floor(candidates: readonly ServiceState[], given: readonly number[]): number {
    let floor = 0;
    for (const [at, service] of candidates.entries()) {
      floor = Math.max(floor, (given[at] ?? 0) - this.#workers / service.weight);
    }
    return floor;
  }
}

import { type Balancer, type RouteKey, relativeLoad, type ServiceState } from './balancer.js';
import type { Turns } from './turns.js';

/** Quotients of small whole numbers; what differs by less is rounding. */
const TIE = 1e-9;

/**
 * The service with the fewest sessions (of all workers, pending connections included) for its weight. Equals take
 * turns by weight, so that clients who come one after the other has gone are shared out too.
 */
export class LeastSessions implements Balancer {
  readonly #turns: Turns;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  pick<S extends ServiceState>(_key: RouteKey, candidates: readonly S[]): S | undefined {
    const loads = candidates.map(relativeLoad);
    const least = loads.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) + TIE;
    return this.#turns.take(candidates.filter((_, at) => (loads[at] ?? least) <= least));
  }
}

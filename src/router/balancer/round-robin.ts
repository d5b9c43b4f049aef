import type { Balancer, RouteKey, ServiceState } from './balancer.js';
import type { Turns } from './turns.js';

/** Smooth weighted round-robin, one order for all workers: each service gets its weight in every round. */
export class RoundRobin implements Balancer {
  readonly #turns: Turns;

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  pick<S extends ServiceState>(_key: RouteKey, candidates: readonly S[]): S | undefined {
    return this.#turns.take(candidates);
  }
}

import { type Balancer, type RouteKey, relativeLoad, type ServiceState } from './balancer.js';

/**
 * Draws two different services, each with a chance by its weight, and takes the one with less load for its weight.
 * Needs no agreement between workers and never herds: the method for many workers or stale counts.
 */
export class RandomTwo implements Balancer {
  readonly #random: () => number;

  /** `random` gives 0 ≤ x < 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  pick<S extends ServiceState>(_key: RouteKey, candidates: readonly S[]): S | undefined {
    const first = this.#draw(candidates);
    const second = this.#draw(candidates.filter((service) => service !== first));
    if (!first || !second) return first;
    return relativeLoad(second) < relativeLoad(first) ? second : first;
  }

  #draw<S extends ServiceState>(services: readonly S[]): S | undefined {
    let point = this.#random() * services.reduce((sum, service) => sum + service.weight, 0);
    for (const service of services) {
      point -= service.weight;
      if (point < 0) return service;
    }
    return services.at(-1);
  }
}

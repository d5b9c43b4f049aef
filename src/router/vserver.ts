import type { Method } from '../config/types.js';
import { type Balancer, type BalancerOptions, createBalancer, type RouteKey } from './balancer/index.js';
import type { Service } from './service.js';

const NONE: ReadonlySet<Service> = new Set();

export interface VserverOptions {
  name: string;
  method: Method;
  services: readonly Service[];
}

/** A pool of services with a balancing method. */
export class Vserver {
  readonly name: string;
  readonly #options: BalancerOptions;
  #method: Method;
  #services: readonly Service[];
  #balancer: Balancer;
  /** The weights that the balancer knows. */
  #weights: readonly number[] = [];

  constructor({ name, method, services }: VserverOptions, options: BalancerOptions) {
    this.name = name;
    this.#options = options;
    this.#method = method;
    this.#services = services;
    this.#balancer = createBalancer(method, options);
    this.#tellWeights();
  }

  get method(): Method {
    return this.#method;
  }

  get services(): readonly Service[] {
    return this.#services;
  }

  /** Another pool, or another method. */
  update({ method, services }: Omit<VserverOptions, 'name'>): void {
    if (method !== this.#method) this.#balancer = createBalancer(method, this.#options);
    this.#method = method;
    this.#services = services;
    this.#tellWeights();
  }

  /**
   * The service for a new client; undefined if none can take it (`why` tells). Counts the turn but no connection:
   * call it through `Router.route`, whose claim does. `exclude`: those already tried for this client.
   */
  pick(key: RouteKey, exclude: ReadonlySet<Service> = NONE): Service | undefined {
    if (this.services.some((service, at) => service.weight !== this.#weights[at])) this.#tellWeights();
    const usable = this.services.filter((service) => !exclude.has(service) && service.unusable() === undefined);
    return this.#balancer.pick(key, usable);
  }

  /** Why `pick` found no service, for the log line of a 503. */
  why(exclude: ReadonlySet<Service> = NONE): string {
    if (this.services.length === 0) return `vserver ${this.name} has no services`;
    const reasons = this.services.map((service) => {
      const reason = exclude.has(service) ? 'tried and failed' : (service.unusable() ?? 'usable');
      return `${service.name} (${service.ip} port ${service.port}) ${reason}`;
    });
    return `no service of vserver ${this.name} can take a session: ${reasons.join(', ')}`;
  }

  #tellWeights(): void {
    this.#weights = this.services.map((service) => service.weight);
    this.#balancer.changed?.(this.services);
  }
}

import type { Method } from '../../config/types.js';
import type { Balancer } from './balancer.js';
import { LeastSessions } from './least-sessions.js';
import { RandomTwo } from './random-two.js';
import { RoundRobin } from './round-robin.js';
import { sourceHash } from './source-hash.js';
import { Turns } from './turns.js';
import { urlHash } from './url-hash.js';

export type { Balancer, RouteKey, ServiceState } from './balancer.js';

export interface BalancerOptions {
  /** Gives 0 ≤ x < 1. */
  rng: () => number;
  /** How many workers share the cells. */
  workers: number;
}

/** A fresh balancer; each vserver has its own. */
export function createBalancer(method: Method, { rng, workers }: BalancerOptions): Balancer {
  switch (method) {
    case 'round-robin':
      return new RoundRobin(new Turns(workers));
    case 'least-sessions':
      return new LeastSessions(new Turns(workers));
    case 'url-hash':
      return urlHash();
    case 'source-hash':
      return sourceHash();
    case 'random-two':
      return new RandomTwo(rng);
  }
}

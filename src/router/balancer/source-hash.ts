import type { Balancer } from './balancer.js';
import { Maglev } from './maglev.js';

/** Equal client addresses go to the same service. */
export function sourceHash(): Balancer {
  return new Maglev((key) => key.clientIp);
}

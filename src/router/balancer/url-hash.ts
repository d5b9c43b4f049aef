import type { Balancer } from './balancer.js';
import { Maglev } from './maglev.js';

/** Equal paths go to the same service: each stream is pulled, transcoded or cached by one server only. */
export function urlHash(): Balancer {
  return new Maglev((key) => key.path);
}

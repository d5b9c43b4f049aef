import type { ServiceStateName } from '../service-cells.js';

/** What a balancing method may know of a service. */
export interface ServiceState {
  readonly index: number;
  readonly name: string;
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly maxSessions: number;
  readonly state: ServiceStateName;
  /** Sessions and pending connections, over all workers. */
  load(): number;
  /** Turns given, over all workers; see turns.ts. */
  turns(): number;
  addTurns(amount: number): void;
}

export interface RouteKey {
  clientIp: string;
  /** From `routePath`; '' where the request names no path (`OPTIONS *`). */
  path: string;
}

/** One balancing method over the services of one vserver, in one worker. */
export interface Balancer {
  /**
   * The service for a new client, always one of `candidates`; undefined only if there are none. Every candidate is
   * usable and has a weight above 0. Synchronous, and takes the turn it gives: a second call sees the first one.
   */
  pick<S extends ServiceState>(key: RouteKey, candidates: readonly S[]): S | undefined;
  /** Called before the first `pick` and whenever members or weights changed; `members` are usable or not. */
  changed?(members: readonly ServiceState[]): void;
}

/** What a service carries relative to its share. */
export function relativeLoad(service: ServiceState): number {
  return service.load() / service.weight;
}

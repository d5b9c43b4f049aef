import type { ServiceState } from './balancer/balancer.js';
import type { OwnCell, ServiceCells, ServiceStateName } from './service-cells.js';

/** `ip` is canonical text, as in session ids. */
export interface ServiceAddress {
  readonly ip: string;
  readonly port: number;
}

export interface ServiceIdentity extends ServiceAddress {
  /** Row of the service table. */
  readonly index: number;
  readonly name: string;
  /** Addresses from which it sends media, beside its own; canonical text. */
  readonly mediaSources?: readonly string[];
}

/**
 * One RTSP server of a vserver, as a worker sees it. Holds no state of its own: everything is read from the shared
 * cells at the moment it is asked for, and what this worker does is written to its own column.
 */
export class Service implements ServiceState {
  readonly index: number;
  readonly ip: string;
  readonly port: number;
  readonly #cells: ServiceCells;
  #name: string;
  #mediaSources: readonly string[];

  constructor(identity: ServiceIdentity, cells: ServiceCells) {
    this.index = identity.index;
    this.ip = identity.ip;
    this.port = identity.port;
    this.#name = identity.name;
    this.#mediaSources = identity.mediaSources ?? [];
    this.#cells = cells;
  }

  get name(): string {
    return this.#name;
  }

  get mediaSources(): readonly string[] {
    return this.#mediaSources;
  }

  /** What may change while it is the same service. */
  describe({ name, mediaSources = [] }: Pick<ServiceIdentity, 'name' | 'mediaSources'>): void {
    this.#name = name;
    this.#mediaSources = mediaSources;
  }

  get state(): ServiceStateName {
    return this.#cells.state(this.index);
  }

  get weight(): number {
    return this.#cells.weight(this.index);
  }

  get maxSessions(): number {
    return this.#cells.maxSessions(this.index);
  }

  /** Sessions and pending connections of all workers. */
  load(): number {
    return this.#cells.load(this.index);
  }

  turns(): number {
    return this.#cells.turns(this.index);
  }

  addTurns(amount: number): void {
    this.#add('turns', amount);
  }

  /**
   * Why no new session may go here, in words for a log line; undefined if one may. A service that no monitor has
   * judged yet may be used. Requests of existing sessions do not ask.
   */
  unusable(): string | undefined {
    const { state, maxSessions } = this;
    if (state !== 'up' && state !== 'unknown') return state;
    if (this.weight <= 0) return 'weight 0';
    if (maxSessions > 0 && this.load() >= maxSessions) return `at its limit of ${maxSessions} sessions`;
    return undefined;
  }

  /** A client connection was bound to the service and has no session yet. */
  picked(): void {
    this.#add('pending', 1);
  }

  /** That connection is gone, or could not be made, and never had a session. */
  released(): void {
    this.#subtract('pending');
  }

  /** A session was opened; `wasPending`: by a connection that was counted by `picked` until now. */
  sessionOpened(wasPending: boolean): void {
    if (wasPending) this.#subtract('pending');
    this.#add('sessions', 1);
    this.#add('sessionsTotal', 1);
  }

  sessionClosed(): void {
    this.#subtract('sessions');
  }

  connectFailed(): void {
    this.#add('connectFailures', 1);
  }

  setupRefused(): void {
    this.#add('refusedSetups', 1);
  }

  requestSent(): void {
    this.#add('requestsTotal', 1);
  }

  /** A successor takes over the column of a dead worker: `sessions` live on, its connections do not. */
  adopt(sessions: number): void {
    this.#cells.setOwn(this.index, 'sessions', sessions);
    this.#cells.setOwn(this.index, 'pending', 0);
  }

  #add(cell: OwnCell, amount: number): void {
    this.#cells.setOwn(this.index, cell, this.#cells.own(this.index, cell) + amount);
  }

  // The cells are unsigned: one report too many must not turn into four thousand million sessions.
  #subtract(cell: 'sessions' | 'pending'): void {
    const value = this.#cells.own(this.index, cell);
    if (value > 0) this.#cells.setOwn(this.index, cell, value - 1);
  }
}

import type { LimitsConfig } from '../config/types.js';
import type { ClientCells } from '../engine/client-cells.js';
import { PenstockError } from '../errors.js';
import { RequestRates } from './request-rates.js';

/** Whether one more connection, request, session or stream of a client may be, by the limits of the configuration. */
export class Admission {
  readonly counters = { connectionsRefused: 0, requestsLimited: 0, sessionsLimited: 0, setupsLimited: 0 };
  readonly #limits: LimitsConfig;
  readonly #clients: ClientCells;
  readonly #rates: RequestRates;

  constructor(limits: LimitsConfig, clients: ClientCells, now: () => number) {
    this.#limits = limits;
    this.#clients = clients;
    this.#rates = new RequestRates(() => limits.clientRequests, now);
  }

  /** Counts a connection, unless it is one too many. */
  connect(ip: string): boolean {
    const full =
      this.#clients.total('connections') >= this.#limits.connections ||
      this.#clients.count('connections', ip) >= this.#limits.clientConnections;
    if (full) this.counters.connectionsRefused++;
    else this.#clients.add('connections', ip, 1);
    return !full;
  }

  /** Counts a connection that a predecessor had accepted. */
  adopt(ip: string): void {
    this.#clients.add('connections', ip, 1);
  }

  disconnect(ip: string): void {
    this.#clients.add('connections', ip, -1);
  }

  /** Throws PENSTOCK_ERR_TOO_MANY_REQUESTS. */
  request(ip: string): void {
    if (this.#rates.take(ip)) return;
    this.counters.requestsLimited++;
    throw new PenstockError('PENSTOCK_ERR_TOO_MANY_REQUESTS', `more than ${this.#limits.clientRequests} a second`);
  }

  /**
   * A SETUP that may begin a session holds the place of one until it is called off; a session that comes about
   * counts for itself. Throws PENSTOCK_ERR_TOO_MANY_SESSIONS.
   */
  reserveSession(ip: string): () => void {
    if (this.#clients.count('sessions', ip) >= this.#limits.clientSessions) {
      this.counters.sessionsLimited++;
      throw new PenstockError(
        'PENSTOCK_ERR_TOO_MANY_SESSIONS',
        `the client has ${this.#limits.clientSessions} sessions`,
      );
    }
    this.#clients.add('sessions', ip, 1);
    return () => this.#clients.add('sessions', ip, -1);
  }

  /** `setUps`: those that the session had. Throws PENSTOCK_ERR_TOO_MANY_SETUPS. */
  setUp(setUps: number): void {
    if (setUps < this.#limits.sessionSetups) return;
    this.counters.setupsLimited++;
    throw new PenstockError('PENSTOCK_ERR_TOO_MANY_SETUPS', `the session had ${setUps} SETUPs`);
  }
}

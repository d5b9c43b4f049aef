import { isDeepStrictEqual } from 'node:util';
import type { ServiceConfig } from '../config/types.js';
import type { Routes } from '../egress/routes.js';
import type { ServiceRows } from '../engine/service-cells.js';
import type { Logger } from '../log/logger.js';
import type { Verdict } from '../monitor/monitor.js';
import { Monitors } from '../monitor/monitors.js';
import type { ServicePlace } from '../router/farm.js';

type Order = 'enabled' | 'draining' | 'disabled';

interface Watched {
  spec: ServiceConfig;
  leaving: boolean;
  verdict: Verdict;
  order: Order;
  reason: string;
}

const LEAVING = 'not in the configuration any more';

/** What the monitors found and what the operator ordered, made one state per service: an order outranks a verdict. */
export class ServiceHealth {
  readonly #rows: ServiceRows;
  readonly #routes: Routes;
  readonly #log: Logger;
  /** By row of the service table. */
  readonly #watched = new Map<number, Watched>();
  readonly #monitors: Monitors;

  constructor(places: readonly ServicePlace[], routes: Routes, rows: ServiceRows, log: Logger) {
    this.#routes = routes;
    this.#rows = rows;
    this.#log = log;
    this.#monitors = new Monitors({
      onChange: ({ index }, verdict, reason) => this.#onVerdict(index, verdict, reason),
    });
    for (const { row, service } of places) this.#watch(row, service, orderIn(rows, row));
  }

  start(): void {
    this.#monitors.start();
  }

  async stop(): Promise<void> {
    await this.#monitors.stop();
  }

  reason(service: number): string {
    return this.#watched.get(service)?.reason ?? '';
  }

  order(service: number, order: Order): void {
    const watched = this.#watched.get(service);
    if (!watched) return;
    watched.order = order;
    watched.reason = reasonOf(order);
    this.#publish(service, watched);
  }

  /**
   * Takes over another table. A service that stays keeps its state and what the operator ordered; the weight and the
   * limit of its row follow the configuration where that changed.
   */
  update(places: readonly ServicePlace[]): void {
    const rows = new Set(places.map(({ row }) => row));
    for (const row of [...this.#watched.keys()]) if (!rows.has(row)) this.#forget(row);
    for (const place of places) {
      const watched = this.#watched.get(place.row);
      if (!watched) this.#begin(place);
      else if (place.leaving) this.#leave(place.row, watched);
      else this.#change(place, watched);
    }
  }

  /** A worker saw the service fail: a connect refused, a SETUP answered 5xx. */
  failed(service: number, reason: string): void {
    this.#monitors.reportFailure(service, reason);
  }

  worked(service: number): void {
    this.#monitors.reportSuccess(service);
  }

  #begin({ row, service }: ServicePlace): void {
    this.#rows.begin(row, service);
    this.#watch(row, service, { order: 'enabled', reason: '' });
  }

  #watch(row: number, spec: ServiceConfig, order: { order: Order; reason: string }): void {
    this.#watched.set(row, { spec, leaving: false, verdict: 'unknown', ...order });
    this.#monitors.watch({ ...spec, index: row, route: this.#routes.to(row) });
  }

  /** A service that comes back while it is leaving begins anew, whatever was ordered before. */
  #change({ row, service }: ServicePlace, watched: Watched): void {
    const { spec, leaving } = watched;
    if (spec.weight !== service.weight) this.#rows.setWeight(row, service.weight);
    if (spec.maxSessions !== service.maxSessions) this.#rows.setMaxSessions(row, service.maxSessions);
    watched.spec = service;
    watched.leaving = false;
    if (leaving) this.order(row, 'enabled');
    if (leaving || !isDeepStrictEqual(spec.monitor, service.monitor)) {
      this.#monitors.watch({ ...service, index: row, route: this.#routes.to(row) });
    }
  }

  #leave(row: number, watched: Watched): void {
    if (watched.leaving) return;
    watched.leaving = true;
    watched.verdict = 'unknown';
    this.#monitors.unwatch(row);
    watched.order = 'draining';
    watched.reason = LEAVING;
    this.#publish(row, watched);
  }

  #forget(row: number): void {
    this.#monitors.unwatch(row);
    this.#watched.delete(row);
  }

  #onVerdict(service: number, verdict: Verdict, reason: string): void {
    const watched = this.#watched.get(service);
    if (!watched) return;
    watched.verdict = verdict;
    if (watched.order === 'enabled') watched.reason = verdict === 'down' ? reason : '';
    this.#publish(service, watched);
  }

  #publish(service: number, { order, verdict, spec, reason }: Watched): void {
    const state = order === 'enabled' ? verdict : order;
    const before = this.#rows.read(service).state;
    if (state === before) return;
    this.#rows.setState(service, state);
    const details = { service: spec.name, address: `${spec.ip}:${spec.port}`, from: before, to: state, reason };
    if (state === 'down') this.#log.warn(details, `service ${spec.name} is down: ${reason}`);
    else this.#log.info(details, `service ${spec.name} is ${state}`);
  }
}

/** What the operator ordered stands in the row, also when another primary was told. */
function orderIn(rows: ServiceRows, row: number): { order: Order; reason: string } {
  const { state } = rows.read(row);
  if (state !== 'draining' && state !== 'disabled') return { order: 'enabled', reason: '' };
  return { order: state, reason: reasonOf(state) };
}

function reasonOf(order: Order): string {
  return order === 'enabled' ? '' : `${order} by the operator`;
}

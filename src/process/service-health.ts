import type { ServiceConfig } from '../config/types.js';
import type { Routes } from '../egress/routes.js';
import type { ServiceRows } from '../engine/service-cells.js';
import type { Logger } from '../log/logger.js';
import type { Verdict } from '../monitor/monitor.js';
import { Monitors } from '../monitor/monitors.js';

type Order = 'enabled' | 'draining' | 'disabled';

interface Watched {
  spec: ServiceConfig;
  verdict: Verdict;
  order: Order;
  reason: string;
}

/** What the monitors found and what the operator ordered, made one state per service: an order outranks a verdict. */
export class ServiceHealth {
  readonly #rows: ServiceRows;
  readonly #log: Logger;
  readonly #watched: Watched[];
  readonly #monitors: Monitors;

  constructor(services: readonly ServiceConfig[], routes: Routes, rows: ServiceRows, log: Logger) {
    this.#rows = rows;
    this.#log = log;
    this.#watched = services.map((spec, row) => ({ spec, verdict: 'unknown', ...orderIn(rows, row) }));
    this.#monitors = new Monitors({
      services: services.map((spec, index) => ({ ...spec, index, route: routes.to(spec.name) })),
      onChange: ({ index }, verdict, reason) => this.#onVerdict(index, verdict, reason),
    });
  }

  start(): void {
    this.#monitors.start();
  }

  async stop(): Promise<void> {
    await this.#monitors.stop();
  }

  reason(service: number): string {
    return this.#watched[service]?.reason ?? '';
  }

  order(service: number, order: Order): void {
    const watched = this.#watched[service];
    if (!watched) return;
    watched.order = order;
    watched.reason = reasonOf(order);
    this.#publish(service, watched);
  }

  /** A worker saw the service fail: a connect refused, a SETUP answered 5xx. */
  failed(service: number, reason: string): void {
    this.#monitors.reportFailure(service, reason);
  }

  worked(service: number): void {
    this.#monitors.reportSuccess(service);
  }

  #onVerdict(service: number, verdict: Verdict, reason: string): void {
    const watched = this.#watched[service];
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

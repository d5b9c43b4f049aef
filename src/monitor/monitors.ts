import type { MonitorConfig } from '../config/types.js';
import type { Route } from '../egress/routes.js';
import type { ServiceIdentity } from '../router/service.js';
import { type Clock, systemClock } from './clock.js';
import { Monitor, type MonitorView } from './monitor.js';
import { createProbe, type Probe } from './probes/index.js';

export interface MonitoredService extends ServiceIdentity {
  readonly monitor: MonitorConfig;
  /** How it is reached. */
  readonly route: Route;
}

export interface MonitorsOptions {
  /** A verdict changed. The caller combines it with what the operator ordered (draining, disabled). */
  onChange: (service: MonitoredService, verdict: 'up' | 'down', reason: string) => void;
  clock?: Clock;
  /** Gives 0 ≤ x < 1. */
  random?: () => number;
  probeFor?: (service: MonitoredService) => Probe;
}

/** The monitors of all services of the appliance. Runs in the primary. */
export class Monitors {
  /** By row of the service table. */
  readonly #monitors = new Map<number, Monitor>();
  readonly #options: Required<MonitorsOptions>;
  #running = false;

  constructor({ onChange, clock = systemClock, random = Math.random, probeFor = ownProbe }: MonitorsOptions) {
    this.#options = { onChange, clock, random, probeFor };
  }

  start(): void {
    this.#running = true;
    for (const monitor of this.#monitors.values()) monitor.start();
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all([...this.#monitors.values()].map((monitor) => monitor.stop()));
  }

  /** Watches a service from now on; whatever was found out about its row before is forgotten. */
  watch(service: MonitoredService): void {
    this.unwatch(service.index);
    const { onChange, probeFor, clock, random } = this.#options;
    const report = (verdict: 'up' | 'down', reason: string) => onChange(service, verdict, reason);
    const monitor = new Monitor({
      config: service.monitor,
      probe: probeFor(service),
      onChange: report,
      clock,
      random,
    });
    this.#monitors.set(service.index, monitor);
    if (this.#running) monitor.start();
  }

  unwatch(service: number): void {
    void this.#monitors.get(service)?.stop();
    this.#monitors.delete(service);
  }

  /** A worker could not connect to the service (its row), or got no or a bad answer. Unknown rows are ignored. */
  reportFailure(service: number, reason: string): void {
    this.#monitors.get(service)?.reportFailure(reason);
  }

  /** A worker opened a session on the service. */
  reportSuccess(service: number): void {
    this.#monitors.get(service)?.reportSuccess();
  }

  view(service: number): MonitorView | undefined {
    return this.#monitors.get(service)?.view();
  }
}

function ownProbe(service: MonitoredService): Probe {
  return createProbe(service.monitor, service.route);
}

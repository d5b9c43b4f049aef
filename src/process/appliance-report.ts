import type {
  AdminSource,
  ListenerReport,
  ProcessReport,
  ServiceAction,
  ServiceReport,
  SessionReport,
  StatReport,
  UpgradeReport,
  VserverReport,
} from '../admin/source.js';
import type { Config } from '../config/types.js';
import type { NativeBinding } from '../engine/binding.js';
import { readCounters } from '../engine/counters.js';
import { readProcesses } from '../engine/process-slots.js';
import type { ServiceRows } from '../engine/service-cells.js';
import type { SharedRegion } from '../engine/shared-region.js';
import type { ServicePlace } from '../router/farm.js';
import { TaskPool } from '../tasks/pool.js';
import type { Names } from '../tasks/snapshot.js';
import { formatAddress, type OpenListener } from './listeners.js';
import type { ServiceHealth } from './service-health.js';
import type { ServiceTable } from './service-table.js';
import { describeTiers } from './tier-counts.js';
import { describeWorkerCounter } from './worker-counters.js';
import type { WorkerProcesses } from './worker-processes.js';

const ORDERS = { drain: 'draining', enable: 'enabled', disable: 'disabled' } as const;

export interface ApplianceReportOptions {
  config: Config;
  region: SharedRegion;
  rows: ServiceRows;
  services: ServiceTable;
  health: ServiceHealth;
  listeners: readonly OpenListener[];
  workers: WorkerProcesses;
  binding: NativeBinding;
  ready(): boolean;
  upgrade(): Promise<UpgradeReport>;
}

/** The appliance as the admin API shows and changes it; everything is read from the region. */
export class ApplianceReport implements AdminSource {
  readonly #options: ApplianceReportOptions;
  readonly #tasks: TaskPool;

  constructor(options: ApplianceReportOptions) {
    this.#options = options;
    this.#tasks = new TaskPool(options.region, () => this.#names());
  }

  ready(): boolean {
    return this.#options.ready();
  }

  sessionCount(): number {
    const { rows, services } = this.#options;
    return services.places.reduce((sum, { row }) => sum + rows.total(row, 'sessions'), 0);
  }

  vservers(): VserverReport[] {
    const services = this.services();
    return this.#options.config.vservers.map((vserver, index) => {
      const own = services.filter((service) => service.vserver === vserver.name);
      return {
        name: vserver.name,
        listen: this.#options.listeners.filter((listener) => listener.vserver === index).map(formatAddress),
        method: vserver.method,
        services: own.length,
        servicesUp: own.filter(({ state }) => state === 'up' || state === 'unknown').length,
        sessions: own.reduce((sum, { sessions }) => sum + sessions, 0),
        sessionsTotal: own.reduce((sum, { sessionsTotal }) => sum + sessionsTotal, 0),
      };
    });
  }

  services(): ServiceReport[] {
    return this.#options.services.places.map((place) => this.#service(place));
  }

  sessions(): Promise<SessionReport[]> {
    return this.#tasks.sessions();
  }

  async listeners(): Promise<ListenerReport[]> {
    const { config, listeners } = this.#options;
    const rtsp = listeners.map((listener) => ({
      kind: 'rtsp' as const,
      vserver: config.vservers[listener.vserver]?.name ?? '',
      address: formatAddress(listener),
    }));
    return [...rtsp, ...(await this.#tasks.listeners())];
  }

  processes(): ProcessReport[] {
    const now = this.#options.binding.monotonicMs();
    return readProcesses(this.#options.region).map((process) => ({
      name: process.name,
      pid: process.pid,
      state: process.state,
      starts: process.epoch,
      upSec: (now - process.startedMs) / 1000,
      ...(process.name.startsWith('worker') ? { connections: process.connections } : {}),
      ...(process.name === 'engine' ? { wires: this.#options.binding.vaultStats().wires } : {}),
      rssBytes: process.rssBytes,
      cpuSec: process.cpuUs / 1e6,
    }));
  }

  async stats(): Promise<StatReport[]> {
    const vault = this.#options.binding.vaultStats();
    return [
      ...readCounters(this.#options.region),
      {
        name: 'vault_streams',
        unit: 'streams',
        about: 'streams whose sockets the primary keeps',
        value: vault.streams,
      },
      {
        name: 'vault_descriptors',
        unit: 'sockets',
        about: 'media sockets the primary keeps',
        value: vault.descriptors,
      },
      ...describeTiers(await this.#tasks.tiers()),
      ...Object.entries(this.#options.workers.stats()).map(([name, value]) => describeWorkerCounter(name, value)),
    ];
  }

  changeService(name: string, action: ServiceAction): ServiceReport | undefined {
    const place = this.#find(name);
    if (!place) return undefined;
    this.#options.health.order(place.row, ORDERS[action]);
    return this.#service(place);
  }

  setWeight(name: string, weight: number): ServiceReport | undefined {
    const place = this.#find(name);
    if (!place) return undefined;
    this.#options.rows.setWeight(place.row, weight);
    return this.#service(place);
  }

  upgrade(): Promise<UpgradeReport> {
    return this.#options.upgrade();
  }

  async close(): Promise<void> {
    await this.#tasks.close();
  }

  /** One that is leaving takes no orders, and may share its name with another that has come. */
  #find(name: string): ServicePlace | undefined {
    return this.#options.services.places.find(({ service, leaving }) => service.name === name && !leaving);
  }

  #names(): Names {
    const services: string[] = [];
    for (const { row, service } of this.#options.services.places) services[row] = service.name;
    return { vservers: this.#options.config.vservers.map(({ name }) => name), services };
  }

  #service({ row: index, vserver, service: spec }: ServicePlace): ServiceReport {
    const { config, rows, health, binding } = this.#options;
    const row = rows.read(index);
    return {
      name: spec.name,
      vserver: config.vservers[vserver]?.name ?? '',
      address: formatAddress({ address: spec.ip, port: spec.port }),
      state: row.state,
      reason: health.reason(index),
      weight: row.weight,
      maxSessions: row.maxSessions,
      sessions: rows.total(index, 'sessions'),
      sessionsTotal: rows.total(index, 'sessionsTotal'),
      requestsTotal: rows.total(index, 'requestsTotal'),
      connectFailures: rows.total(index, 'connectFailures'),
      refusedSetups: rows.total(index, 'refusedSetups'),
      monitor: spec.monitor.kind,
      stateSec: (binding.monotonicMs() - row.changedMs) / 1000,
    };
  }
}

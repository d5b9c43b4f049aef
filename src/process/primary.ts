import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { type AdminServer, startAdminServer } from '../admin/server.js';
import type { Config } from '../config/types.js';
import { Routes } from '../egress/routes.js';
import { loadBinding, type NativeBinding } from '../engine/binding.js';
import { readCounterValues } from '../engine/counters.js';
import { ProcessSlot } from '../engine/process-slots.js';
import { ServiceRows } from '../engine/service-cells.js';
import { PRIMARY_SLOT } from '../engine/shared-region.js';
import { PenstockError } from '../errors.js';
import { createLogger, type Logger } from '../log/logger.js';
import { loadSessionKeys } from '../session/session-keys.js';
import { TlsFiles } from '../tls/files.js';
import type { TlsMaterial } from '../tls/material.js';
import { ApplianceReport } from './appliance-report.js';
import { CounterAlarms } from './counter-alarms.js';
import { startEngine } from './engine-process.js';
import { createEstate, type Estate, sizesOf } from './estate.js';
import type { ToEngine, ToPrimary } from './ipc.js';
import { listenUrl } from './listeners.js';
import { Offload } from './offload.js';
import { Reloader } from './reloader.js';
import { ServiceHealth } from './service-health.js';
import { ServiceManager } from './service-manager.js';
import { ServiceTable } from './service-table.js';
import { Successor } from './successor.js';
import { Supervisor } from './supervisor.js';
import { Upgrade } from './upgrade.js';
import type { UpgradeMode } from './upgrade-messages.js';
import { Watchdog } from './watchdog.js';
import { WorkerProcesses } from './worker-processes.js';

const HEARTBEAT_MS = 250;
const DRAIN_POLL_MS = 200;
/** How long workers may take to tell servers of the sessions that are left. */
const FINISH_GRACE_MS = 3_000;
/** A terminal and a process manager may both pass on one and the same signal: a second one counts after this. */
const SECOND_SIGNAL_MS = 300;
const ENGINE_FINISH_MS = 1_000;
/** How long workers may answer what is in hand before a new version takes over. */
const HAND_OVER_GRACE_MS = 2_000;

export interface PrimaryHooks {
  /** Whether the same command line may start a new version beside this one. Default true. */
  replaceable?: boolean;
  /** Reads the configuration again, as at the start. Throws what is wrong with it. */
  reread?(): Promise<Config>;
  onReady?(listeners: { address: string; port: number }[]): void;
}

/** Runs an appliance until it is told to end. Rejects with a coded error if it cannot begin. */
export async function runPrimary(config: Config, hooks: PrimaryHooks = {}): Promise<void> {
  const primary = new Primary(config, hooks);
  try {
    await primary.start();
    await primary.ended;
  } finally {
    await primary.stop();
  }
}

/** Owns region, sockets and children. Everything else is replaceable. */
class Primary {
  readonly ended: Promise<void>;
  readonly #config: Config;
  readonly #hooks: PrimaryHooks;
  readonly #log: Logger;
  readonly #binding: NativeBinding;
  readonly #estate: Estate;
  readonly #manager: ServiceManager;
  readonly #successor: Successor | undefined;
  readonly #upgrade: Upgrade;
  readonly #tls: TlsFiles;
  readonly #routes: Routes;
  readonly #workers: WorkerProcesses;
  readonly #engine: Supervisor;
  readonly #offload: Offload;
  readonly #services: ServiceTable;
  readonly #health: ServiceHealth;
  readonly #reloader: Reloader;
  readonly #report: ApplianceReport;
  readonly #watchdog: Watchdog;
  readonly #alarms: CounterAlarms;
  readonly #ready = { engine: false, workers: new Set<number>(), announced: false };
  readonly #timers: NodeJS.Timeout[] = [];
  #admin: AdminServer | undefined;
  #end: (error?: Error) => void = () => {};
  #drainingSince: number | undefined;
  #stopped = false;

  constructor(config: Config, hooks: PrimaryHooks) {
    this.#config = config;
    this.#hooks = hooks;
    this.ended = new Promise((resolve, reject) => {
      this.#end = (error) => (error ? reject(error) : resolve());
    });
    this.#log = createLogger({ level: config.logLevel, process: 'primary' });
    makeStateDir(config.stateDir);
    // Before the workers, so that they all find the same key.
    loadSessionKeys(config.sessionKeyFile, config.stateDir);
    this.#tls = new TlsFiles(config, this.#log, (material) => this.#updateTls(material));
    this.#binding = loadBinding();
    this.#binding.raiseFileLimit();
    this.#manager = new ServiceManager({
      socket: process.env.NOTIFY_SOCKET,
      binding: this.#binding,
      log: this.#log,
    });
    const bequest = Successor.findBequest();
    this.#successor = bequest && new Successor(this.#binding, config, bequest);
    this.#estate = this.#successor?.estate ?? createEstate(this.#binding, config);
    const rows = new ServiceRows(this.#estate.region);
    const adopts = this.#successor?.mode === 'adopt';
    this.#services = new ServiceTable(config, {
      capacity: this.#estate.region.geometry.services,
      former: adopts ? (bequest?.services ?? []) : [],
      now: () => this.#binding.monotonicMs(),
    });
    this.#routes = new Routes(this.#services.places, this.#tls.material, config);
    if (!adopts) for (const { row, service } of this.#services.places) rows.begin(row, service);
    this.#health = new ServiceHealth(this.#services.places, this.#routes, rows, this.#log);
    this.#workers = this.#createWorkers();
    this.#offload = new Offload(this.#binding, config.packetPath, this.#log);
    this.#engine = new Supervisor(() => this.#startEngine(), {
      onStart: (child) => child.on('message', (message) => this.#fromEngine(message as ToPrimary)),
      onDeath: (description, pauseMs) => this.#log.error({ pauseMs }, `engine: ${description}; starting another`),
    });
    this.#watchdog = new Watchdog({
      region: this.#estate.region,
      binding: this.#binding,
      onStall: (who, pid, stalledMs) => this.#killStalled(who, pid, stalledMs),
    });
    this.#alarms = new CounterAlarms(() => readCounterValues(this.#estate.region), this.#log);
    this.#report = new ApplianceReport({
      config,
      region: this.#estate.region,
      rows,
      services: this.#services,
      health: this.#health,
      listeners: this.#estate.listeners,
      workers: this.#workers,
      binding: this.#binding,
      ready: () => this.#ready.announced && this.#drainingSince === undefined,
      upgrade: () => this.#upgrade.begin(),
    });
    this.#upgrade = new Upgrade({
      binding: this.#binding,
      estate: this.#estate,
      services: () => this.#services.names(),
      sizes: sizesOf(config),
      log: this.#log,
      allowed: hooks.replaceable ?? true,
      release: (mode) => this.#release(mode),
      resume: (mode) => this.#resume(mode),
      leave: (mode, successor) => this.#leave(mode, successor),
    });
    this.#reloader = new Reloader({
      config,
      read: hooks.reread,
      services: this.#services,
      rows,
      health: this.#health,
      tls: this.#tls,
      routes: this.#routes,
      manager: this.#manager,
      log: this.#log,
      busy: () => this.#busy(),
      tell: () => this.#tellConfig(),
    });
  }

  async start(): Promise<void> {
    const inherited = await this.#successor?.claim();
    this.#binding.vaultStart();
    if (inherited !== undefined) await this.#successor?.inherit(inherited);
    this.#engine.start();
    this.#workers.start();
    await this.#govern();
    this.#listenToSignals();
  }

  /** What the primary does itself while its children work. */
  async #govern(): Promise<void> {
    const slot = new ProcessSlot(this.#estate.region, PRIMARY_SLOT);
    this.#timers.push(setInterval(() => slot.beat(), HEARTBEAT_MS));
    this.#health.start();
    this.#reloader.start();
    this.#watchdog.start();
    this.#alarms.start();
    this.#tls.start();
    slot.setState('ready');
    await this.#openAdmin();
  }

  async #openAdmin(): Promise<void> {
    const { stateDir, admin } = this.#config;
    this.#admin = await startAdminServer(this.#report, { stateDir, ...(admin ? { tcp: admin } : {}) });
  }

  async #rest(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    this.#watchdog.stop();
    this.#alarms.stop();
    this.#tls.stop();
    this.#reloader.stop();
    await this.#health.stop();
  }

  // ---- giving way to a new version

  /** Draining, ours stay with us; else nobody of ours touches region and sockets when this resolves. */
  async #release(mode: UpgradeMode): Promise<void> {
    await this.#admin?.close();
    if (mode === 'drain') {
      this.#workers.drain();
      return;
    }
    await this.#rest();
    await this.#workers.handOver(HAND_OVER_GRACE_MS);
    await this.#stopEngine();
  }

  async #resume(mode: UpgradeMode): Promise<void> {
    if (mode === 'drain') {
      // Their listening sockets are closed. Successors have them again.
      this.#workers.kill();
      await this.#openAdmin();
      return;
    }
    this.#engine.start();
    this.#workers.start();
    await this.#govern();
  }

  #leave(mode: UpgradeMode, successor: number): void {
    this.#manager.succeededBy(successor);
    if (mode === 'drain') this.#drain('upgrade');
    else this.#end();
  }

  /** Ends everything that is left, in the order in which it depends on each other. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#rest();
    await this.#workers.stop(FINISH_GRACE_MS);
    await this.#stopEngine();
    this.#offload.stop();
    await this.#report.close();
    await this.#admin?.close();
    this.#binding.vaultStop();
    this.#log.info('ended');
  }

  #createWorkers(): WorkerProcesses {
    return new WorkerProcesses({
      binding: this.#binding,
      config: this.#config,
      places: () => this.#services.places,
      regionFd: this.#estate.regionFd,
      wakeFds: this.#estate.wakeFds,
      inboxFds: this.#estate.inboxFds,
      listeners: this.#estate.listeners,
      tls: () => this.#tls.material,
      onReady: (worker) => {
        this.#ready.workers.add(worker);
        this.#announce();
      },
      onDeath: (worker, description, pauseMs) =>
        this.#log.error({ worker, pauseMs }, `worker ${worker}: ${description}; starting another`),
      onFailed: ({ code, message }) => this.#log.error({ code }, `a worker could not start: ${message}`),
      onServiceFailed: (service, reason) => this.#health.failed(service, reason),
      onServiceWorked: (service) => this.#health.worked(service),
    });
  }

  #startEngine(): ChildProcess {
    const { regionFd, wakeFds, inboxFds } = this.#estate;
    return startEngine({
      binding: this.#binding,
      config: this.#config,
      regionFd,
      wakeFds,
      inboxFds,
      offload: this.#offload.given,
    });
  }

  #fromEngine(message: ToPrimary): void {
    if (message.type !== 'ready') return;
    this.#ready.engine = true;
    this.#announce();
  }

  #updateTls(material: TlsMaterial): void {
    this.#routes.update(material);
    this.#workers.updateTls(material);
  }

  #announce(): void {
    const { engine, workers, announced } = this.#ready;
    if (announced || !engine || workers.size < this.#config.workers) return;
    this.#ready.announced = true;
    const listen = this.#estate.listeners.map(listenUrl);
    this.#log.info({ listen, workers: workers.size, stateDir: this.#config.stateDir }, 'ready');
    if (this.#successor) this.#successor.ready(() => this.#manager.ready());
    else this.#manager.ready();
    this.#hooks.onReady?.(this.#estate.listeners.map(({ address, port }) => ({ address, port })));
  }

  #killStalled(who: 'engine' | number, pid: number, stalledMs: number): void {
    const child = who === 'engine' ? this.#engine.child : this.#workers.child(who);
    if (child?.pid !== pid) return;
    const name = who === 'engine' ? 'engine' : `worker ${who}`;
    this.#log.error({ pid, stalledMs: Math.round(stalledMs) }, `${name} stands still: ending it`);
    child.kill('SIGKILL');
  }

  #listenToSignals(): void {
    process.on('SIGHUP', () => void this.#reloader.reload());
    process.on('SIGUSR2', () => {
      this.#upgrade.begin().catch((error: Error) => this.#log.error({ err: error }, error.message));
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#onEndSignal(signal));
  }

  #busy(): string | undefined {
    if (this.#drainingSince !== undefined) return 'the appliance is ending';
    return this.#upgrade.running ? 'a new version is taking over' : undefined;
  }

  /** A child that starts later gets the configuration as it is then. */
  #tellConfig(): void {
    this.#workers.reload();
    const engine = this.#engine.child;
    if (engine?.connected) engine.send({ type: 'reload', config: this.#config } satisfies ToEngine);
  }

  /** The first signal drains, a second one ends at once. */
  #onEndSignal(signal: string): void {
    if (this.#drainingSince !== undefined) {
      if (performance.now() - this.#drainingSince < SECOND_SIGNAL_MS) return;
      this.#log.warn(`${signal} again: ending at once`);
      this.#workers.kill();
      this.#end();
      return;
    }
    this.#drain(signal);
  }

  #drain(why: string): void {
    this.#drainingSince = performance.now();
    const sessions = this.#report.sessionCount();
    const drainTimeoutMs = this.#config.drainTimeoutMs;
    this.#log.info({ sessions, drainTimeoutMs }, `${why}: no new connections; waiting for sessions to end`);
    this.#manager.stopping(drainTimeoutMs + FINISH_GRACE_MS + ENGINE_FINISH_MS);
    this.#workers.drain();
    const deadline = performance.now() + drainTimeoutMs;
    this.#timers.push(
      setInterval(() => {
        if (this.#report.sessionCount() === 0 || performance.now() >= deadline) this.#end();
      }, DRAIN_POLL_MS),
    );
  }

  async #stopEngine(): Promise<void> {
    const child = this.#engine.child;
    const ended = this.#engine.stop();
    if (child?.connected) child.send({ type: 'finish' });
    const timer = setTimeout(() => child?.kill('SIGKILL'), ENGINE_FINISH_MS);
    await ended;
    clearTimeout(timer);
  }
}

function makeStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    const reason = (error as Error).message;
    throw new PenstockError('PENSTOCK_ERR_STATE_DIR', `cannot use ${stateDir}: ${reason}`, { cause: error });
  }
}

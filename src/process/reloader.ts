import { isDeepStrictEqual } from 'node:util';
import { planReload, takeOver } from '../config/reload.js';
import type { Config } from '../config/types.js';
import type { Routes } from '../egress/routes.js';
import type { ServiceRows } from '../engine/service-cells.js';
import type { Logger } from '../log/logger.js';
import { loadSessionKeys } from '../session/session-keys.js';
import type { TlsFiles } from '../tls/files.js';
import { readTlsMaterial } from '../tls/material.js';
import type { ServiceHealth } from './service-health.js';
import type { ServiceManager } from './service-manager.js';
import type { ServiceTable } from './service-table.js';

/** How often services that are leaving are looked at. */
const LEAVING_CHECK_MS = 1_000;

export interface ReloaderOptions {
  /** That of every part of this process. */
  config: Config;
  /** Reads the configuration again, as at the start. Undefined: there is nothing to read. */
  read: (() => Promise<Config>) | undefined;
  services: ServiceTable;
  rows: Pick<ServiceRows, 'total'>;
  health: Pick<ServiceHealth, 'update'>;
  tls: Pick<TlsFiles, 'material' | 'replace'>;
  routes: Pick<Routes, 'update'>;
  manager: Pick<ServiceManager, 'reloading' | 'reloaded'>;
  log: Logger;
  /** Why this is no time to change anything. */
  busy(): string | undefined;
  /** Configuration and services are others than before: the children must know. */
  tell(): void;
}

/** Takes over a changed configuration while sessions go on. A faulty one changes nothing. */
export class Reloader {
  readonly #options: ReloaderOptions;
  #keys: string;
  #running = false;
  #again = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#keys = keysOf(options.config);
  }

  start(): void {
    this.#timer = setInterval(() => this.#seeOff(), LEAVING_CHECK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Resolves when it is done, or given up with a line in the log. One that is asked for meanwhile follows. */
  async reload(): Promise<void> {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    while (this.#again) {
      this.#again = false;
      this.#options.manager.reloading();
      await this.#reload();
    }
    this.#running = false;
    this.#options.manager.reloaded();
  }

  async #reload(): Promise<void> {
    const { read, log, busy } = this.#options;
    const why = read ? busy() : 'this command has no configuration of its own';
    if (!read || why !== undefined) {
      log.warn(`reload: ${why}`);
      return;
    }
    try {
      this.#takeOver(await read());
    } catch (error) {
      log.error({ err: error }, `reload: nothing changes: ${(error as Error).message}`);
    }
  }

  /** Everything that may be refused comes before the first change. */
  #takeOver(next: Config): void {
    const { config, services, tls, log } = this.#options;
    const { config: wanted, changed, refused } = planReload(config, next);
    const keys = keysOf(wanted);
    const material = readTlsMaterial(wanted);
    services.update(wanted);
    takeOver(config, wanted);
    if (keys !== this.#keys) changed.push('session keys');
    if (!isDeepStrictEqual(material, tls.material)) changed.push('certificates');
    this.#keys = keys;
    tls.replace(material);
    log.level = wanted.logLevel;
    this.#publish();
    if (refused.length > 0) log.warn({ refused }, `reload: only a restart changes ${refused.join(', ')}`);
    log.info({ changed }, changed.length > 0 ? `reload: ${changed.join(', ')}` : 'reload: nothing is changed');
  }

  /** Services that are leaving and have no session any more are gone. */
  #seeOff(): void {
    const { services, rows, log } = this.#options;
    const gone = services.places.filter(
      ({ row, leaving }) => leaving && rows.total(row, 'sessions') + rows.total(row, 'pending') === 0,
    );
    if (gone.length === 0) return;
    for (const { row, service } of gone) {
      services.free(row);
      log.info({ service: service.name }, `service ${service.name} is gone: its last session has ended`);
    }
    this.#publish();
  }

  #publish(): void {
    const { services, tls, routes, health, tell } = this.#options;
    routes.update(tls.material, services.places);
    health.update(services.places);
    tell();
  }
}

function keysOf({ sessionKeyFile, stateDir }: Config): string {
  return loadSessionKeys(sessionKeyFile, stateDir)
    .map((key) => key.toString('hex'))
    .join();
}

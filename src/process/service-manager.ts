import type { NativeBinding } from '../engine/binding.js';
import type { Logger } from '../log/logger.js';

const US_PER_MS = 1000;

export interface ServiceManagerOptions {
  /** The value of NOTIFY_SOCKET: a path, or `@` and an abstract name. Undefined: nobody wants to know. */
  socket: string | undefined;
  binding: Pick<NativeBinding, 'sendUnixDatagram' | 'monotonicMs'>;
  log: Logger;
}

/** Tells the service manager that started us (systemd) how we are, as sd_notify(3) has it. */
export class ServiceManager {
  readonly #options: ServiceManagerOptions;
  #isOurs = true;
  #isReady = false;

  constructor(options: ServiceManagerOptions) {
    this.#options = options;
  }

  ready(): void {
    this.#isReady = true;
    this.#tell('READY=1');
  }

  /** Nothing is said of a reload before the first ready(), and none once we are ending. */
  reloading(): void {
    const us = Math.round(this.#options.binding.monotonicMs() * US_PER_MS);
    if (this.#isReady) this.#tell('RELOADING=1', `MONOTONIC_USEC=${us}`);
  }

  /** Whether or not it changed anything. */
  reloaded(): void {
    if (this.#isReady) this.#tell('READY=1');
  }

  /** It may take so long: the manager's own limit is for programs that say nothing. */
  stopping(timeoutMs: number): void {
    this.#isReady = false;
    this.#tell('STOPPING=1', `EXTEND_TIMEOUT_USEC=${Math.round(timeoutMs * US_PER_MS)}`);
  }

  /** From now on that process is the service, and what becomes of us is nobody's concern. */
  succeededBy(pid: number): void {
    this.#tell(`MAINPID=${pid}`);
    this.#isOurs = false;
  }

  #tell(...fields: string[]): void {
    const { socket, binding, log } = this.#options;
    if (!socket || !this.#isOurs) return;
    try {
      binding.sendUnixDatagram(socket, fields.join('\n'));
    } catch (error) {
      log.warn({ err: error, socket }, `the service manager could not be told ${fields[0]}`);
    }
  }
}

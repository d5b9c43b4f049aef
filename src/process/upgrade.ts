import { type ChildProcess, spawn } from 'node:child_process';
import type { UpgradeReport } from '../admin/source.js';
import type { NativeBinding } from '../engine/binding.js';
import { PenstockError } from '../errors.js';
import type { Logger } from '../log/logger.js';
import type { Estate } from './estate.js';
import { FIRST_INHERITED_FD } from './ipc.js';
import {
  BEQUEST_VARIABLE,
  type Bequest,
  type ToPredecessor,
  type ToSuccessor,
  type UpgradeMode,
} from './upgrade-messages.js';

/** A version that has not read its configuration by then, or is not ready after it was given everything, is ended. */
const PREPARE_MS = 30_000;
const START_MS = 30_000;

export interface UpgradeOptions {
  binding: NativeBinding;
  estate: Estate;
  services(): string[];
  sizes: Record<string, number>;
  log: Logger;
  allowed: boolean;
  /** Lets go of what the mode gives away. Nothing of ours may touch it when the promise resolves. */
  release(mode: UpgradeMode): Promise<void>;
  /** The successor failed: everything is ours again. */
  resume(mode: UpgradeMode): Promise<void>;
  /** The successor works; that is its pid. It waits for us to disconnect before it speaks for the service. */
  leave(mode: UpgradeMode, successor: number): void;
}

/** A primary's side of being replaced by a new version, which it starts with its own command line. */
export class Upgrade {
  readonly #options: UpgradeOptions;
  #running = false;

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running;
  }

  /**
   * Resolves when the successor has read its configuration; what follows is logged. Throws
   * PENSTOCK_ERR_UPGRADE if there is none that could take over: then nothing has changed.
   */
  async begin(): Promise<UpgradeReport> {
    if (!this.#options.allowed)
      throw new PenstockError('PENSTOCK_ERR_UPGRADE', 'only `penstock serve` can be upgraded');
    if (this.#running) throw new PenstockError('PENSTOCK_ERR_UPGRADE', 'an upgrade is under way');
    this.#running = true;
    const { child, vaultFd } = this.#spawn();
    try {
      const { mode, reason } = await hear(child, 'prepared', PREPARE_MS);
      const report = { pid: child.pid as number, mode, ...(reason === undefined ? {} : { reason }) };
      this.#options.log.info(
        { successor: child.pid, mode, reason },
        mode === 'adopt' ? 'upgrade: handing over' : `upgrade: draining, for ${reason}`,
      );
      void this.#handOver(child, mode, vaultFd);
      return report;
    } catch (error) {
      this.#running = false;
      child.kill('SIGKILL');
      this.#options.binding.closeFd(vaultFd);
      throw new PenstockError('PENSTOCK_ERR_UPGRADE', `the new version did not start: ${(error as Error).message}`);
    }
  }

  async #handOver(child: ChildProcess, mode: UpgradeMode, vaultFd: number): Promise<void> {
    const { binding, log, release, resume, leave } = this.#options;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    try {
      await release(mode);
      // To our vault the successor is an engine: it gets all that is kept, and what still comes.
      binding.vaultAttachEngine(vaultFd);
      const ready = hear(child, 'ready', START_MS);
      const { streams, wires } = binding.vaultStats();
      child.send({ type: 'yours', holdings: { streams, wires } } satisfies ToSuccessor);
      await ready;
      log.info({ successor: child.pid }, 'upgrade: the new version works');
      leave(mode, child.pid as number);
      child.disconnect();
      child.unref();
    } catch (error) {
      log.error({ err: error }, 'upgrade: the new version did not come up; the old one goes on');
      child.kill('SIGKILL');
      // Its children end with it.
      await ended;
      this.#running = false;
      await resume(mode);
    }
  }

  #spawn(): { child: ChildProcess; vaultFd: number } {
    const { binding, estate, services, sizes } = this.#options;
    const [ours, theirs] = binding.socketPair();
    const given: number[] = [];
    const give = (fd: number) => FIRST_INHERITED_FD + given.push(fd) - 1;
    const bequest: Bequest = {
      layoutVersion: binding.layout.version,
      sizes,
      regionFd: give(estate.regionFd),
      vaultFd: give(theirs),
      wakeFds: estate.wakeFds.map(give),
      inboxFds: estate.inboxFds.map(give),
      listeners: estate.listeners.map((listener) => ({ ...listener, fds: listener.fds.map(give) })),
      services: services(),
    };
    const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc', ...given],
      env: { ...process.env, [BEQUEST_VARIABLE]: JSON.stringify(bequest) },
    });
    binding.closeFd(theirs);
    return { child, vaultFd: ours };
  }
}

/** The next message of that type. Rejects when the child ends, or says nothing in time. */
function hear<T extends ToPredecessor['type']>(
  child: ChildProcess,
  type: T,
  timeoutMs: number,
): Promise<Extract<ToPredecessor, { type: T }>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(() => reject(new Error(`not ${type} within ${timeoutMs} ms`))), timeoutMs);
    const onMessage = (message: ToPredecessor) => {
      if (message.type === type) settle(() => resolve(message as Extract<ToPredecessor, { type: T }>));
    };
    const onExit = (code: number | null, signal: string | null) =>
      settle(() => reject(new Error(`it ended: ${signal ?? `exit status ${code}`}`)));
    const settle = (outcome: () => void) => {
      clearTimeout(timer);
      child.off('message', onMessage).off('exit', onExit).off('error', settleError);
      outcome();
    };
    const settleError = (error: Error) => settle(() => reject(error));
    child.on('message', onMessage).on('exit', onExit).on('error', settleError);
  });
}

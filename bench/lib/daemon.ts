import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pinned } from './pinned.js';
import type { Bed } from './place.js';

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 5000;
const POLL_MS = 20;

/** A port that a program has bound once it is ready. */
export interface Port {
  protocol: 'tcp' | 'udp';
  port: number;
}

/** A rival of one process, on the appliance's machine and core, with a folder of its own. */
export class Daemon {
  readonly #folder = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
  #child: ChildProcess | undefined;

  /** `command` gets the path of its configuration file, if there is one. Resolves when the port is bound. */
  static async start(
    bed: Bed,
    command: (configuration: string, folder: string) => readonly [string, ...string[]],
    configuration: string,
    port: Port,
  ): Promise<Daemon> {
    const daemon = new Daemon();
    const file = join(daemon.#folder, 'configuration');
    writeFileSync(file, configuration);
    const log = openSync(daemon.#log, 'w');
    const [program, ...args] = command(file, daemon.#folder);
    const [first, rest] = pinned('product', program, args);
    daemon.#child = bed.appliance.spawn(first, rest, { stdio: ['ignore', log, log] });
    closeSync(log);
    await daemon.#ready(program, port);
    return daemon;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child && !ended(child)) {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
      await exit;
      clearTimeout(killer);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ready(program: string, port: Port): Promise<void> {
    for (const start = Date.now(); !isBound(this.pid, port); await sleep(POLL_MS)) {
      if (this.#child && !ended(this.#child) && Date.now() - start < START_LIMIT_MS) continue;
      const log = readFileSync(this.#log, 'utf8');
      await this.stop();
      throw new Error(`${program} did not get ready:\n${log.slice(-4000)}`);
    }
  }

  get #log(): string {
    return join(this.#folder, 'log');
  }
}

const ended = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

/** As seen in the namespace of that process. */
function isBound(pid: number, { protocol, port }: Port): boolean {
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, '0');
  const table = ((): string => {
    try {
      return readFileSync(`/proc/${pid}/net/${protocol}`, 'utf8');
    } catch {
      return ''; // it has ended
    }
  })();
  return new RegExp(`^\\s*\\d+: [0-9A-F]{8}:${hexadecimal} 00000000:0000`, 'm').test(table);
}

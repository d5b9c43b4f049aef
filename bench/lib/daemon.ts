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

/** What a program has bound once it is ready. */
export interface Bound {
  protocol: 'tcp' | 'udp';
  ip: string;
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
    bound: Bound,
  ): Promise<Daemon> {
    const daemon = new Daemon();
    const file = join(daemon.#folder, 'configuration');
    writeFileSync(file, configuration);
    const log = openSync(daemon.#log, 'w');
    const [program, ...args] = command(file, daemon.#folder);
    const [first, rest] = pinned('product', program, args);
    daemon.#child = bed.appliance.spawn(first, rest, { stdio: ['ignore', log, log] });
    closeSync(log);
    await daemon.#ready(program, bound);
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

  async #ready(program: string, bound: Bound): Promise<void> {
    for (const start = Date.now(); !isBound(this.pid, bound); await sleep(POLL_MS)) {
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

/** As seen in the namespace of that process: `N: ADDRESS:PORT 00000000:0000 …`, the address in the host's order. */
function isBound(pid: number, { protocol, ip, port }: Bound): boolean {
  const bytes = ip.split('.').map((byte) => hexadecimal(Number(byte), 2));
  const local = `${bytes.reverse().join('')}:${hexadecimal(port, 4)}`;
  return new RegExp(`^\\s*\\d+: ${local} 0{8}:0{4}`, 'm').test(socketsOf(pid, protocol));
}

const hexadecimal = (number: number, digits: number): string => number.toString(16).toUpperCase().padStart(digits, '0');

function socketsOf(pid: number, protocol: 'tcp' | 'udp'): string {
  try {
    return readFileSync(`/proc/${pid}/net/${protocol}`, 'utf8');
  } catch {
    return ''; // it has ended
  }
}

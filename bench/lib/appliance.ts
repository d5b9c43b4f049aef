import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ShowName, Shown } from '../../src/admin/source.js';
import type { PacketPath } from '../../src/config/types.js';
import { RTSP_PORT } from './load.js';
import { ROOT } from './paths.js';
import { type Core, pinned } from './pinned.js';
import type { Bed } from './place.js';

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 10_000;
const POLL_MS = 20;

export interface ApplianceOptions {
  core: Core;
  workers: number;
  packetPath?: PacketPath;
  /** Of another build than this one. */
  folder?: string;
  args?: readonly string[];
  /** Of Node itself, such as --cpu-prof: its processes pass them on to their children. */
  nodeArgs?: readonly string[];
}

/** The product as an operator starts it, with its log in a file. */
export class Appliance {
  /** As clients reach it. */
  readonly address: string;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(bed: Bed, server: string, options: ApplianceOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
    this.address = `${bed.edge}:${RTSP_PORT}`;
    const log = openSync(this.#log, 'w');
    const args = ['serve', '--listen', this.address, '--server', server, '--state-dir', this.#folder];
    args.push('--workers', String(options.workers), '--packet-path', options.packetPath ?? 'auto');
    args.push('--drain-timeout', '0', ...(options.args ?? []));
    const node = options.nodeArgs ?? [];
    const [command, all] = pinned(options.core, process.execPath, [
      ...node,
      join(options.folder ?? ROOT, 'dist', 'main.js'),
      ...args,
    ]);
    this.#child = bed.appliance.spawn(command, all, { stdio: ['ignore', 'ignore', log] });
    closeSync(log);
  }

  /** Resolves when it is ready. */
  static async start(bed: Bed, server: string, options: ApplianceOptions): Promise<Appliance> {
    const appliance = new Appliance(bed, server, options);
    for (const start = Date.now(); !(await appliance.#isReady()); await sleep(POLL_MS)) {
      if (appliance.#child.exitCode === null && Date.now() - start < START_LIMIT_MS) continue;
      const log = appliance.log();
      await appliance.stop();
      throw new Error(`penstock did not get ready:\n${log.slice(-4000)}`);
    }
    return appliance;
  }

  log(): string {
    return readFileSync(this.#log, 'utf8');
  }

  /** Pids by name: primary, engine, worker 0… */
  async pids(): Promise<Map<string, number>> {
    const processes = await this.show('process');
    return new Map(processes.map(({ name, pid }) => [name, pid]));
  }

  /** GET /show/WHAT of the admin socket. */
  show<K extends ShowName>(what: K): Promise<Shown[K][]> {
    return this.#get(`/show/${what}`);
  }

  /** Counters of the engine and the workers by name. */
  async counters(): Promise<Map<string, number>> {
    return new Map((await this.show('stat')).map(({ name, value }) => [name, value]));
  }

  /** Asks the admin socket, since the log may be set to keep silent. */
  async #isReady(): Promise<boolean> {
    try {
      return (await this.#get<{ ready: boolean }>('/ready')).ready;
    } catch {
      return false; // no socket yet, or 503
    }
  }

  #get<T>(path: string): Promise<T> {
    return getJson(join(this.#folder, 'admin.sock'), path);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      const again = setTimeout(() => this.#child.kill('SIGTERM'), STOP_LIMIT_MS / 2);
      const killer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_LIMIT_MS);
      await exit;
      clearTimeout(again);
      clearTimeout(killer);
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #log(): string {
    return join(this.#folder, 'log');
  }
}

function getJson<T>(socketPath: string, path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const get = request({ socketPath, path }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new Error(`GET ${path}: ${response.statusCode} ${text}`));
      });
    });
    get.on('error', reject);
    get.end();
  });
}

/** The commit that is measured, with a mark where the tree differs from it. */
export function commit(): string {
  return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT, encoding: 'utf8' }).trim();
}

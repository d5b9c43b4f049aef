import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from './paths.js';
import { pinned } from './pinned.js';
import type { Bed, Entrance, Place } from './place.js';

const TOOL = join(ROOT, 'build-bench', 'native', 'penstock_bench');
const REPLY_LIMIT_MS = 120_000;

/** Microseconds. */
export interface Distribution {
  count: number;
  mean: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

export const REQUESTS = ['options', 'describe', 'setup', 'play', 'teardown'] as const;
export type Request = (typeof REQUESTS)[number];

export type Steps = Record<Request | 'connect' | 'session', Distribution> & {
  failed: number;
  failures: Record<string, number>;
};

interface Waiting {
  resolve(text: string): void;
  reject(error: Error): void;
}

/** A program of bench/native that takes commands and answers each with one JSON object. */
class Tool {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #waiting: Waiting[] = [];
  #errors = '';

  constructor(name: string, place: Place, args: readonly string[]) {
    this.#name = name;
    const [command, all] = pinned('load', TOOL, [name, ...args]);
    this.#child = place.spawn(command, all, { stdio: ['pipe', 'pipe', 'pipe'] });
    if (!this.#child.stdout || !this.#child.stderr) throw new Error('no pipes');
    createInterface(this.#child.stdout).on('line', (line) => this.#waiting.shift()?.resolve(line));
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#child.once('close', () => this.#end());
    this.#child.stdin?.on('error', () => undefined); // its end is told by `close`
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The next line it writes. */
  async next<T>(): Promise<T> {
    const text = await new Promise<string>((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`${this.#name} gives no answer`)), REPLY_LIMIT_MS);
      const settle = (then: () => void): void => {
        clearTimeout(limit);
        then();
      };
      this.#waiting.push({
        resolve: (line) => settle(() => resolve(line)),
        reject: (error) => settle(() => reject(error)),
      });
    });
    const reply = JSON.parse(text) as T & { error?: string };
    if (reply.error !== undefined) throw new Error(`${this.#name}: ${reply.error}`);
    return reply;
  }

  async ask<T>(command: string): Promise<T> {
    this.#child.stdin?.write(`${command}\n`);
    return await this.next<T>();
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.stdin?.end();
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
    await once(this.#child, 'close');
    clearTimeout(killer);
  }

  #end(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new Error(`${this.#name} ended: ${this.#errors}`));
  }
}

/** While `measure` runs, media that enters there is thrown away. */
export async function whileDropping<T>({ place, device }: Entrance, measure: () => Promise<T>): Promise<T> {
  const tool = new Tool('drop', place, [`device=${device}`]);
  try {
    await tool.next();
    return await measure();
  } finally {
    await tool.stop();
  }
}

export type Pattern = 'frames' | 'merged' | 'interleaved';

export interface Media {
  pattern: Pattern;
  /** Bytes of RTP in each packet. */
  size: number;
  /** Packets per second over all streams; 0 = as fast as possible. */
  rate: number;
  seconds: number;
}

export interface Sent {
  sent: number;
  unsent: number;
  streams: number;
  seconds: number;
  /** By how much the sender fell behind and gave up; more than a little means a busy machine. */
  movedMs: number;
  rate: number;
}

const RTSP_PORT = 8554;

/** Fake RTSP servers. */
export class Farm {
  readonly #tool: Tool;
  readonly address: string;

  private constructor(tool: Tool, address: string) {
    this.#tool = tool;
    this.address = address;
  }

  static async start(bed: Bed, ports: 'shared' | 'own' | 'announced'): Promise<Farm> {
    const address = `${bed.farm.ip}:${RTSP_PORT}`;
    const tool = new Tool('farm', bed.farm, [`listen=${address}`, `ports=${ports}`]);
    await tool.next();
    return new Farm(tool, address);
  }

  get pid(): number {
    return this.#tool.pid;
  }

  send({ pattern, size, rate, seconds }: Media): Promise<Sent> {
    return this.#tool.ask(`send pattern=${pattern} size=${size} rate=${rate} seconds=${seconds}`);
  }

  stats(): Promise<{ sessions: number; playing: number; rtcp: number }> {
    return this.#tool.ask('stats');
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}

export interface Received {
  received: number;
  streams: number;
  missing: number;
  missingWorst: number;
  late: number;
  foreign: number;
  /** Lost in the client's own receive buffers: the bench's fault, not the relay's. */
  overflow: number;
  longestGapMs: number;
  playing: number;
  delayUs: Distribution;
}

export interface Churned {
  sessions: number;
  inTime: number;
  seconds: number;
  perSecond: number;
  steps: Steps;
}

/** Fake clients of one address. */
export class Crowd {
  readonly #tool: Tool;

  private constructor(tool: Tool) {
    this.#tool = tool;
  }

  static async start(bed: Bed, target: string): Promise<Crowd> {
    const tool = new Tool('crowd', bed.client, [`local=${bed.client.ip}`, `target=${target}`]);
    await tool.next();
    return new Crowd(tool);
  }

  get pid(): number {
    return this.#tool.pid;
  }

  /** Sessions that play until `close`. Throws where not all of them could be opened. */
  async open(sessions: number, streams = 1): Promise<{ seconds: number; steps: Steps }> {
    type Opened = { opened: number; seconds: number; steps: Steps };
    const reply = await this.#tool.ask<Opened>(`open sessions=${sessions} streams=${streams}`);
    if (reply.opened === sessions) return reply;
    throw new Error(`${reply.opened} of ${sessions} sessions opened: ${JSON.stringify(reply.steps.failures)}`);
  }

  churn(seconds: number, concurrency: number, streams: number): Promise<Churned> {
    return this.#tool.ask(`churn seconds=${seconds} concurrency=${concurrency} streams=${streams}`);
  }

  async close(): Promise<void> {
    await this.#tool.ask('close');
  }

  async reset(): Promise<void> {
    await this.#tool.ask('reset');
  }

  report(): Promise<Received> {
    return this.#tool.ask('report');
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}

export const rtspPort = RTSP_PORT;

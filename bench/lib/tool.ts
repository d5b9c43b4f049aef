import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from './paths.js';
import { pinned } from './pinned.js';
import type { Place } from './place.js';

const TOOL = join(ROOT, 'build-bench', 'native', 'penstock_bench');
const REPLY_LIMIT_MS = 120_000;

interface Waiting {
  resolve(text: string): void;
  reject(error: Error): void;
}

/** A program of bench/native that takes commands and answers each with one JSON object. */
export class Tool {
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

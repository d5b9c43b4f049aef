import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';

const HANG_MS = 60_000;
const KEPT_OUTPUT = 4_000_000;

/** A child process with its output: wait for a line, stop it, read what it wrote. */
export class Program {
  stdout = '';
  stderr = '';
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #output = new EventEmitter();
  #over = false;

  constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    this.#output.setMaxListeners(0);
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout = (this.stdout + text).slice(-KEPT_OUTPUT);
      this.#output.emit('output');
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-KEPT_OUTPUT);
      this.#output.emit('output');
    });
    this.exited = once(child, 'close').then(([code, signal]) => {
      this.#over = true;
      this.#output.emit('output');
      return { code, signal };
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} did not start`);
    return this.#child.pid;
  }

  get running(): boolean {
    return !this.#over;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves with what `look` finds, called at each output. Rejects when the program ends without, or hangs. */
  async until<T>(what: string, look: () => T | undefined): Promise<T> {
    const deadline = AbortSignal.timeout(HANG_MS);
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#over) throw new Error(`${this.#name} ended without: ${what}\n${this.#tail()}`);
      await once(this.#output, 'output', { signal: deadline }).catch((cause: unknown) => {
        throw new Error(`${this.#name} hangs, awaited: ${what}\n${this.#tail()}`, { cause });
      });
    }
  }

  /** Waits for the end; throws unless it exits with 0. */
  async success(): Promise<void> {
    const { code, signal } = await this.exited;
    if (code !== 0) throw new Error(`${this.#name} ended with ${code ?? signal}\n${this.#tail()}`);
  }

  /** Ends it: the signal first, SIGKILL when that does not work. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    if (this.#over) return await this.exited;
    this.#child.kill(signal);
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), HANG_MS);
    try {
      return await this.exited;
    } finally {
      clearTimeout(killer);
    }
  }

  #tail(): string {
    return `${this.stdout.slice(-2000)}\n${this.stderr.slice(-4000)}`;
  }
}

/** Polls until `look` returns something. The time limit only catches hangs. */
export async function eventually<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const start = Date.now(); ; ) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() - start > HANG_MS) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

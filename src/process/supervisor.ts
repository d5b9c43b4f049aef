import type { ChildProcess } from 'node:child_process';

/** A child that lived at least this long is started again at once. */
const HEALTHY_LIFE_MS = 2_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

export interface SupervisorEvents {
  onStart(child: ChildProcess, starts: number): void;
  /** The child ended and will be started again after `pauseMs`. */
  onDeath(description: string, pauseMs: number): void;
}

/**
 * Keeps one child process alive: started again at once when it dies, more slowly when it
 * dies young again and again.
 */
export class Supervisor {
  #child: ChildProcess | undefined;
  #starts = 0;
  #youngDeaths = 0;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;
  #ended: (() => void)[] = [];

  constructor(
    private readonly spawn: () => ChildProcess,
    private readonly events: SupervisorEvents,
  ) {}

  get child(): ChildProcess | undefined {
    return this.#child;
  }

  /** Also after `stop`. */
  start(): void {
    this.#stopping = false;
    const startedAt = performance.now();
    const child = this.spawn();
    this.#child = child;
    this.#starts++;
    child.once('exit', (code, signal) => this.#onExit(child, startedAt, signal ?? `exit status ${code}`));
    child.on('error', () => {});
    this.events.onStart(child, this.#starts);
  }

  /** Lets the child go: it is not started again. Resolves when it has ended. */
  async stop(signal?: NodeJS.Signals): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (!child) return;
    if (signal) child.kill(signal);
    await new Promise<void>((resolve) => this.#ended.push(resolve));
  }

  #onExit(child: ChildProcess, startedAt: number, how: string): void {
    this.#child = undefined;
    for (const resolve of this.#ended.splice(0)) resolve();
    if (this.#stopping) return;
    const pause = this.#nextPause(performance.now() - startedAt);
    this.events.onDeath(`process ${child.pid} ended: ${how}`, pause);
    this.#timer = setTimeout(() => this.start(), pause);
  }

  #nextPause(livedMs: number): number {
    if (livedMs >= HEALTHY_LIFE_MS) {
      this.#youngDeaths = 0;
      return 0;
    }
    this.#youngDeaths++;
    return Math.min(FIRST_PAUSE_MS * 2 ** (this.#youngDeaths - 1), LONGEST_PAUSE_MS);
  }
}

import type { MonitorConfig } from '../config/types.js';
import type { Clock } from './clock.js';
import type { Probe } from './probes/index.js';

/** How long a failure seen by a worker counts. */
export const PASSIVE_WINDOW_MS = 30_000;
/** Failing clients hasten the next check, but checks never follow each other faster than this. */
const MIN_GAP_MS = 250;

export type Verdict = 'unknown' | 'up' | 'down';

export interface MonitorOptions {
  config: Pick<MonitorConfig, 'intervalMs' | 'timeoutMs' | 'rise' | 'fall' | 'jitter'>;
  probe: Probe;
  /** Called once per change, with the reason in words. */
  onChange: (verdict: 'up' | 'down', reason: string) => void;
  clock: Clock;
  /** Gives 0 ≤ x < 1. */
  random: () => number;
}

export interface MonitorView {
  verdict: Verdict;
  /** What was seen last, by a check or by a worker. */
  lastSeen: string;
  checks: number;
  failedChecks: number;
  passiveFailures: number;
}

/**
 * Judges one service. Checks run one at a time; `fall` failures in a row take the service down, `rise` successes in a
 * row bring it up again. A service of which nothing is known yet is up with its first success.
 *
 * What workers see counts too: a connect or SETUP that failed is a failure for PASSIVE_WINDOW_MS and brings the next
 * check forward. A successful check does not excuse it (a server may accept connections and refuse every SETUP); a
 * session that was opened does. A success seen by a worker does not excuse failing checks either.
 */
export class Monitor {
  readonly #options: MonitorOptions;
  #verdict: Verdict = 'unknown';
  #lastSeen = 'not checked yet';
  #successes = 0;
  #failures = 0;
  /** When workers reported failures, oldest first. */
  #passive: number[] = [];
  #checks = 0;
  #failedChecks = 0;
  #passiveFailures = 0;

  #stopped = true;
  #cancelTimer = () => {};
  #hastened = false;
  #checkStarted = Number.NEGATIVE_INFINITY;
  #check: Promise<void> | undefined;
  #abort = new AbortController();

  constructor(options: MonitorOptions) {
    this.#options = options;
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  view(): MonitorView {
    return {
      verdict: this.#verdict,
      lastSeen: this.#lastSeen,
      checks: this.#checks,
      failedChecks: this.#failedChecks,
      passiveFailures: this.#passiveFailures,
    };
  }

  /** The first check comes soon; many monitors do not start theirs together if `jitter` is not 0. */
  start(): void {
    const { config, random } = this.#options;
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#schedule(random() * config.jitter * config.intervalMs);
  }

  /** Resolves when the running check has ended and its socket is closed. Nothing is reported any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer();
    this.#abort.abort(new Error('the monitor was stopped'));
    await this.#check;
  }

  /** A worker could not connect, or got no or a bad answer. */
  reportFailure(reason: string): void {
    if (this.#stopped || this.#verdict === 'down') return;
    const now = this.#options.clock.now();
    this.#passiveFailures++;
    this.#lastSeen = reason;
    this.#passive.push(now);
    if (!this.#fallIfDue(reason)) this.#hasten(now);
  }

  /** A worker opened a session. */
  reportSuccess(): void {
    this.#passive = [];
  }

  #schedule(delayMs: number): void {
    const { clock } = this.#options;
    this.#cancelTimer();
    this.#cancelTimer = clock.after(delayMs, () => {
      this.#check = this.#runCheck();
    });
  }

  /** Once per check, so that a stream of failures cannot put the check off for ever. */
  #hasten(now: number): void {
    if (this.#hastened || this.#check) return;
    this.#hastened = true;
    this.#schedule(Math.max(0, this.#checkStarted + this.#minGap() - now));
  }

  async #runCheck(): Promise<void> {
    const { clock, config, probe } = this.#options;
    this.#hastened = false;
    this.#checkStarted = clock.now();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const late = new Error(`no answer within ${config.timeoutMs} ms`);
    const cancelTimeout = clock.after(config.timeoutMs, () => this.#abort.abort(late));
    const [seen, failed] = await probe(signal).then(
      (text) => [text, false] as const,
      (error: unknown) => [error instanceof Error ? error.message : String(error), true] as const,
    );
    cancelTimeout();
    this.#check = undefined;
    if (this.#stopped) return;
    this.#judge(seen, failed);
    this.#schedule(this.#untilNext());
  }

  #judge(seen: string, failed: boolean): void {
    this.#lastSeen = seen;
    this.#checks++;
    if (failed) {
      this.#failedChecks++;
      this.#successes = 0;
      this.#failures++;
      this.#fallIfDue(seen);
      return;
    }
    this.#failures = 0;
    this.#successes++;
    const needed = this.#verdict === 'unknown' ? 1 : this.#options.config.rise;
    if (this.#verdict !== 'up' && this.#successes >= needed) this.#change('up', seen);
  }

  #fallIfDue(reason: string): boolean {
    const since = this.#options.clock.now() - PASSIVE_WINDOW_MS;
    this.#passive = this.#passive.filter((at) => at > since);
    const failures = this.#failures + this.#passive.length;
    if (this.#verdict === 'down' || failures < this.#options.config.fall) return false;
    this.#change('down', `${failures} failures (${this.#passive.length} seen by workers), the last: ${reason}`);
    return true;
  }

  #change(verdict: 'up' | 'down', reason: string): void {
    this.#verdict = verdict;
    this.#successes = 0;
    this.#failures = 0;
    this.#passive = [];
    this.#options.onChange(verdict, reason);
  }

  /** From the start of one check to the start of the next: the interval, moved by the jitter to either side. */
  #untilNext(): number {
    const { clock, config, random } = this.#options;
    const interval = config.intervalMs * (1 + config.jitter * (2 * random() - 1));
    const elapsed = clock.now() - this.#checkStarted;
    return Math.max(interval - elapsed, this.#minGap());
  }

  #minGap(): number {
    return Math.min(MIN_GAP_MS, this.#options.config.intervalMs);
  }
}

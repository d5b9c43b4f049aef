import type { Upstream } from './upstream.js';

/**
 * Closed from the arrival of a server's answer until it is sent to the client: our work on an answer takes a few turns
 * of the event loop, and what the server sent right behind it must not overtake it.
 */
export class AnswerGate {
  #answered: Upstream | undefined;
  readonly #waiting: (() => void)[] = [];

  /** Who answered. */
  get answered(): Upstream | undefined {
    return this.#answered;
  }

  get closed(): boolean {
    return this.#answered !== undefined;
  }

  close(answered: Upstream): void {
    this.#answered = answered;
  }

  wait(deliver: () => void): void {
    this.#waiting.push(deliver);
  }

  /** The answer was sent, or there is nobody to send it to. */
  open(): void {
    this.#answered?.connection.done();
    this.#answered = undefined;
    for (const deliver of this.#waiting.splice(0)) deliver();
  }
}

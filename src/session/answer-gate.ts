import type { Upstream } from './upstream.js';

/**
 * Closed from the arrival of a server's answer until it is sent to the client: our work on an answer takes a few turns
 * of the event loop, and what the server sent right behind it must not overtake it.
 */
export class AnswerGate {
  #answered: Upstream | undefined;
  readonly #waiting: (() => void)[] = [];

  get closed(): boolean {
    return this.#answered !== undefined;
  }

  /** An answer before it was not for the client: another server is asked. */
  close(answered: Upstream): void {
    this.#answered?.connection.done();
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

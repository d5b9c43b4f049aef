import type { Service } from './service.js';

/**
 * A client connection's hold on the service it was given, from the choice until it has a session or is gone. While it
 * lasts the service counts one pending connection, so that clients arriving together do not all see the same load.
 * Each claim ends exactly once however often it is told to.
 */
export class Claim {
  readonly service: Service;
  #pending = true;
  #opened = false;

  constructor(service: Service) {
    this.service = service;
    service.picked();
  }

  /** The connection opened a session (the first one, or one more). Its end is `service.sessionClosed()`. */
  sessionOpened(): void {
    this.service.sessionOpened(this.#pending);
    this.#pending = false;
    this.#opened = true;
  }

  /** The connection is gone, or the service could not be reached. Returns whether it ever opened a session. */
  release(): boolean {
    if (this.#pending) this.service.released();
    this.#pending = false;
    return this.#opened;
  }
}

import type { BoundPort } from '../../src/session/port-allocator.js';

/** UDP sockets that exist only here: numbers of ports that are in use or not. */
export class FakeSockets {
  /** Port by descriptor. */
  readonly open = new Map<number, number>();
  /** Ports of other programs. */
  readonly taken = new Set<number>();
  #lastFd = 10_000;

  readonly bind = (_address: string, port: number): BoundPort => {
    if (this.taken.has(port) || [...this.open.values()].includes(port)) {
      throw Object.assign(new Error('the port is in use'), { code: 'EADDRINUSE' });
    }
    this.open.set(++this.#lastFd, port);
    return { fd: this.#lastFd, port };
  };

  readonly close = (fd: number): void => {
    if (!this.open.delete(fd)) throw new Error(`descriptor ${fd} is not open`);
  };

  get ports(): number[] {
    return [...this.open.values()];
  }
}

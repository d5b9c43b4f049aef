import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * One end of a connection that exists in memory. Each write arrives as one chunk, never joined with
 * another and never cut: what no TCP promises, and a test of chunk borders needs.
 */
export class MemorySocket extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly localAddress = '127.0.0.1';
  readonly remotePort = 1;
  readonly localPort = 2;
  #other!: MemorySocket;

  /** Both ends, typed as what they stand for. */
  static pair(): [Socket, Socket] {
    const [one, two] = [new MemorySocket({ allowHalfOpen: true }), new MemorySocket({ allowHalfOpen: true })];
    one.#other = two;
    two.#other = one;
    return [one, two] as unknown as [Socket, Socket];
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#other.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    if (!this.#other.destroyed) this.#other.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#other.destroyed && !this.#other.readableEnded) this.#other.push(null);
    done(error);
  }
}

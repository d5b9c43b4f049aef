import type { Duplex } from 'node:stream';
import type { PeerAddress, Proxied, Transport, TransportEvents } from './transport.js';

const KEEPALIVE_PROBE_MS = 30_000;

/** A socket of node:net or node:tls, or anything else that reads and writes bytes in order. */
export interface ByteStream extends Duplex {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  setNoDelay?(on: boolean): unknown;
  setKeepAlive?(on: boolean, idleMs: number): unknown;
}

/** A connection whose bytes pass through this process. */
export class StreamTransport implements Transport {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  readonly proxied: Proxied | undefined;
  readonly stream: ByteStream;
  #corked = false;
  #closed = false;
  #error: Error | undefined;

  /** `client`: whose connection it is, where a proxy forwards it. */
  constructor(stream: ByteStream, client?: PeerAddress, proxied?: Proxied) {
    this.stream = stream;
    this.proxied = proxied;
    this.remote = client ?? { ip: canonicalIp(stream.remoteAddress), port: stream.remotePort ?? 0 };
    this.local = { ip: canonicalIp(stream.localAddress), port: stream.localPort ?? 0 };
    stream.setNoDelay?.(true);
    stream.setKeepAlive?.(true, KEEPALIVE_PROBE_MS);
  }

  get closed(): boolean {
    return this.#closed || this.stream.destroyed;
  }

  get backlog(): number {
    return this.stream.writableLength;
  }

  get paused(): boolean {
    return this.stream.isPaused();
  }

  /** Every byte that was read has been handed on, and every byte that was written has left. */
  get drained(): boolean {
    const { readableLength, writableLength, readableEnded } = this.stream;
    return !this.closed && !readableEnded && readableLength === 0 && writableLength === 0;
  }

  open(events: TransportEvents): void {
    this.stream.on('data', (chunk: Buffer) => events.onBytes(chunk));
    this.stream.on('end', () => events.onEnd());
    this.stream.on('error', (error) => {
      this.#error ??= error;
    });
    this.stream.on('close', () => {
      this.#closed = true;
      events.onClose(this.#error);
    });
  }

  write(bytes: Buffer, completes?: Transport): void {
    this.stream.write(bytes);
    completes?.done();
  }

  /** All that is written in one turn of the event loop leaves in one system call. */
  writeFrame(bytes: Buffer): void {
    if (!this.#corked) {
      this.#corked = true;
      this.stream.cork();
      process.nextTick(() => this.flush());
    }
    this.stream.write(bytes);
  }

  /** What was written leaves now. */
  flush(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.stream.uncork();
  }

  /** What was read is gone from the socket already. */
  done(): void {}

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  discard(): void {
    this.stream.removeAllListeners('data');
    this.stream.resume();
  }

  end(): void {
    // A paused socket would never see the peer's FIN.
    this.stream.resume();
    this.stream.end();
  }

  destroy(): void {
    this.stream.destroy();
  }

  /** Closes our side of a stream that goes on elsewhere: nobody here hears of it any more. */
  abandon(): void {
    for (const event of ['data', 'end', 'error', 'close']) this.stream.removeAllListeners(event);
    this.#closed = true;
    this.stream.on('error', () => {});
    this.stream.destroy();
  }
}

/** `::ffff:192.0.2.1` is `192.0.2.1`: one address has one spelling everywhere. */
export function canonicalIp(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

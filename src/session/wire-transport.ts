import { getSystemErrorName } from 'node:util';
import type { HeldMessage, Unwritten, Wire, WireEnd, WireFault, WireHandler } from '../engine/wire.js';
import { PenstockError } from '../errors.js';
import type { PeerAddress, Proxied, Transport, TransportEvents } from '../rtsp/transport.js';

/** How soon a message that came again is looked at again: whether what completes it has left by now. */
const RECHECK_MS = 20;

/** Why a connection ended that did not end in an orderly way. */
const ENDS: Partial<Record<WireEnd, string>> = {
  messages: 'peer does not read',
  frames: 'peer does not read its media',
  torn: 'a half-sent message cannot be finished',
  lost: 'its socket got lost',
};

/** What became of the message that came last. */
type Progress = { is: 'held' } | { is: 'done' } | { is: 'promised'; by: Wire; message: Unwritten };

/** A connection whose bytes the engine relays. Messages come one at a time: the next when the last is dealt with. */
export class WireTransport implements Transport, WireHandler {
  readonly wire: Wire;
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  readonly proxied: Proxied | undefined;
  /** Called when the engine has told where an adopted wire stands, and again by each of its successors. */
  onStanding: (dealtWith: number, accepted: number) => void = () => {};
  #events: TransportEvents | undefined;
  #lastSeq = 0;
  #progress: Progress = { is: 'done' };
  /** Came while nobody wanted to read. */
  #stash: Buffer | undefined;
  #paused = false;
  #closed = false;

  constructor(wire: Wire) {
    this.wire = wire;
    this.remote = wire.view.remote;
    this.local = wire.view.local;
    this.proxied = wire.view.proxied;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get backlog(): number {
    return this.wire.backlog;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** The number of the message that is being dealt with. */
  get heldSeq(): number | undefined {
    return this.#progress.is === 'held' ? this.#lastSeq : undefined;
  }

  open(events: TransportEvents): void {
    this.#events = events;
    this.wire.start(this);
  }

  write(bytes: Buffer, completes?: Transport): void {
    if (completes instanceof WireTransport) completes.#completeWith(this.wire, bytes);
    else {
      this.wire.write(bytes);
      completes?.done();
    }
  }

  writeFrame(bytes: Buffer): void {
    this.wire.write(bytes);
  }

  done(): void {
    if (this.#progress.is !== 'held') return;
    this.#progress = { is: 'done' };
    this.wire.continue(this.#lastSeq);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    const stash = this.#stash;
    this.#stash = undefined;
    if (stash) this.#events?.onBytes(stash);
  }

  /** The engine does so by itself. */
  discard(): void {}

  end(): void {
    this.wire.shutdown();
  }

  destroy(): void {
    if (this.#closed) return;
    this.wire.close();
    this.#close(undefined);
  }

  onAttached(dealtWith: number, accepted: number): void {
    this.onStanding(dealtWith, accepted);
  }

  onMessage(seq: number, bytes: Buffer): void {
    if (seq === this.#lastSeq) this.#cameAgain();
    if (seq <= this.#lastSeq) return;
    this.#lastSeq = seq;
    this.#progress = { is: 'held' };
    if (this.#paused) this.#stash = bytes;
    else this.#events?.onBytes(bytes);
  }

  onFault(fault: WireFault, bytes: Buffer): void {
    if (fault === 'late') this.#fault('PENSTOCK_ERR_REQUEST_TIMEOUT', 'a message was not complete in time');
    else if (fault === 'tooLarge') this.#fault('PENSTOCK_ERR_BODY_TOO_LARGE', 'a message is too large');
    else {
      // Our own parser says what is wrong with it.
      this.#events?.onBytes(bytes);
      this.#fault('PENSTOCK_ERR_BAD_MESSAGE', 'the bytes are not RTSP');
    }
  }

  onEnd(): void {
    this.#events?.onEnd();
  }

  onClosed(end: WireEnd, errno: number): void {
    // One whose socket got lost stands nowhere, and nobody need wait to hear where.
    this.onStanding(0, 0);
    const why = end === 'error' ? `read or write failed: ${errnoName(errno)}` : ENDS[end];
    this.#close(why === undefined ? undefined : new Error(why));
  }

  /** What is written on that wire completes our message. */
  #completeWith(by: Wire, bytes: Buffer): void {
    const held: HeldMessage = { wire: this.wire.ref, seq: this.#lastSeq };
    if (this.#progress.is === 'held') this.#progress = { is: 'promised', by, message: by.write(bytes, held) };
    else by.write(bytes);
  }

  /** The engine has a successor, which does not know yet that the message is dealt with. */
  #cameAgain(): void {
    const progress = this.#progress;
    if (progress.is === 'done') this.wire.continue(this.#lastSeq);
    if (progress.is !== 'promised' || this.#closed) return;
    // Written: then nobody else will tell. Not yet: it is said again, and completes the message as it did before.
    const { seq } = progress.message;
    if (seq !== 0 && progress.by.row.writtenSeq >= seq) this.wire.continue(this.#lastSeq);
    else setTimeout(() => this.#progress === progress && this.#cameAgain(), RECHECK_MS).unref();
  }

  #fault(code: PenstockError['code'], message: string): void {
    this.#events?.onFault(new PenstockError(code, message));
  }

  /** As with any socket, whoever closes it hears of it later. */
  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    setImmediate(() => this.#events?.onClose(error));
  }
}

function errnoName(errno: number): string {
  return errno === 0 ? 'unknown' : getSystemErrorName(-errno);
}

import type { OutboxRecord } from './binding.js';
import type { Layout } from './layout.js';
import type { WireRef, WireRow, WireView } from './wire-rows.js';

export type WireFault = keyof Layout['wireFault'];
export type WireEnd = keyof Layout['wireEnd'];

/** A message of a wire that its peer sent, by its number. */
export interface HeldMessage {
  wire: WireRef;
  seq: number;
}

export interface WireHandler {
  /**
   * The engine has the wire, for the first time or again. `dealtWith`: the last message that needs nothing more.
   * `accepted`: the last of ours that it had; what a predecessor wrote behind that is lost.
   */
  onAttached(dealtWith: number, accepted: number): void;
  /** A whole message. The engine keeps it until it is continued, and brings it again when either side has a successor. */
  onMessage(seq: number, bytes: Buffer): void;
  /** Nothing more of what the peer sends is understood. `bytes`: what it was, or its beginning. */
  onFault(fault: WireFault, bytes: Buffer): void;
  /** The peer's FIN, behind all that it sent. */
  onEnd(): void;
  /** Nothing can be read or written any more. `errno` where the kernel said why, else 0. */
  onClosed(end: WireEnd, errno: number): void;
}

/** A message on its way to the peer. */
export interface Unwritten {
  /** 0 until it is known what number it gets. */
  seq: number;
  bytes: Buffer;
  continues: HeldMessage | undefined;
}

/** Stands for a message that was lost together with those who had it. */
const NOTHING = Buffer.alloc(0);

/** What a wire needs of the rings. */
export interface WirePort {
  readonly recordKind: Layout['recordKind'];
  /** By which the engine tells what it says to us from what it says to a predecessor; not 0. */
  readonly token: number;
  /** In order with all that this worker says to that thread. */
  say(thread: number, record: OutboxRecord): void;
  /** Writes of this wire that found no room in the ring are forgotten: they will be said again. */
  /** Its messages that have not gone yet, and the end behind them: all of it is said again in order. */
  unsayWrites(wire: number): void;
  closing(wire: Wire): void;
}

/**
 * A TCP connection that the engine holds: messages come whole and are continued once they are dealt with, messages
 * leave by their number. What has not left is kept here and said again to an engine's successor.
 */
export class Wire {
  readonly row: WireRow;
  readonly generation: number;
  readonly view: WireView;
  readonly #port: WirePort;
  #handler: WireHandler | undefined;
  readonly #unwritten: Unwritten[] = [];
  #backlog = 0;
  /** Undefined until the engine told an adopted wire's new owner. */
  #nextSeq: number | undefined;
  #closing = false;
  #shut = false;
  /** The engine answered our start. */
  #heard = false;

  constructor(port: WirePort, row: WireRow, view: WireView, firstSeq: number | undefined) {
    this.#port = port;
    this.row = row;
    this.view = view;
    this.generation = view.generation;
    this.#nextSeq = firstSeq;
  }

  get slot(): number {
    return this.row.slot;
  }

  get thread(): number {
    return this.view.thread;
  }

  get ref(): WireRef {
    return { slot: this.slot, generation: this.generation };
  }

  /** Bytes of messages that have not left. */
  get backlog(): number {
    this.#forgetWritten();
    return this.#backlog;
  }

  /** The number that the next message gets; undefined while that is not known. */
  get nextSeq(): number | undefined {
    return this.#nextSeq;
  }

  /** From now on `handler` hears of the wire, first where it stands. */
  start(handler: WireHandler): void {
    this.#handler = handler;
    this.#say('start', { seq: this.#port.token });
  }

  /** Now and then: an engine may have died with our start. */
  remind(): void {
    if (this.#handler && !this.#heard) this.#say('start', { seq: this.#port.token });
  }

  /** One whole message; `continues` is dealt with once it has left. */
  write(bytes: Buffer, continues?: HeldMessage): Unwritten {
    const write = { seq: this.#nextSeq ?? 0, bytes, continues };
    if (this.#closing) return write;
    this.#unwritten.push(write);
    this.#backlog += bytes.length;
    if (this.#nextSeq === undefined) return write;
    this.#nextSeq++;
    this.#sayWrite(write);
    return write;
  }

  /** A predecessor wrote this message: it is said again where an engine dies with it. */
  keep(seq: number, bytes: Buffer): void {
    this.#unwritten.unshift({ seq, bytes, continues: undefined });
    this.#backlog += bytes.length;
  }

  /** A message of the peer is dealt with. */
  continue(seq: number): void {
    if (!this.#closing) this.#say('continue', { seq });
  }

  /** FIN, after all that is to be written. */
  shutdown(): void {
    this.#shut = true;
    if (this.#nextSeq !== undefined) this.#say('shutdown');
  }

  /** Ends it now. The handler hears nothing more. */
  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#handler = undefined;
    this.#unwritten.length = 0;
    this.#backlog = 0;
    this.row.setState('closing');
    this.#port.closing(this);
    this.#say('close');
  }

  // ---- what the engine says

  /** `accepted`: the last message that the engine took for writing. `token`: of the start that it has had; 0 = of none. */
  attached(accepted: number, dealtWith: number, token: number): void {
    if (this.#closing) {
      this.#say('close');
      return;
    }
    this.#heard ||= token === this.#port.token || this.#nextSeq !== undefined;
    // Meant for a predecessor, or said by an engine that does not know of us: our numbers cannot follow from it.
    if (!this.#heard) {
      this.remind();
      return;
    }
    this.#port.unsayWrites(this.slot);
    this.#sayAgain(accepted, this.#number(accepted + 1));
    if (this.#shut) this.#say('shutdown');
    this.#handler?.onAttached(dealtWith, accepted);
  }

  message(seq: number, bytes: Buffer): void {
    this.#listener?.onMessage(seq, bytes);
  }

  fault(fault: WireFault, bytes: Buffer): void {
    this.#listener?.onFault(fault, bytes);
  }

  end(): void {
    this.#listener?.onEnd();
  }

  closed(end: WireEnd, errno: number): void {
    this.#handler?.onClosed(end, errno);
  }

  /** What came before the engine told where the wire stands is said again then. */
  get #listener(): WireHandler | undefined {
    return this.#nextSeq === undefined ? undefined : this.#handler;
  }

  /** What was written before the number of the first message was known gets its number. Gives the next one. */
  #number(first: number): number {
    if (this.#nextSeq !== undefined) return this.#nextSeq;
    let next = first;
    for (const write of this.#unwritten) write.seq = next++;
    this.#nextSeq = next;
    return next;
  }

  /** The engine writes by number: one that died with a worker and an engine must not keep it waiting. */
  #sayAgain(accepted: number, next: number): void {
    this.#forgetWritten();
    const kept = new Map(this.#unwritten.map((write) => [write.seq, write]));
    for (let seq = accepted + 1; seq < next; seq++) {
      this.#sayWrite(kept.get(seq) ?? { seq, bytes: NOTHING, continues: undefined });
    }
  }

  #forgetWritten(): void {
    if (this.#nextSeq === undefined) return;
    const written = this.row.writtenSeq;
    while (this.#unwritten.length > 0 && (this.#unwritten[0] as Unwritten).seq <= written) {
      this.#backlog -= (this.#unwritten.shift() as Unwritten).bytes.length;
    }
  }

  #sayWrite({ seq, bytes, continues }: Unwritten): void {
    const message = continues && {
      wire: continues.wire.slot,
      generation: continues.wire.generation,
      seq: continues.seq,
    };
    this.#say('write', { seq, bytes, ...(message ? { continues: message } : {}) });
  }

  #say(kind: keyof Layout['recordKind'], rest: Partial<OutboxRecord> = {}): void {
    this.#port.say(this.thread, {
      kind: this.#port.recordKind[kind],
      wire: this.slot,
      generation: this.generation,
      ...rest,
    });
  }
}

import { PenstockError } from '../errors.js';
import { type ParsedHead, readHead } from './head.js';
import { FRAME_HEADER, FRAME_MARK } from './interleaved.js';
import { DEFAULT_LIMITS, type RtspLimits } from './limits.js';
import type { RtspMessage } from './message.js';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DEL = 0x7f;
const EMPTY = Buffer.alloc(0);
const FIRST_ALLOCATION = 1024;

/**
 * What the parser found, in the order of the wire. Bodies and frames are views: either into the chunk that was
 * pushed (they live as long as its owner leaves it alone) or, when they came in pieces, into memory of their own.
 */
export interface ParserHandler {
  onMessage(message: RtspMessage): void;
  /** `frame` is whole, with its 4-byte header. */
  onFrame(channel: number, frame: Buffer): void;
}

type State = 'between' | 'head' | 'body' | 'frame';

/**
 * Incremental reader of one direction of an RTSP connection: messages and `$` frames in any mixture.
 * Bytes are copied only when a message or a frame spans chunks. Tolerates what real peers send (bare LF, folded
 * fields, empty lines between messages, odd spacing), refuses what would leave two readers of the same bytes with
 * different messages: NUL, a CR without LF, Content-Lengths that differ.
 */
export class RtspParser {
  readonly #handler: ParserHandler;
  readonly #limits: RtspLimits;
  #state: State = 'between';
  #dead = false;
  /** The beginning of an incomplete message or frame: the first `#held` bytes. */
  #buffer: Buffer = EMPTY;
  #held = 0;
  /** Bytes of the whole frame, or of the message with its body, that is being held. */
  #total = 0;
  /** The message that waits for its body. */
  #message: RtspMessage | undefined;
  #completed = 0;
  // Where the search for the end of the head stands: it never looks at a byte twice.
  #headBytes = 0;
  #lineBytes = 0;
  #lines = 0;
  #afterCr = false;

  constructor(handler: ParserHandler, limits: RtspLimits = DEFAULT_LIMITS) {
    this.#handler = handler;
    this.#limits = limits;
  }

  /** Bytes held of a message or frame that is not complete. */
  get buffered(): number {
    return this.#held;
  }

  /** True while a message or frame has begun and is not complete. */
  get midMessage(): boolean {
    return this.#state !== 'between';
  }

  /** Messages and frames handed out so far: lets a deadline tell a slow peer from one that stopped. */
  get completed(): number {
    return this.#completed;
  }

  /** Takes any piece of the stream. After a throw (PenstockError, or whatever a handler threw) the parser is dead. */
  push(chunk: Buffer): void {
    if (this.#dead) throw bad('the parser stopped at an earlier fault');
    this.#dead = true;
    let at = 0;
    while (at < chunk.length) at = this.#step(chunk, at);
    this.#dead = false;
  }

  /** Advances by one element or to the end of the chunk; returns where the next step begins. */
  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'between':
        return this.#begin(chunk, at);
      case 'head':
        return this.#readHead(chunk, at);
      case 'body':
      case 'frame':
        return this.#complete(chunk, at);
    }
  }

  #begin(chunk: Buffer, at: number): number {
    const first = chunk[at] ?? 0;
    if (first === FRAME_MARK) return this.#beginFrame(chunk, at);
    if (first === CR || first === LF) return at + 1;
    // Binary data or TLS: no need to collect a line of it first.
    if (first <= SPACE || first >= DEL) throw bad(`byte 0x${first.toString(16)} begins neither a message nor a frame`);
    this.#state = 'head';
    this.#headBytes = 0;
    this.#lineBytes = 0;
    this.#lines = 0;
    this.#afterCr = false;
    return this.#readHead(chunk, at);
  }

  #beginFrame(chunk: Buffer, at: number): number {
    const left = chunk.length - at;
    const total = left < FRAME_HEADER ? FRAME_HEADER : FRAME_HEADER + chunk.readUInt16BE(at + 2);
    if (left >= total) {
      this.#completed++;
      this.#handler.onFrame(chunk[at + 1] ?? 0, chunk.subarray(at, at + total));
      return at + total;
    }
    this.#state = 'frame';
    this.#total = total;
    return this.#hold(chunk, at, chunk.length);
  }

  #readHead(chunk: Buffer, at: number): number {
    const end = this.#findHeadEnd(chunk, at);
    if (end === -1) return this.#hold(chunk, at, chunk.length);
    if (this.#held === 0) return this.#takeHead(chunk, at, end);
    this.#hold(chunk, at, end);
    this.#awaitBody(readHead(this.#buffer.toString('latin1', 0, this.#held), this.#limits), this.#held);
    if (this.#held === this.#total) this.#emitHeld();
    return end;
  }

  /** The head lies in one chunk: if the body does too, nothing is copied. */
  #takeHead(chunk: Buffer, at: number, end: number): number {
    const head = readHead(chunk.toString('latin1', at, end), this.#limits);
    const bodyEnd = end + head.bodyLength;
    if (bodyEnd > chunk.length) {
      this.#awaitBody(head, end - at);
      return this.#hold(chunk, at, chunk.length);
    }
    this.#state = 'between';
    head.message.body = chunk.subarray(end, bodyEnd);
    this.#emit(head.message);
    return bodyEnd;
  }

  #awaitBody(head: ParsedHead, headBytes: number): void {
    this.#state = 'body';
    this.#message = head.message;
    this.#headBytes = headBytes;
    this.#total = headBytes + head.bodyLength;
  }

  /** Takes what is missing of a body or a frame. */
  #complete(chunk: Buffer, at: number): number {
    const end = this.#hold(chunk, at, Math.min(chunk.length, at + this.#total - this.#held));
    if (this.#state === 'frame' && this.#total === FRAME_HEADER && this.#held === FRAME_HEADER) {
      this.#total += this.#buffer.readUInt16BE(2);
    }
    if (this.#held === this.#total) this.#emitHeld();
    return end;
  }

  #emitHeld(): void {
    const bytes = this.#buffer.subarray(0, this.#held);
    const message = this.#message;
    this.#state = 'between';
    this.#buffer = EMPTY;
    this.#held = 0;
    this.#message = undefined;
    if (message) {
      message.body = bytes.subarray(this.#headBytes);
      this.#emit(message);
    } else {
      this.#completed++;
      this.#handler.onFrame(bytes[1] ?? 0, bytes);
    }
  }

  #emit(message: RtspMessage): void {
    this.#completed++;
    this.#handler.onMessage(message);
  }

  /** Copies a piece of the chunk behind what is held; the memory doubles, up to what is known to be needed. */
  #hold(chunk: Buffer, from: number, to: number): number {
    const needed = this.#held + to - from;
    if (needed > this.#buffer.length) {
      const known = this.#state === 'head' ? this.#limits.head : this.#total;
      const size = Math.min(Math.max(needed, this.#buffer.length * 2, FIRST_ALLOCATION), Math.max(known, needed));
      const grown = Buffer.allocUnsafe(size);
      this.#buffer.copy(grown, 0, 0, this.#held);
      this.#buffer = grown;
    }
    chunk.copy(this.#buffer, this.#held, from, to);
    this.#held = needed;
    return to;
  }

  /**
   * The position after the blank line, or -1 when the chunk ends before it. This loop sees every byte of every
   * head once, so it also holds the limits.
   */
  #findHeadEnd(chunk: Buffer, at: number): number {
    const stop = Math.min(chunk.length, at + this.#limits.head - this.#headBytes);
    const longest = this.#limits.line;
    let line = this.#lineBytes;
    let afterCr = this.#afterCr;
    for (let i = at; i < stop; i++) {
      const byte = chunk[i];
      if (byte === LF) {
        if (line === 0) return i + 1;
        this.#countLine();
        line = 0;
        afterCr = false;
      } else if (afterCr || byte === 0) {
        // Some servers end a line at a lone CR, or a string at NUL: they would read other fields than we do.
        throw bad(afterCr ? 'a CR without LF in a head' : 'a NUL in a head');
      } else if (byte === CR) {
        afterCr = true;
      } else if (++line > longest) {
        throw new PenstockError('PENSTOCK_ERR_LINE_TOO_LONG', `a line of more than ${longest} bytes`);
      }
    }
    this.#lineBytes = line;
    this.#afterCr = afterCr;
    this.#headBytes += stop - at;
    if (this.#headBytes >= this.#limits.head) throw tooMany(`a head of more than ${this.#limits.head} bytes`);
    return -1;
  }

  #countLine(): void {
    this.#lines++;
    if (this.#lines > this.#limits.headers + 1) throw tooMany(`more than ${this.#limits.headers} header lines`);
  }
}

function bad(message: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_BAD_MESSAGE', message);
}

function tooMany(message: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_TOO_MANY_HEADERS', message);
}

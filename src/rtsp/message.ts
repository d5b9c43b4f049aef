import { PenstockError } from '../errors.js';
import { isNamed } from './name.js';

/** Would end the field, or is not latin1: on the wire each character is one byte. */
const NOT_IN_A_VALUE = /[\r\n\u0100-\uffff]/;
const FOLD = /\r?\n[ \t]+/g;

/** One header field. A line that is none has the name ''. */
interface Field {
  name: string;
  /** Unfolded, without the white space around it. */
  value: string;
  /** As it stands on the wire: name, colon, spacing, value, line end. */
  text: string;
  /** Where in it the value stands as written, folds included. */
  start: number;
  end: number;
}

/**
 * The header fields of a message in the order of the wire. Names compare without case. Every byte of a field
 * that is not edited stays as it came: spelling, spacing around the colon, folds, line end.
 * A line without a colon is kept in its place too, under the name '' that no look-up finds.
 */
export class HeaderList {
  readonly #fields: Field[] = [];
  readonly #lineEnd: string;

  constructor(lineEnd = '\r\n') {
    this.#lineEnd = lineEnd;
  }

  /** The value of the first field of that name. */
  get(name: string): string | undefined {
    return this.#first(name)?.value;
  }

  getAll(name: string): string[] {
    return this.#fields.filter((field) => isNamed(field, name)).map((field) => field.value);
  }

  has(name: string): boolean {
    return this.#first(name) !== undefined;
  }

  /** Replaces the value of the first field of that name; appends a field if there is none. */
  set(name: string, value: string): void {
    const field = this.#first(name);
    if (field) replaceValue(field, value);
    else this.append(name, value);
  }

  /** Gives every field of that name the value `change` returns; the same value leaves the bytes alone. */
  map(name: string, change: (value: string) => string): void {
    for (const field of this.#fields) {
      if (isNamed(field, name)) replaceValue(field, change(field.value));
    }
  }

  append(name: string, value: string): void {
    checkValue(name, value);
    const before = `${name}: `;
    const text = `${before}${value}${this.#lineEnd}`;
    this.#fields.push({ name, value, text, start: before.length, end: before.length + value.length });
  }

  /** Removes every field of that name; returns how many there were. */
  delete(name: string): number {
    let kept = 0;
    for (const field of this.#fields) {
      if (!isNamed(field, name)) this.#fields[kept++] = field;
    }
    const removed = this.#fields.length - kept;
    this.#fields.length = kept;
    return removed;
  }

  *[Symbol.iterator](): IterableIterator<{ name: string; value: string }> {
    for (const { name, value } of this.#fields) yield { name, value };
  }

  /** For the parser: one field with its continuation lines and line ends, exactly as received. */
  appendWire(text: string): void {
    this.#fields.push(readField(text));
  }

  /** For the serializer: all fields with their line ends. */
  wireText(): string {
    let text = '';
    for (const field of this.#fields) text += field.text;
    return text;
  }

  #first(name: string): Field | undefined {
    for (const field of this.#fields) if (isNamed(field, name)) return field;
    return undefined;
  }
}

/** How the parts that are not header fields were written; absent in messages that were made here. */
export interface WireForm {
  /** The start line with its line end; valid while the parts below equal those of the message. */
  readonly startLine: string;
  /** Method, URI, version; or version, status, reason. */
  readonly parts: readonly [string, string | number, string];
  /** The blank line that ends the head. */
  readonly blankLine: string;
}

export interface RtspRequest {
  kind: 'request';
  method: string;
  uri: string;
  /** As written: `RTSP/1.0`, or any other token that begins with `RTSP/`. */
  version: string;
  headers: HeaderList;
  body: Buffer;
  readonly wire?: WireForm;
}

export interface RtspResponse {
  kind: 'response';
  status: number;
  /** '' where the peer sent none. */
  reason: string;
  version: string;
  headers: HeaderList;
  body: Buffer;
  readonly wire?: WireForm;
}

export type RtspMessage = RtspRequest | RtspResponse;

/** Replaces the body; every Content-Length field follows, and one is added to a body that had none. */
export function setBody(message: RtspMessage, body: Buffer): void {
  message.body = body;
  const length = String(body.length);
  if (message.headers.has('Content-Length')) message.headers.map('Content-Length', () => length);
  else if (body.length > 0) message.headers.append('Content-Length', length);
}

function replaceValue(field: Field, value: string): void {
  if (value === field.value) return;
  checkValue(field.name, value);
  field.text = field.text.slice(0, field.start) + value + field.text.slice(field.end);
  field.end = field.start + value.length;
  field.value = value;
}

function checkValue(name: string, value: string): void {
  if (!NOT_IN_A_VALUE.test(value) && !value.includes('\0')) return;
  throw new PenstockError(
    'PENSTOCK_ERR_BAD_MESSAGE',
    `the value for ${name} holds a line end or a character beyond latin1`,
  );
}

function readField(text: string): Field {
  const colon = text.indexOf(':');
  const nameEnd = skipSpaceBack(text, colon, 0);
  if (nameEnd <= 0 || text.lastIndexOf('\n', colon) !== -1) {
    return { name: '', value: trimmed(text), text, start: 0, end: 0 };
  }
  let end = skipSpaceBack(text, text.length, colon + 1);
  let start = colon + 1;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  // An empty value ("Session: ") stands after its blank, where a new value will go.
  if (start === end) while (isBlank(text.charCodeAt(start))) end = ++start;
  const written = text.slice(start, end);
  const value = written.includes('\n') ? written.replace(FOLD, ' ') : written;
  return { name: text.slice(0, nameEnd), value, text, start, end };
}

function trimmed(text: string): string {
  return text.slice(0, skipSpaceBack(text, text.length, 0));
}

function skipSpaceBack(text: string, end: number, floor: number): number {
  let at = end;
  while (at > floor && isSpace(text.charCodeAt(at - 1))) at--;
  return at;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function isSpace(code: number): boolean {
  return isBlank(code) || code === 0x0d || code === 0x0a;
}

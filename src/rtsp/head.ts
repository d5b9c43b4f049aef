import { PenstockError } from '../errors.js';
import { MAX_METHOD, type RtspLimits } from './limits.js';
import { HeaderList, type RtspMessage, type WireForm } from './message.js';

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VERSION = /^RTSP\/[\x21-\x7e]+$/i;
const THE_VERSION = 'RTSP/1.0';
const STATUS_AND_REASON = /^(\d{3})(?:[ \t]+(.*))?$/;
const NO_BODY = Buffer.alloc(0);

export interface ParsedHead {
  /** Complete but for its body. */
  message: RtspMessage;
  bodyLength: number;
}

/**
 * Reads a whole head: start line, header fields and the blank line, as latin1 text.
 * Whether it is a request or a response is decided by the start line alone (RFC 2326 §6, §7).
 */
export function readHead(text: string, limits: RtspLimits): ParsedHead {
  const fieldsAt = text.indexOf('\n') + 1;
  const startLine = text.slice(0, fieldsAt);
  const headers = new HeaderList(startLine.endsWith('\r\n') ? '\r\n' : '\n');
  const blankLine = text.slice(readFields(text, fieldsAt, headers));
  const message = readStartLine(startLine, blankLine, headers, limits);
  return { message, bodyLength: contentLength(headers, limits) };
}

/** Returns where the blank line begins. */
function readFields(text: string, from: number, headers: HeaderList): number {
  if (isContinuation(text, from)) throw bad('the first header line continues no field', text.slice(from));
  let at = from;
  while (!isBlankLine(text, at)) {
    let end = text.indexOf('\n', at) + 1;
    while (isContinuation(text, end)) end = text.indexOf('\n', end) + 1;
    headers.appendWire(text.slice(at, end));
    at = end;
  }
  return at;
}

function isBlankLine(text: string, at: number): boolean {
  return text[at] === '\n' || text[at] === '\r';
}

function isContinuation(text: string, at: number): boolean {
  return text[at] === ' ' || text[at] === '\t';
}

function readStartLine(startLine: string, blankLine: string, headers: HeaderList, limits: RtspLimits): RtspMessage {
  const line = startLine.trimEnd();
  const first = line.slice(0, gapAt(line, 0));
  if (isVersion(first)) return readStatusLine(line, first, startLine, blankLine, headers);
  const last = line.slice(Math.max(line.lastIndexOf(' '), line.lastIndexOf('\t')) + 1);
  if (first.startsWith('HTTP/') || last.startsWith('HTTP/')) throw bad('this is HTTP, which is not served here', line);
  const uri = line.slice(first.length, line.length - last.length).trim();
  if (!isVersion(last) || uri === '') throw bad('expected METHOD URI RTSP/1.0 or RTSP/1.0 STATUS REASON', line);
  if (first.length > MAX_METHOD || !TOKEN.test(first)) throw bad('the method is not a token', line);
  if (uri.length > limits.uri) {
    throw new PenstockError('PENSTOCK_ERR_URI_TOO_LONG', `a Request-URI of ${uri.length} bytes (limit ${limits.uri})`);
  }
  const wire: WireForm = { startLine, blankLine, parts: [first, uri, last] };
  return { kind: 'request', method: first, uri, version: last, headers, body: NO_BODY, wire };
}

function readStatusLine(
  line: string,
  version: string,
  startLine: string,
  blankLine: string,
  headers: HeaderList,
): RtspMessage {
  const match = STATUS_AND_REASON.exec(line.slice(version.length).trimStart());
  if (!match) throw bad('expected a status of three digits', line);
  const status = Number(match[1]);
  const reason = match[2] ?? '';
  const wire: WireForm = { startLine, blankLine, parts: [version, status, reason] };
  return { kind: 'response', status, reason, version, headers, body: NO_BODY, wire };
}

function isVersion(text: string): boolean {
  return text === THE_VERSION || VERSION.test(text);
}

/** The end of the token that begins at `from`. */
function gapAt(line: string, from: number): number {
  let at = from;
  while (at < line.length && line[at] !== ' ' && line[at] !== '\t') at++;
  return at;
}

/**
 * Without the field there is no body, in requests and responses alike (RFC 2326 §4.4). Fields that agree are
 * one; anything that two readers could take for different lengths is refused.
 */
function contentLength(headers: HeaderList, limits: RtspLimits): number {
  if (!headers.has('Content-Length')) return 0;
  let length: number | undefined;
  for (const value of headers.getAll('Content-Length')) {
    if (!/^\d{1,15}$/.test(value)) throw bad('Content-Length is not a number of bytes', value);
    if (length !== undefined && Number(value) !== length) throw bad('Content-Length fields differ', value);
    length = Number(value);
  }
  if (length !== undefined && length > limits.body) {
    throw new PenstockError('PENSTOCK_ERR_BODY_TOO_LARGE', `a body of ${length} bytes (limit ${limits.body})`);
  }
  return length ?? 0;
}

function bad(message: string, found: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_BAD_MESSAGE', `${message}: ${JSON.stringify(found.slice(0, 80))}`);
}

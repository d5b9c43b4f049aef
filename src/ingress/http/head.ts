import { PenstockError } from '../../errors.js';

/** Bytes of the whole head. Players send 300; proxies on the way add cookies of their own. */
export const MAX_HTTP_HEAD = 8 * 1024;
/** Characters of `x-sessioncookie`. Players send 16 to 23. */
export const MAX_COOKIE = 128;

/** The head of one half of a tunnel. */
export interface HttpHead {
  /** GET carries what we send, POST what the client sends. */
  method: 'GET' | 'POST';
  /** Names the tunnel: both halves have the same. */
  cookie: string;
}

const REQUEST_LINE = /^(GET|POST) [\x21-\x7e]+ HTTP\/1\.[01]$/;
const COOKIE = /^[\x21-\x7e]+$/;

/** Undefined while the blank line is missing. Throws PENSTOCK_ERR_TUNNEL for what is no half of a tunnel. */
export function readHttpHead(bytes: Buffer): { value: HttpHead; taken: number } | undefined {
  const text = bytes.toString('latin1', 0, MAX_HTTP_HEAD);
  const blank = /\r?\n\r?\n/.exec(text);
  if (!blank) {
    if (bytes.length >= MAX_HTTP_HEAD) throw refused(`an HTTP head is longer than ${MAX_HTTP_HEAD} bytes`);
    return undefined;
  }
  return { value: parse(text.slice(0, blank.index)), taken: blank.index + blank[0].length };
}

function parse(head: string): HttpHead {
  const [line = '', ...fields] = head.split(/\r?\n/);
  const method = REQUEST_LINE.exec(line)?.[1];
  if (method === undefined) throw refused(`no HTTP request line: ${JSON.stringify(line.slice(0, 80))}`);
  const cookies = fields.filter((field) => /^x-sessioncookie[ \t]*:/i.test(field));
  const cookie = cookies[0]?.slice(cookies[0].indexOf(':') + 1).trim() ?? '';
  if (cookies.length !== 1 || !COOKIE.test(cookie)) throw refused('HTTP without one x-sessioncookie is no tunnel');
  if (cookie.length > MAX_COOKIE) throw refused(`an x-sessioncookie is longer than ${MAX_COOKIE} characters`);
  return { method: method as HttpHead['method'], cookie };
}

function refused(message: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_TUNNEL', message);
}

import { PenstockError } from '../../errors.js';

/** Line ends and blanks in a row; some clients break lines. */
export const MAX_BLANKS = 1024;

const QUAD = 4;
/** By the place in a quad where it begins. */
const PADDING: Readonly<Record<number, string>> = { 2: '==', 3: '=' };
const ALPHABET = /^[A-Za-z0-9+/=]*$/;
const BLANKS = /[ \t\r\n]+/g;
const NO_BLANKS = /[^ \t\r\n]+/;

/** Decodes base64 that comes in pieces (RFC 4648 §4). */
export class Base64Decoder {
  /** Less than a quad. */
  #left = '';
  #blanks = 0;

  /** What the bytes complete. Throws PENSTOCK_ERR_TUNNEL for what is no base64. */
  push(chunk: Buffer): Buffer {
    const text = this.#left + this.#withoutBlanks(chunk.toString('latin1'));
    if (!ALPHABET.test(text)) throw noise('bytes that are not base64');
    const whole = text.length - (text.length % QUAD);
    this.#left = text.slice(whole);
    return decode(text.slice(0, whole));
  }

  #withoutBlanks(text: string): string {
    const runs = text.split(NO_BLANKS).map(({ length }) => length);
    runs[0] = (runs[0] ?? 0) + this.#blanks;
    if (runs.some((length) => length > MAX_BLANKS)) throw noise(`more than ${MAX_BLANKS} blanks in a row`);
    this.#blanks = runs.at(-1) ?? 0;
    return text.replace(BLANKS, '');
  }
}

/** `text`: whole quads. Each message of a client is encoded by itself, so padding may end any of them. */
function decode(text: string): Buffer {
  const parts: Buffer[] = [];
  for (let rest = text; rest !== ''; ) {
    const pad = rest.indexOf('=');
    const end = pad < 0 ? rest.length : pad - (pad % QUAD) + QUAD;
    const part = rest.slice(0, end);
    if (pad >= 0 && part.slice(pad) !== PADDING[pad % QUAD]) throw noise('padding in the wrong place');
    parts.push(Buffer.from(part, 'base64'));
    rest = rest.slice(end);
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

function noise(what: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_TUNNEL', `the POST of a tunnel holds ${what}`);
}

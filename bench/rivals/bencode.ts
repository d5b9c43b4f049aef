/** What rtpengine's ng protocol is made of, but for integers in what we send. */
export type Bencoded = string | Bencoded[] | { [key: string]: Bencoded };

/** Strings are counted in bytes. */
export function bencode(value: Bencoded): string {
  if (typeof value === 'string') return `${Buffer.byteLength(value)}:${value}`;
  if (Array.isArray(value)) return `l${value.map(bencode).join('')}e`;
  const entries = Object.keys(value).sort(); // as the format wants
  return `d${entries.map((key) => bencode(key) + bencode(value[key] ?? '')).join('')}e`;
}

/** Integers become strings. Throws where the text is no bencoding. */
export function bdecode(bytes: Buffer): Bencoded {
  const [value, end] = read(bytes, 0);
  if (end !== bytes.length) throw new Error(`bencoding goes on at ${end}`);
  return value;
}

function read(bytes: Buffer, at: number): [Bencoded, number] {
  const kind = String.fromCharCode(bytes[at] ?? 0);
  if (kind === 'i') {
    const end = bytes.indexOf('e', at);
    return [bytes.toString('latin1', at + 1, end), end + 1];
  }
  if (kind === 'l') {
    const list: Bencoded[] = [];
    const end = readItems(bytes, at + 1, (value) => list.push(value));
    return [list, end];
  }
  if (kind === 'd') return readDictionary(bytes, at);
  return readText(bytes, at);
}

function readDictionary(bytes: Buffer, at: number): [Bencoded, number] {
  const items: Bencoded[] = [];
  const end = readItems(bytes, at + 1, (value) => items.push(value));
  const dictionary: { [key: string]: Bencoded } = {};
  for (let i = 0; i + 1 < items.length; i += 2) dictionary[String(items[i])] = items[i + 1] ?? '';
  return [dictionary, end];
}

function readItems(bytes: Buffer, at: number, take: (value: Bencoded) => void): number {
  while (String.fromCharCode(bytes[at] ?? 0) !== 'e') {
    const [value, end] = read(bytes, at);
    take(value);
    at = end;
  }
  return at + 1;
}

function readText(bytes: Buffer, at: number): [string, number] {
  const colon = bytes.indexOf(':', at);
  const length = colon < 0 ? Number.NaN : Number(bytes.toString('latin1', at, colon));
  if (!(length >= 0) || colon + 1 + length > bytes.length) throw new Error(`no bencoding at ${at}`);
  return [bytes.toString('utf8', colon + 1, colon + 1 + length), colon + 1 + length];
}

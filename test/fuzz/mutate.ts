import type { Random } from './random.js';

const LONGEST = 16_384;
const MAX_CHANGES = 4;
/** A piece that is taken out or put in somewhere else. */
const MAX_PIECE = 64;
const ODD_BYTES = [0, 9, 10, 13, 32, 34, 36, 44, 45, 47, 48, 57, 58, 59, 61, 127, 128, 255];
const ODD_NUMBERS = [
  '0',
  '1',
  '-1',
  '255',
  '256',
  '65535',
  '65536',
  '4294967296',
  '999999999999999',
  '1e9',
  '0x10',
  '',
];

/** One of the inputs with a few changes: bytes, numbers, words of the language, pieces of itself or of another. */
export function mutate(random: Random, inputs: readonly Buffer[], words: readonly string[]): Buffer {
  let bytes: Buffer = Buffer.from(random.pick(inputs));
  for (let changes = 1 + random.below(MAX_CHANGES); changes > 0; changes--) {
    bytes = change(random, bytes, random.pick(inputs), words);
  }
  return bytes.subarray(0, LONGEST);
}

function change(random: Random, bytes: Buffer, other: Buffer, words: readonly string[]): Buffer {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.below(MAX_PIECE));
  switch (random.below(8)) {
    case 0:
      return splice(bytes, at, at + 1, Buffer.from([random.below(256)]));
    case 1:
      return splice(bytes, at, at + random.below(2), Buffer.from([random.pick(ODD_BYTES)]));
    case 2:
      return splice(bytes, at, end, Buffer.alloc(0));
    case 3:
      return splice(bytes, at, at, bytes.subarray(at, end));
    case 4:
      return splice(bytes, at, random.below(2) === 0 ? at : end, Buffer.from(random.pick(words), 'latin1'));
    case 5:
      return changeNumber(random, bytes);
    case 6: {
      const from = random.below(other.length);
      return splice(bytes, at, at, other.subarray(from, from + random.below(MAX_PIECE * 4)));
    }
    default:
      return bytes.subarray(0, at);
  }
}

/** Length fields, ports, channels, statuses: most of what lies in this protocol is written in digits. */
function changeNumber(random: Random, bytes: Buffer): Buffer {
  const numbers = [...bytes.toString('latin1').matchAll(/\d+/g)];
  const number = random.pick(numbers);
  if (!number) return bytes;
  const next = random.below(2) === 0 ? random.pick(ODD_NUMBERS) : String(Number(number[0]) + random.below(5) - 2);
  return splice(bytes, number.index, number.index + number[0].length, Buffer.from(next));
}

function splice(bytes: Buffer, from: number, to: number, put: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), put, bytes.subarray(to)]);
}

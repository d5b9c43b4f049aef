import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MAX_FRAME } from '../../../src/rtsp/interleaved.js';
import { loadCorpus } from '../../rtsp/corpus.js';
import { record, skippedBetween } from '../../rtsp/recorder.js';

const SMALL = { head: 300, body: 100, line: 120, headers: 8, uri: 60 };

const samples = loadCorpus().flatMap(({ messages }) => messages.map(({ bytes }) => bytes));
const frames = fc
  .tuple(fc.nat(255), fc.uint8Array({ maxLength: 20 }))
  .map(([channel, payload]) => Buffer.from([0x24, channel, 0, payload.length, ...payload]));
const garbage = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const grammar = fc
  .string({
    unit: fc.constantFrom(
      'OPTIONS',
      'RTSP/1.0',
      ' ',
      '*',
      '200',
      '\r\n',
      '\n',
      '\r',
      ':',
      'Content-Length: 3',
      'a',
      '\t',
      '$',
      '\0',
      '\xe9',
    ),
    maxLength: 40,
  })
  .map((text) => Buffer.from(text, 'latin1'));
const stream = fc
  .array(fc.oneof(fc.constantFrom(...samples), frames, grammar, { arbitrary: garbage, weight: 1 }), { maxLength: 6 })
  .map((parts) => Buffer.concat(parts));

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const bounds = [0, ...at.map((share) => share % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end));
}

it('finds the same in a stream, however it is cut', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (bytes, places) => {
      const whole = record([bytes]);
      const pieces = record(cut(bytes, places));
      expect(pieces.events).toEqual(whole.events);
      expect(pieces.error).toBe(whole.error);
      if (whole.error === undefined) {
        expect(pieces.buffered).toBe(whole.buffered);
        expect(skippedBetween(bytes, pieces.elements, pieces.buffered)).not.toBe(-1);
      }
    }),
    { numRuns: 500 },
  );
});

it('throws nothing but PenstockError and holds no more than a head and a body', () => {
  const withoutFrames = stream.map((bytes) => bytes.filter((byte) => byte !== 0x24)).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(withoutFrames, fc.array(fc.nat(), { maxLength: 30 }), (bytes, places) => {
      expect(record(cut(bytes, places), SMALL).maxBuffered).toBeLessThanOrEqual(SMALL.head + SMALL.body);
    }),
    { numRuns: 500 },
  );
});

it('holds no more than a frame', () => {
  const header = fc.tuple(fc.nat(255), fc.nat(0xffff)).map(([channel, length]) => {
    return Buffer.from([0x24, channel, length >> 8, length & 0xff]);
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(header, garbage), { maxLength: 6 }), (chunks) => {
      expect(record(chunks).maxBuffered).toBeLessThanOrEqual(MAX_FRAME);
    }),
  );
});

it('reads a corpus message with any byte changed without another kind of fault', () => {
  fc.assert(
    fc.property(fc.constantFrom(...samples), fc.nat(), fc.nat(255), (sample, place, byte) => {
      const bytes = Buffer.from(sample);
      bytes[place % bytes.length] = byte;
      const result = record([bytes]);
      if (result.error === undefined) {
        expect(skippedBetween(bytes, result.elements, result.buffered)).not.toBe(-1);
      }
    }),
    { numRuns: 2000 },
  );
});

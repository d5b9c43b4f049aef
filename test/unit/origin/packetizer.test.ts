import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_PAYLOAD, packetizeAac, packetizeH264 } from '../../../src/origin/packetizer.js';

const FU_A = 28;
const nalUnit = fc
  .tuple(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 1, max: 23 }),
    fc.uint8Array({ minLength: 1, maxLength: 5000 }),
  )
  .map(([refIdc, type, rest]) => Buffer.concat([Buffer.from([(refIdc << 5) | type]), rest]));
const limit = fc.integer({ min: 8, max: MAX_PAYLOAD });

/** What a receiver does (RFC 6184 §5.6, §5.8). Throws on fragments that do not fit together. */
function reassemble(payloads: Buffer[]): Buffer[] {
  const units: Buffer[] = [];
  let open: Buffer[] | undefined;
  for (const payload of payloads) {
    const [indicator = 0, fuHeader = 0] = payload;
    if ((indicator & 0x1f) !== FU_A) {
      if (open) throw new Error('a single unit inside a fragmented one');
      units.push(payload);
      continue;
    }
    if (((fuHeader & 0x80) !== 0) !== (open === undefined)) throw new Error('start bit in the wrong place');
    open ??= [Buffer.from([(indicator & 0xe0) | (fuHeader & 0x1f)])];
    open.push(payload.subarray(2));
    if (fuHeader & 0x40) {
      units.push(Buffer.concat(open));
      open = undefined;
    }
  }
  if (open) throw new Error('no end bit');
  return units;
}

describe('H.264', () => {
  it('a receiver gets the same NAL units back', () => {
    fc.assert(
      fc.property(fc.array(nalUnit, { minLength: 1, maxLength: 5 }), limit, (units, max) => {
        const payloads = packetizeH264(units, max);
        expect(reassemble(payloads.map(({ data }) => data))).toEqual(units);
      }),
    );
  });

  it('no payload is longer than the limit, and a unit that fits is not fragmented', () => {
    fc.assert(
      fc.property(nalUnit, limit, (unit, max) => {
        const payloads = packetizeH264([unit], max);
        expect(Math.max(...payloads.map(({ data }) => data.length))).toBeLessThanOrEqual(max);
        expect(payloads.length === 1).toBe(unit.length <= max);
      }),
    );
  });

  it('never sends a fragment that is start and end at once (RFC 6184 §5.8)', () => {
    fc.assert(
      fc.property(nalUnit, limit, (unit, max) => {
        for (const { data } of packetizeH264([unit], max)) {
          if (((data[0] ?? 0) & 0x1f) === FU_A) expect((data[1] ?? 0) & 0xc0).not.toBe(0xc0);
        }
      }),
    );
  });

  it('marks the last packet of the picture and no other', () => {
    const marks = packetizeH264([Buffer.alloc(10, 0x67), Buffer.alloc(3000, 0x65)]).map(({ marker }) => marker);
    expect(marks).toEqual([false, false, false, true]);
  });
});

describe('AAC', () => {
  it('puts one whole frame behind its 4-byte header', () => {
    const frame = Buffer.from('a frame');
    expect(packetizeAac(frame)).toEqual([
      { data: Buffer.concat([Buffer.from([0, 16, 0, frame.length << 3]), frame]), marker: true },
    ]);
  });

  it('fragments a frame above the limit; each fragment tells the size of the whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 6000 }), limit, (bytes, max) => {
        const payloads = packetizeAac(Buffer.from(bytes), max);
        expect(Buffer.concat(payloads.map(({ data }) => data.subarray(4)))).toEqual(Buffer.from(bytes));
        for (const { data } of payloads) {
          expect(data.length).toBeLessThanOrEqual(max);
          expect(data.readUInt16BE(0)).toBe(16);
          expect(data.readUInt16BE(2) >> 3).toBe(bytes.length);
        }
        expect(payloads.filter(({ marker }) => marker)).toEqual([payloads.at(-1)]);
      }),
    );
  });
});

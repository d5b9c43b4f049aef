import { beforeEach, describe, expect, it } from 'vitest';
import { isHalfWritten, readRow, writeRow } from '../../../src/engine/row-sequence.js';
import type { SharedRegion } from '../../../src/engine/shared-region.js';
import { freshRegion } from '../../support/fresh-region.js';

let region: SharedRegion;
let row: number;
let value: number;
beforeEach(() => {
  region = freshRegion();
  row = region.sessionAt(0);
  value = row + region.layout.session.vserver;
});

describe('a row under a sequence number', () => {
  it('is odd while it is written and moves on afterwards', () => {
    const seen: number[] = [];
    writeRow(region, row, () => seen.push(region.loadU32(row)));
    expect(seen.map(isHalfWritten)).toEqual([true]);
    expect(isHalfWritten(region.loadU32(row))).toBe(false);
    expect(region.loadU32(row)).toBeGreaterThan(0);
  });

  it('is readable again after a write that throws', () => {
    const write = () =>
      writeRow(region, row, () => {
        throw new Error('no');
      });
    expect(write).toThrow('no');
    expect(readRow(region, row, () => 'read')).toBe('read');
  });

  it('is read again where it was written meanwhile', () => {
    let reads = 0;
    const seen = readRow(region, row, () => {
      const before = region.getU32(value);
      if (++reads < 3) writeRow(region, row, () => region.setU32(value, reads));
      return [before, region.getU32(value)];
    });
    expect(seen).toEqual([2, 2]);
    expect(reads).toBe(3);
  });

  it('gives nothing where its writer died within it, and is mended by the next write', () => {
    region.storeU32(row, 7);
    let reads = 0;
    expect(readRow(region, row, () => ++reads)).toBeUndefined();
    expect(reads).toBe(0);
    writeRow(region, row, () => region.setU32(value, 5));
    expect(readRow(region, row, () => region.getU32(value))).toBe(5);
  });

  it('goes on after the largest number', () => {
    region.storeU32(row, 0xfffffffe);
    writeRow(region, row, () => region.setU32(value, 9));
    expect(isHalfWritten(region.loadU32(row))).toBe(false);
    expect(readRow(region, row, () => region.getU32(value))).toBe(9);
  });
});

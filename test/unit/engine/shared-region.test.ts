import { describe, expect, it } from 'vitest';
import { SharedRegion, workerSlot } from '../../../src/engine/shared-region.js';
import { freshRegion } from '../../support/fresh-region.js';

const region = freshRegion({ workers: 3, engineThreads: 2, services: 4, sessionsPerWorker: 5, streamsPerWorker: 7 });
const { layout } = region;

describe('the shared region', () => {
  it('has the geometry that was asked for', () => {
    expect(region.geometry).toEqual({
      workers: 3,
      engineThreads: 2,
      services: 4,
      sessionsPerWorker: 5,
      streamsPerWorker: 7,
      indexPerWorker: 16,
      ringSlots: 8,
      wiresPerWorker: 8,
      wireRingBytes: 4096,
    });
  });

  it('gives every row bytes of its own', () => {
    const rows: [number, number][] = [];
    const { sizes, limits } = layout;
    const ring = (slot: number) => sizes.ring + 8 * slot;
    for (let i = 0; i < 15; i++) rows.push([region.sessionAt(i), sizes.session]);
    for (let i = 0; i < 21; i++) rows.push([region.streamAt(i), sizes.stream]);
    for (let i = 0; i < 5; i++) rows.push([region.processAt(i), sizes.process]);
    for (let i = 0; i < 3; i++) rows.push([region.indexAt(i), 16 * sizes.indexSlot]);
    for (let i = 0; i < 2; i++) rows.push([region.countersAt(i), sizes.counters]);
    for (let i = 0; i < 4; i++) {
      rows.push([region.serviceAt(i), sizes.service]);
      for (let worker = 0; worker < 3; worker++) rows.push([region.loadAt(i, worker), sizes.load]);
    }
    for (let worker = 0; worker < 3; worker++) {
      for (let thread = 0; thread < 2; thread++) {
        rows.push([region.eventRingAt(worker, thread), ring(sizes.event)]);
        rows.push([region.commandRingAt(worker, thread), ring(sizes.command)]);
      }
    }
    rows.sort(([a], [b]) => a - b);
    let end = sizes.header;
    for (const [at, size] of rows) {
      expect(at).toBeGreaterThanOrEqual(end);
      end = at + size;
    }
    expect(end).toBeLessThanOrEqual(region.memory.byteLength);
    expect(region.legDataAt(20, limits.legsPerStream - 1) + sizes.legData).toBeLessThanOrEqual(
      region.streamAt(20) + sizes.stream,
    );
    expect(region.legAt(0, 1) - region.legAt(0, 0)).toBe(sizes.leg);
  });

  it.each<[string, () => number]>([
    ['session', () => region.sessionAt(15)],
    ['session', () => region.sessionAt(-1)],
    ['session', () => region.sessionAt(0.5)],
    ['stream', () => region.streamAt(21)],
    ['leg', () => region.legAt(0, 4)],
    ['leg', () => region.legDataAt(0, -1)],
    ['worker', () => region.indexAt(3)],
    ['service', () => region.serviceAt(4)],
    ['service', () => region.loadAt(4, 0)],
    ['worker', () => region.loadAt(0, 3)],
    ['process', () => region.processAt(workerSlot(3))],
    ['worker', () => region.eventRingAt(3, 0)],
    ['thread', () => region.commandRingAt(0, 2)],
    ['thread', () => region.countersAt(Number.NaN)],
  ])('refuses an index out of range: %s', (what, access) => {
    expect(access).toThrow(RangeError);
    expect(access).toThrow(what);
  });

  it('keeps 64-bit counts up to 2^53', () => {
    const at = region.countersAt(0);
    for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 7, 2 ** 53 - 1]) {
      region.setU64(at, value);
      expect(region.getU64(at)).toBe(value);
      expect(new BigUint64Array(region.memory, at, 1)[0]).toBe(BigInt(value));
    }
    region.setU64(at, 2 ** 32 - 1);
    region.addU64(at, 2);
    expect(region.getU64(at)).toBe(2 ** 32 + 1);
    region.setU64(at, 0);
  });

  it('is refused where it is none, or of another layout', () => {
    const fault = expect.objectContaining({ code: 'PENSTOCK_ERR_ADDON' });
    expect(() => new SharedRegion(new SharedArrayBuffer(8), layout)).toThrow(fault);
    expect(() => new SharedRegion(new SharedArrayBuffer(65536), layout)).toThrow(fault);
    expect(() => new SharedRegion(region.memory, { ...layout, version: layout.version + 1 })).toThrow(fault);
    const short = new SharedArrayBuffer(region.memory.byteLength - 64);
    new Uint8Array(short).set(new Uint8Array(region.memory).subarray(0, short.byteLength));
    expect(() => new SharedRegion(short, layout)).toThrow(fault);
  });
});

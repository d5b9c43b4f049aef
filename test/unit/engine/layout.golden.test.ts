import { describe, expect, it } from 'vitest';
import { loadBinding } from '../../../src/engine/binding.js';

const { layout } = loadBinding();

describe('layout', () => {
  // A difference here means that appliances of two versions cannot share a region: raise kLayoutVersion
  // (and LAYOUT_VERSION in binding.ts), then accept the new picture with `vitest -u`.
  it('is what the golden file says', async () => {
    const { counters: _, ...fixed } = layout;
    await expect(`${JSON.stringify(fixed, null, 2)}\n`).toMatchFileSnapshot('layout.golden.json');
  });

  it('keeps every 8-byte cell aligned', () => {
    const doubles = [
      layout.header.createdMs,
      layout.process.heartbeatMs,
      layout.service.changedMs,
      layout.load.turns,
      layout.session.openedMs,
      layout.session.serverControlMs,
      layout.stream.openedMs,
      layout.stream.data + layout.legData.lastRxMs,
      layout.sizes.legData,
    ];
    expect(doubles.filter((offset) => offset % 8 !== 0)).toEqual([]);
  });

  it('keeps rows of different writers on different cache lines', () => {
    const { header, process, service, load, session, stream, ring, counters } = layout.sizes;
    expect([header, process, service, load, session, stream, ring, counters].filter((size) => size % 64 !== 0)).toEqual(
      [],
    );
    expect(layout.stream.attachedGeneration % 64).toBe(0);
    expect(Math.abs(layout.ring.tail - layout.ring.head)).toBeGreaterThanOrEqual(64);
  });

  it('gives every counter a cell of its own', () => {
    expect(layout.counters.map(({ offset }) => offset)).toEqual(layout.counters.map((_, index) => index * 8));
    expect(new Set(layout.counters.map(({ name }) => name)).size).toBe(layout.counters.length);
    expect(layout.counters.every(({ name, unit, about }) => name && unit && about)).toBe(true);
    expect(layout.sizes.counters).toBeGreaterThanOrEqual(layout.counters.length * 8);
  });
});

import type { CounterField } from './layout.js';
import type { SharedRegion } from './shared-region.js';

export interface Counter extends Omit<CounterField, 'offset'> {
  value: number;
  /** Its parts by engine thread; absent where there is only one. */
  threads?: number[];
}

/** The engine's counters, each the sum over all engine threads, in the order of their list. */
export function readCounters(region: SharedRegion): Counter[] {
  return region.layout.counters.map(({ offset, ...about }) => {
    const threads = byThread(region, offset);
    const value = threads.reduce((sum, part) => sum + part, 0);
    return threads.length > 1 ? { ...about, value, threads } : { ...about, value };
  });
}

/** The same by name. */
export function readCounterValues(region: SharedRegion): Record<string, number> {
  return Object.fromEntries(readCounters(region).map(({ name, value }) => [name, value]));
}

function byThread(region: SharedRegion, offset: number): number[] {
  const { engineThreads } = region.geometry;
  return Array.from({ length: engineThreads }, (_, thread) => region.getU64(region.countersAt(thread) + offset));
}

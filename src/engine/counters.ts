import type { CounterField } from './layout.js';
import type { SharedRegion } from './shared-region.js';

export interface Counter extends Omit<CounterField, 'offset'> {
  value: number;
}

/** The engine's counters, each the sum over all engine threads, in the order of their list. */
export function readCounters(region: SharedRegion): Counter[] {
  return region.layout.counters.map(({ offset, ...about }) => ({ ...about, value: sumOverThreads(region, offset) }));
}

/** The same by name. */
export function readCounterValues(region: SharedRegion): Record<string, number> {
  return Object.fromEntries(readCounters(region).map(({ name, value }) => [name, value]));
}

function sumOverThreads(region: SharedRegion, offset: number): number {
  let sum = 0;
  for (let thread = 0; thread < region.geometry.engineThreads; thread++) {
    sum += region.getU64(region.countersAt(thread) + offset);
  }
  return sum;
}

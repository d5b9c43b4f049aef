import { afterEach, expect, it, vi } from 'vitest';
import { readCounterValues } from '../../../src/engine/counters.js';
import type { Logger } from '../../../src/log/logger.js';
import { CounterAlarms } from '../../../src/process/counter-alarms.js';
import { freshRegion } from '../../support/fresh-region.js';

afterEach(() => vi.useRealTimers());

function alarmsOver(counts: Record<string, number>) {
  const lines: unknown[] = [];
  const log = { warn: (fields: unknown, text: string) => lines.push([fields, text]) };
  return { alarms: new CounterAlarms(() => counts, log as unknown as Logger), lines };
}

it('says once that a counter left zero', () => {
  const counts: Record<string, number> = { rx_overflow: 0, forwarded: 5 };
  const { alarms, lines } = alarmsOver(counts);
  alarms.look();
  expect(lines).toEqual([]);
  counts.rx_overflow = 3;
  alarms.look();
  counts.rx_overflow = 9;
  counts.gso_fallbacks = 1;
  alarms.look();
  expect(lines).toEqual([
    [{ counter: 'rx_overflow', value: 3 }, expect.stringContaining('--receive-buffer')],
    [{ counter: 'gso_fallbacks', value: 1 }, expect.stringContaining('one by one')],
  ]);
});

it('looks by itself until it is stopped', () => {
  vi.useFakeTimers();
  const { alarms, lines } = alarmsOver({ unwatched: 1 });
  alarms.start();
  vi.advanceTimersByTime(5_000);
  expect(lines).toHaveLength(1);
  alarms.stop();
  expect(vi.getTimerCount()).toBe(0);
});

it('knows no counter that the engine does not have', () => {
  const counters = Object.fromEntries(Object.keys(readCounterValues(freshRegion())).map((name) => [name, 1]));
  const { alarms, lines } = alarmsOver(counters);
  alarms.look();
  const all = alarmsOver(new Proxy({}, { get: () => 1 }));
  all.alarms.look();
  expect(lines).toEqual(all.lines);
});

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { PacketPath } from '../../../src/config/types.js';
import type { InterfaceNews, NativeBinding } from '../../../src/engine/binding.js';
import type { Logger } from '../../../src/log/logger.js';
import { Offload } from '../../../src/process/offload.js';

const MAPS = { flowsFd: 10, cellsFd: 11, interfacesFd: 12 };
const REASONS = { switchedOff: 1, unavailable: 2 };

let lines: unknown[];
let news: InterfaceNews[];
let started: boolean;
beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  news = [];
  started = false;
});
afterEach(() => vi.useRealTimers());

function offload(path: PacketPath, refusal?: string): Offload {
  const say = (level: string) => (fields: object) => lines.push({ level, ...fields });
  const binding = {
    layout: { tierReason: REASONS },
    offloadStart: () => {
      if (refusal !== undefined) throw new Error(refusal);
      started = true;
      return MAPS;
    },
    offloadTend: () => news.splice(0),
    offloadStop: () => {
      started = false;
    },
  };
  return new Offload(binding as unknown as NativeBinding, path, {
    info: say('info'),
    warn: say('warn'),
  } as unknown as Logger);
}

it.each(['gso', 'mmsg'] as const)('is not asked for by --packet-path %s', (path) => {
  expect(offload(path).given).toBe(REASONS.switchedOff);
  expect([started, vi.getTimerCount()]).toEqual([false, 0]);
});

it.each([
  ['auto', 'info'],
  ['offload', 'warn'],
] as const)('says why it is not there: --packet-path %s as %s', (path, level) => {
  expect(offload(path, 'no rights').given).toBe(REASONS.unavailable);
  expect(lines).toEqual([{ level, reason: 'no rights' }]);
  expect(vi.getTimerCount()).toBe(0);
});

it.each(['auto', 'offload'] as const)('tends the interfaces until it is stopped: --packet-path %s', (path) => {
  const it = offload(path);
  expect([it.given, started]).toEqual([MAPS, true]);
  news.push(
    { kind: 'attached', interface: 'eth0', reason: '' },
    { kind: 'refused', interface: 'tun0', reason: 'EINVAL' },
    { kind: 'lost', interface: 'eth0', reason: '' },
  );
  vi.advanceTimersByTime(1_000);
  expect(lines).toEqual([
    { level: 'info', interface: 'eth0' },
    { level: 'warn', interface: 'tun0', reason: 'EINVAL' },
    { level: 'warn', interface: 'eth0' },
  ]);
  it.stop();
  expect([started, vi.getTimerCount()]).toEqual([false, 0]);
});

import { describe, expect, it } from 'vitest';
import type { NativeBinding } from '../../../src/engine/binding.js';
import { ENGINE_SLOT, type SharedRegion, workerSlot } from '../../../src/engine/shared-region.js';
import { Watchdog } from '../../../src/process/watchdog.js';
import { freshRegion } from '../../support/fresh-region.js';

function watched() {
  const region = freshRegion();
  const clock = { now: 1000 };
  const stalls: (string | number)[] = [];
  const binding = { monotonicMs: () => clock.now } as NativeBinding;
  const watchdog = new Watchdog({ region, binding, onStall: (who) => stalls.push(who) });
  return { region, clock, stalls, watchdog };
}

function setProcess(region: SharedRegion, slot: number, state: 'starting' | 'ready', heartbeatMs: number): void {
  const row = region.processAt(slot);
  region.storeU32(row + region.layout.process.pid, 4242);
  region.storeU32(row + region.layout.process.epoch, 1);
  region.storeU32(row + region.layout.process.state, region.layout.processState[state]);
  region.setF64(row + region.layout.process.heartbeatMs, heartbeatMs);
}

function turnLoop(region: SharedRegion, thread: number): void {
  const loops = region.layout.counters.find(({ name }) => name === 'loops');
  if (!loops) throw new Error('no counter of loops');
  const cell = region.countersAt(thread) + loops.offset;
  region.setU64(cell, region.getU64(cell) + 1);
}

describe('watchdog', () => {
  it('names an engine one of whose threads stands still, and leaves one alone whose threads turn', () => {
    const { region, clock, stalls, watchdog } = watched();
    setProcess(region, ENGINE_SLOT, 'ready', 0);
    for (let i = 0; i < 20; i++) {
      for (const thread of [0, 1]) turnLoop(region, thread);
      watchdog.check();
      clock.now += 500;
    }
    expect(stalls).toEqual([]);
    for (let i = 0; i < 8; i++) {
      turnLoop(region, 0);
      watchdog.check();
      clock.now += 500;
    }
    expect(stalls).toEqual(['engine']);
  });

  it('gives a process that is starting all the time it needs', () => {
    const { region, clock, stalls, watchdog } = watched();
    setProcess(region, ENGINE_SLOT, 'starting', 0);
    setProcess(region, workerSlot(0), 'starting', 0);
    for (let i = 0; i < 100; i++) {
      watchdog.check();
      clock.now += 500;
    }
    expect(stalls).toEqual([]);
  });

  it('names a worker whose heartbeat stopped', () => {
    const { region, clock, stalls, watchdog } = watched();
    setProcess(region, workerSlot(0), 'ready', 1000);
    setProcess(region, workerSlot(1), 'ready', 1000);
    clock.now = 10_900;
    watchdog.check();
    expect(stalls).toEqual([]);
    setProcess(region, workerSlot(0), 'ready', 10_900);
    clock.now = 11_100;
    watchdog.check();
    expect(stalls).toEqual([1]);
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadBinding, type NativeBinding } from '../../../src/engine/binding.js';
import { PacketEngine } from '../../../src/engine/packet-engine.js';
import type { Wires } from '../../../src/engine/wires.js';

const THREADS = [10, 11];

/** An engine whose rings take `room` commands in all. */
function fakeEngine(room = Number.POSITIVE_INFINITY) {
  const pushed: { thread: number; stream: number }[] = [];
  const woken: number[] = [];
  const binding = {
    layout: loadBinding().layout,
    commandPush: (_worker: number, thread: number, _op: number, stream: number) => {
      if (pushed.length >= room) return false;
      pushed.push({ thread, stream });
      return true;
    },
    wake: (fd: number) => void woken.push(fd),
  } as unknown as NativeBinding;
  const wires = {} as Wires;
  const engine = new PacketEngine({ binding, worker: 0, vaultFd: -1, wakeFds: THREADS, wires });
  return { pushed, woken, close: (slot: number) => engine.close({ slot, generation: 1 }), flush: () => engine.flush() };
}

describe('commands to the engine', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are in their rings at once, and those of a while share one wake-up of each thread they are for', () => {
    const { close, pushed, woken } = fakeEngine();
    for (const stream of [0, 2, 4]) close(stream);
    expect(pushed.map(({ stream }) => stream)).toEqual([0, 2, 4]);
    vi.runAllTimers();
    expect(woken).toEqual([10]);
    close(1);
    close(6);
    vi.runAllTimers();
    expect(woken.slice(1).sort()).toEqual([10, 11]);
  });

  it('that find a ring full are sent again', () => {
    const full = fakeEngine(1);
    full.close(0);
    full.close(2);
    expect(full.pushed).toEqual([{ thread: 0, stream: 0 }]);
    full.pushed.length = 0;
    full.flush();
    expect(full.pushed).toEqual([{ thread: 0, stream: 2 }]);
  });
});

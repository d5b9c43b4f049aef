import { afterEach, describe, expect, it } from 'vitest';
import { MAX_RUN_MS, type Paced, Pacer, TICK_MS } from '../../../src/origin/pacer.js';

let nowMs = 0;
let pacer = new Pacer(() => nowMs);

afterEach(() => {
  pacer.close();
  nowMs = 0;
  pacer = new Pacer(() => nowMs);
});

/** Steps the clock as the timer would. */
function runUntil(endMs: number): void {
  while (nowMs < endMs) {
    nowMs += TICK_MS;
    pacer.advance();
  }
}

class Recorder implements Paced {
  calls: number[] = [];
  constructor(readonly next: (nowMs: number) => number | undefined = () => undefined) {}
  onTick(now: number): number | undefined {
    this.calls.push(now);
    return this.next(now);
  }
}

describe('Pacer', () => {
  it('calls each when it is due, not before', () => {
    const [early, late] = [new Recorder(), new Recorder()];
    pacer.add(late, 33);
    pacer.add(early, 12);
    runUntil(100);
    expect(early.calls).toEqual([15]);
    expect(late.calls).toEqual([35]);
    expect(pacer.size).toBe(0);
  });

  it('goes on as long as it is told a next time', () => {
    const every20 = new Recorder((now) => now + 20);
    pacer.add(every20, 20);
    runUntil(100);
    expect(every20.calls).toEqual([20, 40, 60, 80, 100]);
  });

  it('keeps a wait that is longer than the wheel', () => {
    const once = new Recorder();
    pacer.add(once, 60_000);
    runUntil(59_995);
    expect(once.calls).toEqual([]);
    runUntil(60_000);
    expect(once.calls).toEqual([60_000]);
  });

  it('calls everything once after a stall, however long', () => {
    const recorders = [10, 500, 2500, 20_000].map((at) => {
      const recorder = new Recorder();
      pacer.add(recorder, at);
      return recorder;
    });
    nowMs = 3_600_000;
    pacer.advance();
    runUntil(nowMs + 3000);
    for (const recorder of recorders) expect(recorder.calls).toHaveLength(1);
  });

  it('forgets who was removed, also by another in the same tick', () => {
    const victim = new Recorder();
    const remover = new Recorder(() => {
      pacer.remove(victim);
      return undefined;
    });
    pacer.add(remover, 10);
    pacer.add(victim, 10);
    runUntil(50);
    expect(remover.calls).toEqual([10]);
    expect(victim.calls).toEqual([]);
  });

  it('gives way when it takes too long, and goes on where it stopped', () => {
    const slow = Array.from(
      { length: 5 },
      () =>
        new Recorder(() => {
          nowMs += MAX_RUN_MS / 2;
          return undefined;
        }),
    );
    for (const recorder of slow) pacer.add(recorder, 10);
    nowMs = 10;
    const done = [1, 2, 3].map(() => {
      pacer.advance();
      return slow.filter(({ calls }) => calls.length > 0).length;
    });
    expect(done).toEqual([2, 4, 5]);
    expect(slow.map(({ calls }) => calls.length)).toEqual([1, 1, 1, 1, 1]);
  });

  it('replaces the former wait of the same one', () => {
    const recorder = new Recorder();
    pacer.add(recorder, 10);
    pacer.add(recorder, 30);
    runUntil(50);
    expect(recorder.calls).toEqual([30]);
  });
});

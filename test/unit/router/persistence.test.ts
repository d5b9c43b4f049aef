import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecentAffinity, type RecentNews } from '../../../src/router/persistence.js';

const KEY = { clientIp: '192.0.2.1', path: '/cam' };

function affinity(options: { ttlMs?: number; capacity?: number } = {}) {
  const clock = { now: 0 };
  const recent = new RecentAffinity({ now: () => clock.now, worker: 0, ...options });
  return { clock, recent };
}

describe('recent affinity', () => {
  it('serves one connection, once', () => {
    const { recent } = affinity();
    recent.remember('main', KEY, 3);
    expect(recent.take('main', KEY)).toBe(3);
    expect(recent.take('main', KEY)).toBeUndefined();
    expect(recent.size).toBe(0);
  });

  it('is for the same vserver, client and path only', () => {
    const { recent } = affinity();
    recent.remember('main', KEY, 3);
    expect(recent.take('other', KEY)).toBeUndefined();
    expect(recent.take('main', { ...KEY, clientIp: '192.0.2.2' })).toBeUndefined();
    expect(recent.take('main', { ...KEY, path: '/cam2' })).toBeUndefined();
    expect(recent.take('main', KEY)).toBe(3);
  });

  it('serves clients behind one address in the order in which they left', () => {
    const { recent } = affinity();
    for (const service of [1, 2, 1]) recent.remember('main', KEY, service);
    expect([1, 2, 3, 4].map(() => recent.take('main', KEY))).toEqual([1, 2, 1, undefined]);
  });

  it('ends after its time', () => {
    const { recent, clock } = affinity({ ttlMs: 10_000 });
    recent.remember('main', KEY, 3);
    clock.now = 9_999;
    recent.remember('main', { ...KEY, path: '/b' }, 4);
    clock.now = 10_000;
    expect(recent.take('main', KEY)).toBeUndefined();
    expect(recent.size).toBe(1);
    expect(recent.take('main', { ...KEY, path: '/b' })).toBe(4);
  });

  it('never holds more than its capacity; the oldest give way', () => {
    const { recent } = affinity({ capacity: 10 });
    for (let at = 0; at < 100; at++) recent.remember('main', { ...KEY, path: `/${at}` }, at);
    expect(recent.size).toBe(10);
    expect(recent.take('main', { ...KEY, path: '/89' })).toBeUndefined();
    expect(recent.take('main', { ...KEY, path: '/90' })).toBe(90);
  });

  it('behaves like a list with a time limit, whatever the order of calls', () => {
    const call = fc.oneof(
      fc.record({ do: fc.constant('remember' as const), path: fc.constantFrom('/a', '/b'), service: fc.nat(5) }),
      fc.record({ do: fc.constant('take' as const), path: fc.constantFrom('/a', '/b') }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }),
    );
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
        const { recent, clock } = affinity({ ttlMs: 100, capacity: 5 });
        let model: { path: string; service: number; expires: number }[] = [];
        for (const step of calls) {
          if (step.do === 'wait') clock.now += step.ms;
          model = model.filter(({ expires }) => expires > clock.now);
          if (step.do === 'remember') {
            recent.remember('main', { ...KEY, path: step.path }, step.service);
            model = [...model, { path: step.path, service: step.service, expires: clock.now + 100 }].slice(-5);
          } else if (step.do === 'take') {
            const want = model.find(({ path }) => path === step.path);
            expect(recent.take('main', { ...KEY, path: step.path })).toBe(want?.service);
            model = model.filter((entry) => entry !== want);
          }
          expect(recent.size).toBeLessThanOrEqual(5);
        }
      }),
    );
  });
});

describe('recent affinity over workers', () => {
  function workers(count: number) {
    const all: RecentAffinity[] = [];
    const log: RecentNews[] = [];
    for (let worker = 0; worker < count; worker++) {
      const tell = (news: RecentNews) => {
        // As over IPC: plain data only.
        const copy = JSON.parse(JSON.stringify(news)) as RecentNews;
        log.push(copy);
        for (const other of all) if (other !== all[worker]) other.hear(copy);
      };
      all.push(new RecentAffinity({ now: () => 0, worker, tell }));
    }
    return { all, log };
  }

  it('leads the next connection to the same service whichever worker it reaches, and only that one', () => {
    const { all } = workers(3);
    all[0]?.remember('main', KEY, 2);
    expect(all.map((recent) => recent.size)).toEqual([1, 1, 1]);
    expect(all[2]?.take('main', KEY)).toBe(2);
    expect(all.map((recent) => recent.size)).toEqual([0, 0, 0]);
    expect(all[1]?.take('main', KEY)).toBeUndefined();
  });

  it('hears the same news twice, or of what it never knew, without harm', () => {
    const { all, log } = workers(2);
    all[0]?.remember('main', KEY, 2);
    for (const news of [...log]) all[1]?.hear(news);
    all[1]?.hear({ kind: 'taken', id: 'nobody' });
    expect(all[1]?.size).toBe(1);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Monitor, PASSIVE_WINDOW_MS } from '../../../src/monitor/monitor.js';
import { FakeClock } from './fake-clock.js';

const CONFIG = { intervalMs: 1000, timeoutMs: 400, rise: 2, fall: 3, jitter: 0 };

function setUp(config: Partial<typeof CONFIG> = {}, random = () => 0.5) {
  const clock = new FakeClock();
  const changes: string[] = [];
  const reasons: string[] = [];
  const starts: number[] = [];
  const server = { answers: true, silent: false, running: 0, most: 0 };
  const probe = async (signal: AbortSignal): Promise<string> => {
    starts.push(clock.now());
    server.most = Math.max(server.most, ++server.running);
    try {
      if (server.silent) await aborted(signal);
      if (!server.answers) throw new Error('refused');
      return 'fine';
    } finally {
      server.running--;
    }
  };
  const onChange = (verdict: string, reason: string) => {
    changes.push(`${clock.now()} ${verdict}`);
    reasons.push(reason);
  };
  const monitor = new Monitor({ config: { ...CONFIG, ...config }, probe, onChange, clock, random });
  return { clock, changes, reasons, starts, server, monitor };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
}

describe('a monitor', () => {
  it('begins with unknown and believes the first success', async () => {
    const { clock, changes, monitor } = setUp();
    expect(monitor.verdict).toBe('unknown');
    monitor.start();
    await clock.pass(0);
    expect(changes).toEqual(['0 up']);
  });

  it('needs `fall` failures to take a service down, be it never seen up', async () => {
    const { clock, changes, reasons, server, monitor } = setUp();
    server.answers = false;
    monitor.start();
    await clock.pass(1999);
    expect(monitor.verdict).toBe('unknown');
    await clock.pass(1);
    expect(changes).toEqual(['2000 down']);
    expect(reasons[0]).toBe('3 failures (0 seen by workers), the last: refused');
  });

  it('needs `rise` successes in a row to bring it back', async () => {
    const { clock, changes, server, monitor } = setUp({ fall: 1 });
    server.answers = false;
    monitor.start();
    await clock.pass(0);
    server.answers = true;
    await clock.pass(1000);
    server.answers = false;
    await clock.pass(1000);
    server.answers = true;
    await clock.pass(2000);
    expect(changes).toEqual(['0 down', '4000 up']);
  });

  it('forgets failed checks at the first success', async () => {
    const { clock, changes, server, monitor } = setUp({ fall: 2 });
    monitor.start();
    for (let second = 0; second < 10; second++) {
      await clock.pass(1000);
      server.answers = !server.answers;
    }
    expect(changes).toEqual(['0 up']);
  });

  it('counts a check without an answer as failed when its time is over', async () => {
    const { clock, changes, reasons, starts, server, monitor } = setUp({ fall: 1 });
    server.silent = true;
    monitor.start();
    await clock.pass(399);
    expect(changes).toEqual([]);
    await clock.pass(1);
    expect(changes).toEqual(['400 down']);
    expect(reasons[0]).toContain('no answer within 400 ms');
    // The interval is from start to start.
    await clock.pass(1600);
    expect(starts).toEqual([0, 1000, 2000]);
  });

  it('never runs two checks at a time, though each takes longer than the interval', async () => {
    const { clock, server, starts, monitor } = setUp({ intervalMs: 300, timeoutMs: 1000 });
    server.silent = true;
    monitor.start();
    for (let report = 0; report < 50; report++) {
      monitor.reportFailure('refused');
      await clock.pass(100);
    }
    expect(server.most).toBe(1);
    expect(starts.length).toBeGreaterThan(2);
  });

  it('moves each check by the jitter', async () => {
    const drawn = [0.5, 0, 1, 0.25];
    const { clock, starts, monitor } = setUp({ jitter: 0.2 }, () => drawn.shift() ?? 0.5);
    monitor.start();
    await clock.pass(5000);
    expect(starts.map(Math.round)).toEqual([100, 900, 2100, 3000, 4000, 5000]);
  });

  it('stops for good: no timer, no check, no report', async () => {
    const { clock, changes, server, starts, monitor } = setUp({ fall: 1 });
    server.silent = true;
    monitor.start();
    await clock.pass(100);
    expect(server.running).toBe(1);
    await monitor.stop();
    expect(server.running).toBe(0);
    monitor.reportFailure('refused');
    await clock.pass(10_000);
    expect([clock.timers, starts.length, changes.length]).toEqual([0, 1, 0]);
    await monitor.stop();
  });
});

describe('failures seen by workers', () => {
  it('take a service down together', async () => {
    const { clock, changes, reasons, monitor } = setUp();
    monitor.start();
    await clock.pass(10);
    for (let report = 0; report < 3; report++) monitor.reportFailure('connect ECONNREFUSED');
    expect(changes).toEqual(['0 up', '10 down']);
    expect(reasons[1]).toBe('3 failures (3 seen by workers), the last: connect ECONNREFUSED');
  });

  it('count together with failed checks', async () => {
    const { clock, changes, server, monitor } = setUp();
    monitor.start();
    await clock.pass(500);
    server.answers = false;
    await clock.pass(500);
    monitor.reportFailure('refused');
    expect(changes).toEqual(['0 up']);
    monitor.reportFailure('refused');
    expect(changes).toEqual(['0 up', '1000 down']);
  });

  it('bring the next check forward, but not without a pause', async () => {
    const { clock, starts, monitor } = setUp({ fall: 100 });
    monitor.start();
    await clock.pass(600);
    monitor.reportFailure('refused');
    await clock.pass(0);
    expect(starts).toEqual([0, 600]);
    for (let report = 0; report < 20; report++) {
      monitor.reportFailure('refused');
      await clock.pass(10);
    }
    expect(starts).toEqual([0, 600]);
    await clock.pass(50);
    expect(starts).toEqual([0, 600, 850]);
    await clock.pass(1000);
    expect(starts).toEqual([0, 600, 850, 1850]);
  });

  it('stand although checks succeed: a server may accept connections and refuse every SETUP', async () => {
    const { clock, changes, monitor } = setUp();
    monitor.start();
    for (let report = 0; report < 3; report++) {
      await clock.pass(2000);
      monitor.reportFailure('SETUP was answered 500');
    }
    expect(changes).toEqual(['0 up', '6000 down']);
  });

  it('are forgotten when a session is opened', async () => {
    const { clock, changes, monitor } = setUp();
    monitor.start();
    await clock.pass(0);
    for (let report = 0; report < 20; report++) {
      monitor.reportFailure('refused');
      monitor.reportFailure('refused');
      monitor.reportSuccess();
    }
    expect(changes).toEqual(['0 up']);
  });

  it('are forgotten after a while', async () => {
    const { clock, changes, monitor } = setUp();
    monitor.start();
    for (let report = 0; report < 20; report++) {
      monitor.reportFailure('refused');
      await clock.pass(PASSIVE_WINDOW_MS / 2);
    }
    expect(changes).toEqual(['0 up']);
  });

  it('do not matter any more once the service is down', async () => {
    const { clock, changes, server, monitor } = setUp({ fall: 1 });
    server.answers = false;
    monitor.start();
    await clock.pass(0);
    server.answers = true;
    for (let report = 0; report < 20; report++) {
      monitor.reportFailure('refused');
      await clock.pass(100);
    }
    expect(changes).toEqual(['0 down', '2000 up']);
    expect(monitor.view()).toMatchObject({ verdict: 'up', checks: 3, failedChecks: 1, passiveFailures: 0 });
  });

  it('do not excuse failing checks, however many sessions are opened', async () => {
    const { clock, changes, server, monitor } = setUp();
    server.answers = false;
    monitor.start();
    for (let second = 0; second < 3; second++) {
      monitor.reportSuccess();
      await clock.pass(1000);
    }
    expect(changes).toEqual(['2000 down']);
  });
});

describe('the verdict', () => {
  it('follows rise and fall for any history of checks', async () => {
    const history = fc.array(fc.boolean(), { minLength: 1, maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(
        history,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        async (results, rise, fall) => {
          const { clock, changes, server, monitor } = setUp({ rise, fall });
          let model = 'unknown';
          let run = 0;
          let last: boolean | undefined;
          server.answers = results[0] ?? true;
          monitor.start();
          for (const [at, result] of results.entries()) {
            server.answers = result;
            await clock.pass(at === 0 ? 0 : 1000);
            run = result === last ? run + 1 : 1;
            last = result;
            if (result && (model === 'unknown' || (model === 'down' && run >= rise))) model = 'up';
            else if (!result && model !== 'down' && run >= fall) model = 'down';
            expect(monitor.verdict).toBe(model);
          }
          expect(changes.every((change, at) => change.split(' ')[1] !== changes[at - 1]?.split(' ')[1])).toBe(true);
          await monitor.stop();
        },
      ),
      { numRuns: 40 },
    );
  });
});

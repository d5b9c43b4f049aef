import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { Supervisor } from '../../../src/process/supervisor.js';

const running: Supervisor[] = [];

afterEach(async () => {
  for (const supervisor of running.splice(0)) await supervisor.stop('SIGKILL');
});

function supervise(script: string) {
  const deaths: { description: string; pauseMs: number }[] = [];
  const starts: number[] = [];
  let onStart: () => void = () => {};
  const supervisor = new Supervisor(() => spawn(process.execPath, ['-e', script], { stdio: 'ignore' }), {
    onStart: (_child, count) => {
      starts.push(count);
      onStart();
    },
    onDeath: (description, pauseMs) => deaths.push({ description, pauseMs }),
  });
  running.push(supervisor);
  const started = (count: number) =>
    new Promise<void>((resolve) => {
      onStart = () => starts.length >= count && resolve();
      onStart();
    });
  return { supervisor, deaths, starts, started };
}

const FOR_EVER = 'setInterval(() => {}, 1000)';

describe('supervisor', () => {
  it('starts a successor of a child that was killed, with another pid', async () => {
    const { supervisor, deaths, started } = supervise(FOR_EVER);
    supervisor.start();
    const first = supervisor.child?.pid;
    supervisor.child?.kill('SIGKILL');
    await started(2);
    expect(supervisor.child?.pid).not.toBe(first);
    expect(deaths[0]?.description).toContain('SIGKILL');
  });

  it('waits longer each time for a child that dies at once', async () => {
    const { supervisor, deaths, started } = supervise('process.exit(3)');
    supervisor.start();
    await started(4);
    expect(deaths.slice(0, 3).map(({ pauseMs }) => pauseMs)).toEqual([100, 200, 400]);
    expect(deaths[0]?.description).toContain('exit status 3');
  });

  it('does not start a child again once it is stopped', async () => {
    const { supervisor, starts } = supervise(FOR_EVER);
    supervisor.start();
    const child = supervisor.child;
    if (!child) throw new Error('no child');
    const exit = once(child, 'exit');
    await supervisor.stop('SIGTERM');
    await exit;
    expect(starts).toEqual([1]);
    expect(supervisor.child).toBeUndefined();
  });
});

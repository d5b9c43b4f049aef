import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NET, TestNetwork } from '../support/netns.js';
import { Penstock } from '../support/penstock.js';
import { Program } from '../support/program.js';

const LISTENER = fileURLToPath(new URL('../support/notify-socket.py', import.meta.url));
const ARGS = ['--listen', `${NET.client.edge}:8554`, '--server', `${NET.serverA.ip}:8554?monitor=none`];

interface Notice {
  pid: number;
  fields: Record<string, string>;
}

let net: TestNetwork;
let folder: string;
beforeAll(() => {
  net = TestNetwork.create();
  folder = mkdtempSync(join(tmpdir(), 'penstock-notify-'));
});
afterAll(() => {
  net.destroy();
  rmSync(folder, { recursive: true });
});

/** What a service manager hears at the socket of that name. */
async function listen(name: string) {
  const program = new Program('notify-socket', net.appliance.spawn('python3', [LISTENER, name]));
  const lines = () => program.stdout.split('\n').slice(0, -1);
  await program.until('its socket', () => lines()[0]);
  const notices = () =>
    lines()
      .slice(1)
      .map((line) => JSON.parse(line) as Notice);
  return {
    program,
    heard: (count: number) => program.until(`${count} notices`, () => notices()[count - 1] && notices()),
  };
}

it.each(['a path', 'an abstract name'])(
  'a service manager at a socket with %s hears of start, reload, upgrade and end',
  async (kind) => {
    const name = kind === 'a path' ? join(folder, 'notify') : '@penstock/notify';
    const { program, heard } = await listen(name);
    const appliance = await Penstock.start(net.appliance, ARGS, undefined, ['env', `NOTIFY_SOCKET=${name}`]);
    const old = appliance.pid;
    expect(await heard(1)).toEqual([{ pid: old, fields: { READY: '1' } }]);

    const before = process.hrtime.bigint() / 1000n;
    await appliance.reload();
    const [, reloading, reloaded] = await heard(3);
    expect(reloading).toEqual({ pid: old, fields: { RELOADING: '1', MONOTONIC_USEC: expect.stringMatching(/^\d+$/) } });
    expect(BigInt(reloading?.fields.MONOTONIC_USEC ?? 0)).toBeGreaterThanOrEqual(before);
    expect(reloaded).toEqual({ pid: old, fields: { READY: '1' } });

    await appliance.upgrade();
    expect((await heard(5)).slice(3)).toEqual([
      { pid: old, fields: { MAINPID: String(appliance.pid) } },
      { pid: appliance.pid, fields: { READY: '1' } },
    ]);

    await appliance.stop();
    expect((await heard(6)).slice(5)).toEqual([
      { pid: appliance.pid, fields: { STOPPING: '1', EXTEND_TIMEOUT_USEC: expect.stringMatching(/^\d{7,}$/) } },
    ]);
    await program.stop();
  },
);

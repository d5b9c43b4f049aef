import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/types.js';
import { run } from './run.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(text: string): string {
  const path = join(folder, 'penstock.yaml');
  writeFileSync(path, text);
  return path;
}

describe('exit status', () => {
  it('is 0 for help and version', async () => {
    expect(await run(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    const help = await run(['serve', '--help']);
    expect(help.code).toBe(0);
    expect(help.out).toContain('--port-policy <preserve|pool>');
  });

  it.each([
    [['sreve'], "unknown command 'sreve'", 'Did you mean serve?'],
    [['serve', '--idle-timout', '3'], "unknown option '--idle-timout'", 'Did you mean --idle-timeout?'],
    [['serve', '--server'], "option '--server <HOST:PORT[?KEY=VALUE&…]>' argument missing", ''],
    [['serve', 'extra'], 'too many arguments', ''],
    [['show', 'sessions'], 'Allowed choices are vserver, service, session, listener, process, stat.', ''],
    [['set', 'cam', 'weight', '0'], 'Expected a whole number from 1 to 1000.', ''],
    [['set', 'cam', 'wait', '1'], 'Allowed choices are weight.', ''],
    [['check'], "missing required argument 'FILE'", ''],
    [['origin', '--count', '0'], 'Expected a whole number from 1 to', ''],
  ])('is 2 for %j', async (args, message, suggestion) => {
    const { code, err } = await run(args);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(err).toContain(suggestion);
  });

  it('is that of the error', async () => {
    const { code, err } = await run(['serve', '--workers', '0', '--latching', 'x']);
    expect(code).toBe(2);
    expect(err.split('\n')).toEqual([
      'penstock: PENSTOCK_ERR_CONFIG',
      '  --latching: expected one of off, same-ip, any; got "x"',
      '  --workers: expected a whole number from 1 to 64; got "0" (out of range)',
      '  --server or "vservers": vserver "default" has no services',
      '',
    ]);
  });

  it('is 1 for what nobody foresaw', async () => {
    const hooks = { serve: () => Promise.reject(new Error('boom')), probe: () => Promise.reject(new Error('boom')) };
    const { code, err } = await run(['serve', '--server', '10.0.0.1'], { hooks });
    expect(code).toBe(1);
    expect(err).toContain('boom');
  });
});

describe('serve', () => {
  it('runs an appliance with the flags, the environment and the file', async () => {
    const config = file('reply-timeout: 7\nidle-timeout: 7\n');
    const args = ['serve', '--config', config, '--listen', ':8554', '--listen', '[::1]:8554', '--server', '10.0.0.1'];
    const { code, served } = await run(
      [...args, '--server', '10.0.0.2?weight=2', '--idle-timeout', '5', '--no-teardown-on-disconnect'],
      {
        env: { PENSTOCK_WORKERS: '3', PENSTOCK_TEARDOWN_ON_DISCONNECT: 'true' },
      },
    );
    expect(code).toBe(0);
    expect(served).toHaveLength(1);
    expect(served[0]).toMatchObject({
      workers: 3,
      idleTimeoutMs: 5000,
      replyTimeoutMs: 7000,
      teardownOnDisconnect: false,
    });
    expect(served[0]?.vservers[0]?.listen.map(({ address }) => address)).toEqual(['0.0.0.0', '::1']);
    expect(served[0]?.vservers[0]?.services.map(({ ip, weight }) => [ip, weight])).toEqual([
      ['10.0.0.1', 1],
      ['10.0.0.2', 2],
    ]);
  });
});

describe('demo', () => {
  it('serves two origins that listen as long as it runs, and says what to open', async () => {
    const reached: boolean[] = [];
    const hooks = {
      serve: async (config: Config, { onReady }: { onReady?(): void }) => {
        for (const { ip, port } of config.vservers[0]?.services ?? []) reached.push(await canConnect(ip, port));
        onReady?.();
      },
      probe: () => Promise.reject(new Error('not used')),
    };
    const { code, out } = await run(['demo'], { hooks });
    expect(code).toBe(0);
    expect(reached).toEqual([true, true]);
    expect(out).toContain('ffplay rtsp://127.0.0.1:8554/');
  });

  it('takes the flags of serve but not those that name a farm', async () => {
    const { served } = await run(['demo', '--listen', '127.0.0.1:9999', '--latching', 'off']);
    expect(served[0]).toMatchObject({
      latching: 'off',
      vservers: [{ listen: [{ address: '127.0.0.1', port: 9999 }] }],
    });
    expect((await run(['demo', '--server', '10.0.0.1'])).code).toBe(2);
  });
});

describe('check', () => {
  it('sums up a good file, and prints all of it on demand', async () => {
    const path = file('server: [10.0.0.1, 10.0.0.2]\n');
    expect(await run(['check', path])).toMatchObject({
      code: 0,
      out: `${path}: ok: vservers: 1, services: 2\n`,
      err: '',
    });
    const { out } = await run(['check', path, '--json']);
    expect(JSON.parse(out)).toMatchObject({
      latching: 'same-ip',
      vservers: [{ method: 'round-robin' }],
    });
  });

  it('warns of what is risky and still good', async () => {
    const { code, err } = await run(['check', file('server: [10.0.0.1]\nlatching: any\n')]);
    expect(code).toBe(0);
    expect(err).toContain('warning: latching "any"');
  });

  it('names every fault', async () => {
    const path = file('server: [10.0.0.1]\nlatchin: any\nworkers: 0\n');
    const { code, err } = await run(['check', path]);
    expect(code).toBe(2);
    expect(err).toContain(`${path}:2: latchin: unknown key; did you mean "latching"?`);
    expect(err).toContain(`${path}:3: workers: expected a whole number from 1 to 64`);
  });
});

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

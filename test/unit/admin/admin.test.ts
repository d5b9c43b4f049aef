import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askAppliance } from '../../../src/admin/client.js';
import { type AdminServer, startAdminServer } from '../../../src/admin/server.js';
import { adminSocketPath } from '../../../src/admin/socket-file.js';
import { run } from '../cli/run.js';
import { FakeSource } from './fake-source.js';

let stateDir: string;
let source: FakeSource;
const servers: AdminServer[] = [];

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'penstock-admin-'));
  source = new FakeSource();
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  rmSync(stateDir, { recursive: true });
});

async function start(settings: { tcp?: { address: string; port: number } } = {}): Promise<AdminServer> {
  const server = await startAdminServer(source, { stateDir, ...settings });
  servers.push(server);
  return server;
}

/** Status of a bare request. */
function statusOf(
  socketPath: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, headers, agent: false }, (incoming) => {
      incoming.resume().on('end', () => resolve(incoming.statusCode ?? 0));
    });
    outgoing.on('error', reject).end();
  });
}

describe('the admin API', () => {
  it('is ready when its appliance is', async () => {
    const { socketPath } = await start();
    expect(await statusOf(socketPath, 'GET', '/ready')).toBe(503);
    source.isReady = true;
    expect(await statusOf(socketPath, 'GET', '/ready')).toBe(200);
  });

  it('shows lists', async () => {
    const { socketPath } = await start();
    const show = (what: string) => askAppliance({ socketPath }, { method: 'GET', path: `/show/${what}` });
    expect(await show('session')).toEqual(await source.sessions());
    expect(await show('service')).toEqual(source.services());
    expect(await show('listener')).toEqual(source.listeners());
    await expect(show('nothing')).rejects.toMatchObject({
      code: 'PENSTOCK_ERR_ADMIN_REFUSED',
      message: expect.stringContaining('expected one of vserver, service'),
    });
    await expect(show('stat')).rejects.toMatchObject({
      code: 'PENSTOCK_ERR_ADMIN_REFUSED',
      message: 'the table is gone',
    });
  });

  it('changes a service by name', async () => {
    const { socketPath } = await start();
    const post = (path: string, body?: unknown) => askAppliance({ socketPath }, { method: 'POST', path, body });
    const path = `/service/${encodeURIComponent('[::1]:554')}`;
    expect(await post(`${path}/drain`)).toMatchObject({ state: 'draining' });
    expect(await post(`${path}/weight`, { weight: 5 })).toMatchObject({ weight: 5 });
    await expect(post(`${path}/weight`, { weight: 0 })).rejects.toThrow(
      'weight: expected a whole number from 1 to 1000',
    );
    await expect(post(`${path}/weight`)).rejects.toThrow('weight: expected');
    await expect(post('/service/other/drain')).rejects.toThrow('no service is called "other"');
    expect(source.service).toMatchObject({ state: 'draining', weight: 5 });
  });

  it('takes no commands from pages of other sites', async () => {
    const { socketPath } = await start();
    const path = `/service/${encodeURIComponent('[::1]:554')}/disable`;
    expect(await statusOf(socketPath, 'POST', path, { origin: 'http://evil.example' })).toBe(403);
    expect(source.service.state).toBe('up');
    expect(await statusOf(socketPath, 'POST', path, { host: 'a:1', origin: 'http://a:1' })).toBe(200);
  });

  it('listens on TCP too if asked to', async () => {
    const { tcp } = await start({ tcp: { address: '127.0.0.1', port: 0 } });
    expect(tcp?.port).toBeGreaterThan(0);
    expect(await askAppliance(tcp ?? { address: '', port: 0 }, { method: 'GET', path: '/show/vserver' })).toEqual(
      source.vservers(),
    );
  });
});

describe('the socket file', () => {
  it('belongs to its owner alone and goes with the server', async () => {
    const server = await start();
    expect(statSync(server.socketPath).mode & 0o777).toBe(0o600);
    await server.close();
    expect(existsSync(server.socketPath)).toBe(false);
  });

  it('of a living appliance is left alone', async () => {
    const { socketPath } = await start();
    await expect(start()).rejects.toMatchObject({
      code: 'PENSTOCK_ERR_STATE_DIR',
      message: `${stateDir}: another penstock uses this state directory`,
    });
    expect(await statusOf(socketPath, 'GET', '/ready')).toBe(503);
  });

  it('of a dead one is replaced', async () => {
    const path = adminSocketPath(stateDir);
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(`${path}.dead`, resolve));
    // Closing a server removes its file, a crash does not: keep the file under its final name.
    renameSync(`${path}.dead`, path);
    await new Promise<void>((resolve) => dead.close(() => resolve()));
    expect(existsSync(path)).toBe(true);
    const { socketPath } = await start();
    expect(await statusOf(socketPath, 'GET', '/ready')).toBe(503);
  });

  it('that is something else is not touched', async () => {
    writeFileSync(adminSocketPath(stateDir), 'mine');
    await expect(start()).rejects.toMatchObject({ code: 'PENSTOCK_ERR_STATE_DIR' });
    expect(statSync(adminSocketPath(stateDir)).size).toBe(4);
  });

  it('needs a short enough path, and a directory that can be made', async () => {
    const long = join(stateDir, 'x'.repeat(120));
    await expect(startAdminServer(source, { stateDir: long })).rejects.toMatchObject({
      code: 'PENSTOCK_ERR_STATE_DIR',
    });
    writeFileSync(join(stateDir, 'file'), '');
    await expect(startAdminServer(source, { stateDir: join(stateDir, 'file', 'sub') })).rejects.toMatchObject({
      code: 'PENSTOCK_ERR_STATE_DIR',
    });
  });

  it('is given up where the TCP address is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(start({ tcp: { address: '127.0.0.1', port } })).rejects.toMatchObject({ code: 'PENSTOCK_ERR_BIND' });
    expect(existsSync(adminSocketPath(stateDir))).toBe(false);
    other.close();
  });
});

describe('commands to a running appliance', () => {
  it('show tables for people', async () => {
    await start();
    const session = await run(['show', 'session', '--state-dir', stateDir]);
    expect(session.out.split('\n')).toEqual([
      'SLOT  VSERVER  SERVICE    CLIENT           STATE    TRANSPORT  STREAMS  WIRE  TIER                AGE    CLIENT IDLE  SERVER IDLE  TO CLIENT  TO SERVER  DROPPED  URL',
      '   7  default  [::1]:554  192.0.2.9:40000  playing  udp              2     3  gso (switched off)  1h 2m  1s           -            1.2 MB     80 B             4  rtsp://192.0.2.1/cam',
      '',
    ]);
    const listener = await run(['show', 'listener', '--state-dir', stateDir]);
    expect(listener.out).toMatch(/192.0.2.1:20000 +session 7 client rtp +latched +192.0.2.9:5000/);
    expect(listener.out).toContain('wire   192.0.2.1:33000  wire 4 server [::1]:554');
    for (const what of ['vserver', 'service', 'process']) {
      const { code, out } = await run(['show', what, '--state-dir', stateDir]);
      expect([code, out.split('\n').length]).toEqual([0, 3]);
    }
  });

  it('show JSON for programs', async () => {
    await start();
    const { out } = await run(['show', 'session', '--json', '--state-dir', stateDir]);
    expect(JSON.parse(out)).toEqual(await source.sessions());
  });

  it('drain, enable, disable and set', async () => {
    await start();
    const at = ['--state-dir', stateDir];
    expect((await run(['drain', '[::1]:554', ...at])).out).toBe('[::1]:554: draining, weight 1, sessions 3\n');
    expect((await run(['set', '[::1]:554', 'weight', '9', ...at])).out).toBe(
      '[::1]:554: draining, weight 9, sessions 3\n',
    );
    expect((await run(['disable', '[::1]:554', ...at])).code).toBe(0);
    expect(source.service.state).toBe('disabled');
    expect((await run(['enable', '[::1]:554', ...at])).code).toBe(0);
    expect(source.service.state).toBe('unknown');
    expect(await run(['drain', 'other', ...at])).toMatchObject({
      code: 6,
      err: 'penstock: PENSTOCK_ERR_ADMIN_REFUSED\n  no service is called "other"\n',
    });
  });

  it('go to the TCP address where one is given, unless a state directory is named', async () => {
    const { tcp } = await start({ tcp: { address: '127.0.0.1', port: 0 } });
    const env = { PENSTOCK_ADMIN: `127.0.0.1:${tcp?.port}` };
    expect((await run(['show', 'vserver'], { env })).code).toBe(0);
    const nowhere = join(stateDir, 'empty');
    expect((await run(['show', 'vserver', '--state-dir', nowhere], { env })).code).toBe(5);
  });

  it('end with 5 where no appliance answers', async () => {
    const { code, err } = await run(['show', 'session', '--state-dir', stateDir]);
    expect(code).toBe(5);
    expect(err).toContain('PENSTOCK_ERR_ADMIN');
    expect(err).toContain(`no penstock answers at ${adminSocketPath(stateDir)} (ENOENT)`);
  });
});

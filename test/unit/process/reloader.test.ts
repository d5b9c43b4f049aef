import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Config } from '../../../src/config/types.js';
import { Routes } from '../../../src/egress/routes.js';
import { ServiceRows } from '../../../src/engine/service-cells.js';
import { createLogger } from '../../../src/log/logger.js';
import { Reloader } from '../../../src/process/reloader.js';
import { ServiceHealth } from '../../../src/process/service-health.js';
import { ServiceTable } from '../../../src/process/service-table.js';
import { TlsFiles } from '../../../src/tls/files.js';
import { configOf } from '../../support/config.js';
import { freshRegion } from '../../support/fresh-region.js';

const KEY = 'a'.repeat(64);
const OTHER_KEY = 'b'.repeat(64);
const WATCHED_BY_NOBODY = { listen: [':8554'], monitor: 'none' };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-reload-'));
  writeFileSync(join(folder, 'keys'), KEY);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

async function start(flags: Record<string, unknown>) {
  const withKeys = (more: Record<string, unknown>) =>
    configOf({ ...WATCHED_BY_NOBODY, 'session-key-file': join(folder, 'keys'), ...more });
  const config = await withKeys(flags);
  const region = freshRegion({ services: 2, workers: 2 });
  const rows = new ServiceRows(region);
  const lines: { level: string; msg: string }[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as { level: string; msg: string });
  const log = createLogger({ level: 'info', process: 'test', destination: { write } });
  const services = new ServiceTable(config, { capacity: 2, now: () => Date.now() });
  for (const { row, service } of services.places) rows.begin(row, service);
  const tls = new TlsFiles(config, log, () => {});
  const routes = new Routes(services.places, tls.material, config);
  const health = new ServiceHealth(services.places, routes, rows, log);
  const told = vi.fn();
  const said: string[] = [];
  let next: () => Promise<Config> = () => withKeys(flags);
  let busy: string | undefined;
  const reloader = new Reloader({
    config,
    read: () => next(),
    services,
    rows,
    health,
    tls,
    routes,
    manager: { reloading: () => void said.push('reloading'), reloaded: () => void said.push('reloaded') },
    log,
    busy: () => busy,
    tell: told,
  });
  reloader.start();
  return {
    config,
    region,
    rows,
    services,
    health,
    told,
    said,
    lines: () => lines.map(({ level, msg }) => `${level} ${msg}`),
    reload: async (more: Record<string, unknown> | Error) => {
      next = () => (more instanceof Error ? Promise.reject(more) : withKeys({ ...flags, ...more }));
      lines.length = 0;
      await reloader.reload();
    },
    setBusy: (why: string) => {
      busy = why;
    },
  };
}

describe('a reload', () => {
  it('takes over what is new, tells the children and says what it was', async () => {
    const { config, told, rows, services, reload, lines } = await start({ server: ['10.0.0.1?name=a'] });
    await reload({ server: ['10.0.0.1?name=a&weight=5&max-sessions=7', '10.0.0.2?name=b'], 'idle-timeout': '5' });
    expect(config.idleTimeoutMs).toBe(5000);
    expect(services.places.map(({ service }) => service.name)).toEqual(['a', 'b']);
    expect(rows.read(0)).toMatchObject({ weight: 5, maxSessions: 7 });
    expect(rows.read(1)).toMatchObject({ weight: 1, state: 'unknown' });
    expect(told).toHaveBeenCalledTimes(1);
    expect(lines()).toEqual(['info reload: idle-timeout, service "a" changed, service "b" added']);
  });

  it.each([
    ['that cannot be read', new Error('penstock.yaml:3: nothing good'), 'penstock.yaml:3: nothing good'],
    [
      'with certificates that are none',
      { server: ['rtsps://10.0.0.1?name=a&ca=/dev/null'] },
      '/dev/null: it holds no certificate',
    ],
    ['of keys that are none', { 'session-key-file': '/dev/null' }, 'session key file /dev/null: no key in it'],
    [
      'with more services than there are rows',
      { server: ['10.0.0.1?name=a', '10.0.0.2', '10.0.0.3'] },
      'the table of services has 2 rows',
    ],
  ])('of a configuration %s changes nothing', async (_, next, message) => {
    const { config, told, services, reload, lines } = await start({ server: ['10.0.0.1?name=a'] });
    const before = structuredClone(config);
    const { places } = services;
    await reload(next);
    expect(config).toEqual(before);
    expect(services.places).toBe(places);
    expect(told).not.toHaveBeenCalled();
    expect(lines()).toEqual([expect.stringContaining(`error reload: nothing changes: ${message}`)]);
  });

  it('names what needs a restart in one line', async () => {
    const { config, reload, lines } = await start({ server: ['10.0.0.1?name=a'] });
    await reload({ workers: '7', 'media-ports': '30000-30099', redirects: 'pass' });
    expect(config.redirects).toBe('pass');
    expect(lines()).toEqual(['warn reload: only a restart changes media-ports, workers', 'info reload: redirects']);
  });

  it('notices other keys in the same file', async () => {
    const { told, reload, lines } = await start({ server: ['10.0.0.1?name=a'] });
    await reload({});
    expect(lines()).toEqual(['info reload: nothing is changed']);
    writeFileSync(join(folder, 'keys'), `${OTHER_KEY}\n${KEY}\n`);
    await reload({});
    expect(lines()).toEqual(['info reload: session keys']);
    expect(told).toHaveBeenCalledTimes(2);
  });

  it('leaves a weight that the operator gave, until the configuration names another', async () => {
    const { rows, reload } = await start({ server: ['10.0.0.1?name=a&weight=2'] });
    rows.setWeight(0, 9);
    await reload({ 'idle-timeout': '5' });
    expect(rows.read(0).weight).toBe(9);
    await reload({ server: ['10.0.0.1?name=a&weight=3'] });
    expect(rows.read(0).weight).toBe(3);
  });

  it('is announced and ended to the service manager, whatever comes of it', async () => {
    const { said, reload } = await start({ server: ['10.0.0.1?name=a'] });
    await reload(new Error('unreadable'));
    expect(said).toEqual(['reloading', 'reloaded']);
  });

  it('waits for a better time', async () => {
    const { told, reload, setBusy, lines } = await start({ server: ['10.0.0.1?name=a'] });
    setBusy('the appliance is ending');
    await reload({ 'idle-timeout': '5' });
    expect(told).not.toHaveBeenCalled();
    expect(lines()).toEqual(['warn reload: the appliance is ending']);
  });
});

describe('a service that is removed', () => {
  it('drains, and is gone when its last session has ended', async () => {
    const { region, rows, services, health, told, reload } = await start({
      server: ['10.0.0.1?name=a', '10.0.0.2?name=b'],
    });
    const sessions = region.loadAt(0, 1) + region.layout.load.sessions;
    region.storeU32(sessions, 1);
    await reload({ server: ['10.0.0.2?name=b'] });
    expect(rows.read(0).state).toBe('draining');
    expect(health.reason(0)).toBe('not in the configuration any more');
    vi.advanceTimersByTime(5000);
    expect(services.places.map(({ leaving }) => leaving)).toEqual([true, false]);
    expect(told).toHaveBeenCalledTimes(1);
    region.storeU32(sessions, 0);
    vi.advanceTimersByTime(5000);
    expect(services.places.map(({ service }) => service.name)).toEqual(['b']);
    expect(told).toHaveBeenCalledTimes(2);
  });

  it('that comes back in time takes sessions again', async () => {
    const { region, rows, health, reload } = await start({ server: ['10.0.0.1?name=a', '10.0.0.2?name=b'] });
    region.storeU32(region.loadAt(0, 0) + region.layout.load.sessions, 1);
    await reload({ server: ['10.0.0.2?name=b'] });
    await reload({ server: ['10.0.0.1?name=a', '10.0.0.2?name=b'] });
    expect(rows.read(0).state).toBe('unknown');
    expect(health.reason(0)).toBe('');
    expect(rows.total(0, 'sessions')).toBe(1);
  });

  it('leaves a clean row to the one that gets it', async () => {
    const { region, rows, reload } = await start({ server: ['10.0.0.1?name=a', '10.0.0.2?name=b'] });
    region.setU64(region.loadAt(0, 1) + region.layout.load.sessionsTotal, 99);
    await reload({ server: ['10.0.0.2?name=b'] });
    vi.advanceTimersByTime(120_000);
    await reload({ server: ['10.0.0.2?name=b', '10.0.0.3?name=c&weight=4'] });
    expect(rows.total(0, 'sessionsTotal')).toBe(0);
    expect(rows.read(0)).toMatchObject({ state: 'unknown', weight: 4 });
  });
});

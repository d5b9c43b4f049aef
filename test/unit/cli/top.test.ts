import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type AdminServer, startAdminServer } from '../../../src/admin/server.js';
import type { ProcessReport, ServiceReport, SessionReport, StatReport } from '../../../src/admin/source.js';
import type { Terminal } from '../../../src/cli/terminal.js';
import { formatPage } from '../../../src/cli/top/page.js';
import { compare, type Sample } from '../../../src/cli/top/sample.js';
import { FakeSource } from '../admin/fake-source.js';
import { run } from './run.js';

const [aService] = new FakeSource().services();
const [aSession] = await new FakeSource().sessions();
const [aProcess] = new FakeSource().processes();

const service = (name: string, rest: Partial<ServiceReport> = {}): ServiceReport => ({
  ...(aService as ServiceReport),
  ...{ name, vserver: 'live', sessions: 1, sessionsTotal: 10 },
  ...rest,
});
const session = (of: string, serverId: string, packets: number, rest: Partial<SessionReport> = {}): SessionReport => ({
  ...(aSession as SessionReport),
  ...{ vserver: 'live', service: of, serverId, dropped: 0 },
  toClient: { packets, bytes: packets * 1000 },
  toServer: { packets: 0, bytes: 0 },
  ...rest,
});
const engine = (cpuSec: number, pid = 7): ProcessReport => ({
  ...(aProcess as ProcessReport),
  ...{ name: 'engine', pid, cpuSec, wires: 3 },
});
const stat = (name: string, value: number): StatReport => ({ name, value, unit: 'packets', about: '' });

function sample(atMs: number, parts: Partial<Sample>): Sample {
  return { atMs, services: [service('one')], sessions: [], processes: [engine(1)], stats: [], ...parts };
}

describe('what changed between two samples', () => {
  it('is told by the second, of each service, of its vserver and of all', () => {
    const services = [service('one'), service('two', { sessions: 2 }), service('three', { vserver: 'archive' })];
    const before = sample(0, { services, sessions: [session('one', 'a', 100), session('two', 'a', 50)] });
    const later = services.map((each) => ({ ...each, sessionsTotal: 14 }));
    const now = sample(2000, {
      services: later,
      sessions: [session('one', 'a', 300, { dropped: 6 }), session('two', 'a', 50), session('two', 'b', 40)],
    });
    const { vservers, total } = compare(now, before);
    expect(vservers.map(({ name }) => name)).toEqual(['live', 'archive']);
    expect(vservers[0]?.services[0]).toMatchObject({ newSessions: 2, packets: 100, bits: 800_000, drops: 3 });
    expect(vservers[0]?.services[1]).toMatchObject({ sessions: 2, packets: 20, drops: 0 });
    expect(vservers[0]).toMatchObject({ sessions: 3, newSessions: 4, packets: 120, bits: 960_000, drops: 3 });
    expect(vservers[1]).toMatchObject({ sessions: 1, newSessions: 2, packets: 0 });
    expect(total).toMatchObject({ sessions: 4, newSessions: 6, packets: 120 });
  });

  it('is not known of a first sample', () => {
    const { total, processes, engineUsPerPacket } = compare(
      sample(0, { sessions: [session('one', 'a', 5)] }),
      undefined,
    );
    expect(total).toMatchObject({ sessions: 1, newSessions: undefined, packets: undefined, bits: undefined });
    expect([processes[0]?.cpu, engineUsPerPacket]).toEqual([undefined, undefined]);
  });

  it('is nothing where counts begin anew', () => {
    const before = sample(0, { sessions: [session('one', 'a', 100)], stats: [stat('late', 9), stat('forwarded', 9)] });
    const now = sample(1000, {
      services: [service('one', { sessionsTotal: 0 })],
      sessions: [session('one', 'a', 10)],
      processes: [engine(0.1, 8)],
      stats: [stat('late', 1), stat('forwarded', 1)],
    });
    const { total, processes, engineUsPerPacket, drops } = compare(now, before);
    expect(total).toMatchObject({ newSessions: 0, packets: 0 });
    expect([processes[0]?.cpu, engineUsPerPacket, drops.size]).toEqual([undefined, undefined, 0]);
  });

  it('gives the cost of a packet, the shares of a core, and the causes of drops', () => {
    const before = sample(0, { stats: [stat('forwarded', 0), stat('wire_frames', 0), stat('late', 0)] });
    const now = sample(2000, {
      processes: [engine(1.5)],
      stats: [stat('forwarded', 200_000), stat('wire_frames', 50_000), stat('late', 10), stat('punch', 99)],
    });
    const { processes, engineUsPerPacket, drops } = compare(now, before);
    expect(engineUsPerPacket).toBeCloseTo(2);
    expect(processes[0]?.cpu).toBeCloseTo(0.25);
    expect([...drops]).toEqual([['late', 5]]);
  });

  it('tells what moves the media', () => {
    const sessions = [
      session('one', 'a', 0, { tier: 'offload' }),
      session('one', 'b', 0, { tier: 'offload' }),
      session('one', 'c', 0, { tier: 'gso' }),
      withoutTier(session('one', 'd', 0, { transport: 'interleaved' })),
      session('one', 'f', 0, { transport: 'bridged', tier: 'gso' }),
      withoutTier(session('one', 'e', 0, { transport: 'none' })),
    ];
    const movers = Object.fromEntries(compare(sample(0, { sessions }), undefined).total.movers);
    expect(movers).toEqual({ offload: 2, gso: 1, tcp: 1, bridged: 1 });
  });
});

function withoutTier({ tier: _, tierReason: __, ...rest }: SessionReport): SessionReport {
  return rest;
}

it('a page has the sum, and tables of vservers, services and processes', () => {
  const before = sample(0, { stats: [stat('late', 0), stat('other_port', 0), stat('forwarded', 0)] });
  const now = sample(2000, {
    services: [service('one', { sessionsTotal: 11 }), service('two', { state: 'down', sessions: 0 })],
    sessions: [session('one', 'a', 2500, { tier: 'offload' })],
    processes: [engine(1.1)],
    stats: [stat('late', 3), stat('other_port', 400), stat('forwarded', 100_000)],
  });
  expect(formatPage('title', compare(now, before))).toEqual([
    'title',
    'sessions 1, new 5.5/s, media by offload 100 %',
    'relayed 1250 packets/s, 10.0 Mbit/s; engine CPU per packet 1.00 µs',
    'dropped other_port 200/s, late 1.5/s',
    '',
    'VSERVER  UP   SESSIONS  NEW/S  PACKETS/S  TRAFFIC      DROPS/S  MEDIA BY',
    'live     1/2         1  5.5    1250       10.0 Mbit/s  0.0      offload 100 %',
    '',
    'SERVICE  STATE  SESSIONS  NEW/S  PACKETS/S  TRAFFIC      DROPS/S  MEDIA BY',
    'one      up            1  0.5    1250       10.0 Mbit/s  0.0      offload 100 %',
    'two      down          0  5.0    0.0        0 bit/s      0.0      -',
    '',
    'PROCESS  PID  STATE  STARTS  UP  CONNECTIONS  MEMORY  CPU',
    'engine     7  ready       1  5s            3  1.0 MB  5.0 %',
  ]);
});

describe('penstock top', () => {
  let stateDir: string;
  let server: AdminServer;
  const source = Object.assign(new FakeSource(), { stats: () => [stat('forwarded', 1)] });
  const at = () => ['--state-dir', stateDir, '--interval', '100ms'];

  beforeEach(async () => {
    stateDir = mkdtempSync(join(tmpdir(), 'penstock-top-'));
    server = await startAdminServer(source as never, { stateDir });
  });
  afterEach(async () => {
    await server.close();
    rmSync(stateDir, { recursive: true });
  });

  /** Keeps what is written, and presses keys. */
  function terminal(rows = 50) {
    const written: string[] = [];
    let press: ((key: string) => void) | undefined;
    const fake: Terminal = {
      columns: 30,
      rows,
      write: (text) => void written.push(text),
      onKey: (key) => {
        press = key;
        return () => {
          press = undefined;
        };
      },
    };
    return { fake, written, press: (key: string) => press?.(key), isHeard: () => press !== undefined };
  }

  it('prints one page with --once, whatever it prints on', async () => {
    const { code, out } = await run(['top', '--once', ...at()], { terminal: () => terminal().fake });
    expect(code).toBe(0);
    expect(out.split('\n').slice(0, 2)).toEqual([
      'penstock top: the last 0.1 s',
      'sessions 3, new 0.0/s, media by gso 100 %',
    ]);
  });

  it('prints page after page where there is no terminal, until the appliance is gone', async () => {
    let pages = 0;
    const out = () => {
      if (++pages === 2) void server.close();
    };
    const { code, err } = await run(['top', ...at()], { out });
    expect([code, pages >= 2]).toEqual([5, true]);
    expect(err).toContain('PENSTOCK_ERR_ADMIN');
  });

  it('redraws a terminal until q, and gives it back as it was', async () => {
    const screen = terminal(3);
    const ended = run(['top', ...at()], { terminal: () => screen.fake });
    await vi.waitFor(() => expect(screen.written.length).toBeGreaterThan(3));
    screen.press('x');
    screen.press('q');
    expect(await ended).toMatchObject({ code: 0, out: '' });
    const [first, page] = screen.written;
    expect([first, screen.written.at(-1)]).toEqual(['\u001b[?1049h\u001b[?25l', '\u001b[?25h\u001b[?1049l']);
    expect(page?.split('\r\n')).toEqual([
      '\u001b[Hpenstock top: every 0.1 s; q q\u001b[K',
      'sessions 3, new -/s, media by \u001b[K',
      'relayed - packets/s, -; engine\u001b[K\u001b[J',
    ]);
    expect(screen.isHeard()).toBe(false);
  });

  it('waits on a terminal for an appliance that is gone', async () => {
    const screen = terminal();
    const ended = run(['top', ...at()], { terminal: () => screen.fake });
    await vi.waitFor(() => expect(screen.written.length).toBeGreaterThan(1));
    await server.close();
    await vi.waitFor(() => expect(screen.written.at(-1)).toContain('waiting for'));
    server = await startAdminServer(source as never, { stateDir });
    await vi.waitFor(() => expect(screen.written.at(-1)).toContain('sessions 3, new -/s'));
    screen.press('\u0003');
    expect((await ended).code).toBe(0);
  });

  it('tells at once when there is no appliance', async () => {
    const { code, err } = await run(['top', '--state-dir', join(stateDir, 'none')], {
      terminal: () => terminal().fake,
    });
    expect([code, err.split('\n')[0]]).toEqual([5, 'penstock: PENSTOCK_ERR_ADMIN']);
  });

  it.each(['0', 'often'])('refuses the interval %s', async (interval) => {
    const { code, err } = await run(['top', '--interval', interval]);
    expect([code, err]).toEqual([2, expect.stringContaining('seconds from 0.1 to 3600')]);
  });
});

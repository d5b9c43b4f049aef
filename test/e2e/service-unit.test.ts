import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/cli/diagnosis.js';
import { NET, TestNetwork } from '../support/netns.js';
import { Penstock, penstock, startOrigin } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { TestSession } from '../support/rtsp-client.js';

// packaging/penstock.service: what it forbids is not missed. There is no systemd here that could run it;
// under-unit.py does what it asks for.
const UNIT = fileURLToPath(new URL('../../packaging/penstock.service', import.meta.url));
const UNDER_UNIT = fileURLToPath(new URL('../support/under-unit.py', import.meta.url));
const CAPABILITIES = ['CAP_NET_BIND_SERVICE', 'CAP_NET_ADMIN', 'CAP_BPF'] as const;
const CAPABILITY_BITS = { CAP_NET_BIND_SERVICE: 10n, CAP_NET_ADMIN: 12n, CAP_BPF: 39n };
const LISTEN = `${NET.client.edge}:554`;
const SERVER = `${NET.serverA.ip}:8554`;
/** Of 10. What is left is the network, BPF, and what Node.js cannot do without. */
const EXPOSURE = 2;

let net: TestNetwork;
let folder: string;
let appliance: Penstock | undefined;
const sessions: TestSession[] = [];

beforeAll(async () => {
  net = TestNetwork.create();
  await startOrigin(net.serverA, ['--listen', SERVER]);
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-unit-'));
});
afterEach(async () => {
  for (const session of sessions.splice(0)) session.abandon();
  await appliance?.stop();
  appliance = undefined;
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => net.destroy());

/** The unit with other lines, or itself. */
function unitWith(changes: Record<string, string> = {}): string {
  const text = readFileSync(UNIT, 'utf8');
  const changed = Object.entries(changes).reduce(
    (unit, [key, value]) => unit.replaceAll(new RegExp(`^${key}=.*$`, 'gm'), `${key}=${value}`),
    text,
  );
  const file = join(folder, 'penstock.service');
  writeFileSync(file, changed);
  return file;
}

async function start(unit: string, ...args: string[]): Promise<Penstock> {
  const stateDir = mkdtempSync(join(folder, 'state-'));
  const options = ['--listen', LISTEN, '--server', SERVER, '--receive-buffer', '128M', '--workers', '2', ...args];
  appliance = await Penstock.start(net.appliance, options, stateDir, ['python3', UNDER_UNIT, unit, stateDir]);
  return appliance;
}

async function play(transport: 'udp' | 'tcp' = 'udp'): Promise<TestSession> {
  const session = await TestSession.play(net.client, `rtsp://${LISTEN}/clip`, {
    ...{ transport, streams: 1 },
    address: NET.client.ip,
  });
  sessions.push(session);
  await session.streams[0]?.more(10);
  return session;
}

function statusOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n');
  return Object.fromEntries(lines.map((line) => line.split(':\t') as [string, string]));
}

const maskOf = (names: readonly (keyof typeof CAPABILITY_BITS)[]) =>
  names
    .reduce((mask, name) => mask | (1n << CAPABILITY_BITS[name]), 0n)
    .toString(16)
    .padStart(16, '0');

describe('systemd', () => {
  const analyze = (...args: string[]) => spawnSync('systemd-analyze', args, { encoding: 'utf8' });

  it('finds no fault with the unit', () => {
    const here = unitWith({ ExecStart: `${process.execPath} /opt/penstock/dist/main.js serve` });
    const { status, stderr } = analyze('verify', '--man=no', here);
    // Units of this machine, which it reads too, are none of ours.
    expect([status, stderr.split('\n').filter((line) => line.includes('penstock'))]).toEqual([0, []]);
  });

  it('finds it well shut in', () => {
    const { status, stdout } = analyze('security', '--offline=yes', `--threshold=${EXPOSURE * 10}`, UNIT);
    expect([status, stdout]).toEqual([0, expect.stringContaining('Overall exposure level for penstock.service')]);
  });
});

describe('under the unit', () => {
  it.each(['offload', 'gso'] as const)('media is relayed in tier %s', async (tier) => {
    await start(UNIT, '--packet-path', tier === 'gso' ? 'gso' : 'auto', '--engine-threads', '2', '--pin-threads');
    await play();
    await eventually(`tier ${tier}`, async () => (await appliance?.show('session'))?.[0]?.tier === tier || undefined);
    for (const pid of appliance?.pids() ?? []) {
      const { Uid, CapEff, CapBnd, NoNewPrivs, Seccomp } = statusOf(pid);
      expect(Uid?.split('\t')).toEqual(Array(4).fill('65534'));
      expect([CapEff, CapBnd, NoNewPrivs, Seccomp]).toEqual([maskOf(CAPABILITIES), maskOf(CAPABILITIES), '1', '2']);
    }
    const log = appliance?.logs.filter(({ level }) => level !== 'info') ?? [];
    expect(log).toEqual([]);
  });

  it('nothing is missed in an upgrade, a reload, and when children die', async () => {
    const running = await start(UNIT);
    const all = [await play('udp'), await play('tcp')];
    const more = async () => await Promise.all(all.map((session) => session.streams[0]?.more(20)));
    for (const { name, pid } of await running.show('process')) if (name !== 'primary') process.kill(pid, 'SIGKILL');
    await more();
    const engines = () => running.logs.filter(({ msg }) => msg === 'engine started').length;
    await eventually('another engine', () => engines() === 2 || undefined);
    expect((await running.upgrade()).mode).toBe('adopt');
    await more();
    expect(await running.reload()).toEqual(['reload: nothing is changed']);
    expect(readdirSync(running.stateDir)).toContain('admin.sock');
    const errors = running.logs.filter(({ level, msg }) => level === 'error' && !/ended: SIGKILL/.test(msg));
    expect(errors).toEqual([]);
    await running.stop(/ended: SIGKILL/);
  });
});

it('doctor finds each capability there', async () => {
  const stateDir = mkdtempSync(join(folder, 'state-'));
  const args = ['doctor', '--json', '--state-dir', stateDir, '--listen', LISTEN];
  const program = penstock(net.appliance, args, ['python3', UNDER_UNIT, UNIT, stateDir]);
  await program.success();
  const findings = JSON.parse(program.stdout) as Finding[];
  const status = new Map(findings.map((finding) => [finding.name, finding.status]));
  for (const name of [...CAPABILITIES, 'packet path', 'listen ports'])
    expect([name, status.get(name)]).toEqual([name, 'ok']);
});

describe('without', () => {
  const without = (missing: string) => {
    const rest = CAPABILITIES.filter((name) => name !== missing).join(' ');
    return unitWith({ AmbientCapabilities: rest, CapabilityBoundingSet: rest });
  };

  it('CAP_NET_BIND_SERVICE no port below 1024 is to be had', async () => {
    const stateDir = mkdtempSync(join(folder, 'state-'));
    const through = ['python3', UNDER_UNIT, without('CAP_NET_BIND_SERVICE'), stateDir];
    const args = ['serve', '--state-dir', stateDir, '--listen', LISTEN, '--server', SERVER];
    const program = penstock(net.appliance, args, through);
    expect((await program.exited).code).not.toBe(0);
    expect(program.stderr).toMatch(/PENSTOCK_ERR_BIND[\s\S]*EACCES/);
  });

  it.each([
    { missing: 'CAP_BPF', granted: true },
    { missing: 'CAP_NET_ADMIN', granted: false },
  ])('$missing media stays with the sockets; receive buffers as asked for: $granted', async ({ missing, granted }) => {
    const running = await start(without(missing));
    await play();
    expect((await running.show('session'))[0]).toMatchObject({ tier: 'gso', tierReason: 'not available here' });
    expect(await running.log('tier offload is not available')).toMatchObject({
      reason: expect.stringContaining('EPERM'),
    });
    const smaller = running.logs.filter(({ msg }) => msg.startsWith('receive buffers are smaller'));
    expect(smaller).toHaveLength(granted ? 0 : 1);
  });
});

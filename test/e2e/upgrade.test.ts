import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { NET, TestNetwork } from '../support/netns.js';
import { Penstock, penstock, startOrigin } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { RtspClient, TestSession } from '../support/rtsp-client.js';

const URL = `rtsp://${NET.client.edge}:8554/clip`;
const PACKETS = 20;

let net: TestNetwork;
let directory: string;
let file: string;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  await startOrigin(net.serverA, ['--listen', `${NET.serverA.ip}:8554`]);
});
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-upgrade-'));
  file = join(directory, 'penstock.yaml');
  configure({});
  appliance = await Penstock.start(net.appliance, ['--config', file, '--drain-timeout', '60']);
});
afterEach(async () => {
  await appliance.stop(/the new version did not start/);
  rmSync(directory, { recursive: true, force: true });
});
afterAll(() => net.destroy());

function configure(changes: object): void {
  const services = [{ name: 'a', address: `${NET.serverA.ip}:8554` }];
  const vservers = [{ name: 'default', listen: [`${NET.client.edge}:8554`], services }];
  writeFileSync(file, stringify({ vservers, workers: 2, ...changes }));
}

async function play(): Promise<TestSession> {
  return await TestSession.play(net.client, URL, { transport: 'udp', address: NET.client.ip });
}

async function teardownElsewhere(session: TestSession): Promise<void> {
  const client = await RtspClient.connect(net.client, NET.client.edge, 8554);
  await client.ok('TEARDOWN', URL, { Session: session.id });
  client.destroy();
  session.abandon();
}

const more = async (sessions: TestSession[]) =>
  await Promise.all(sessions.flatMap(({ streams }) => streams.map((stream) => stream.more(PACKETS))));

it('a new version takes over: sessions live, no packet is lost, orders stand', async () => {
  const sessions = await Promise.all([play(), play(), play()]);
  await more(sessions);
  await penstock(net.appliance, ['set', 'a', 'weight', '7', '--state-dir', appliance.stateDir]).success();
  const before = appliance.pids();
  expect((await appliance.upgrade()).mode).toBe('adopt');
  await eventually('the old processes are gone', () => !before.some(isAlive) || undefined);
  await more(sessions);
  expect(sessions.flatMap(({ streams }) => streams.map(({ lost }) => lost))).toEqual([0, 0, 0, 0, 0, 0]);
  expect((await appliance.show('service'))[0]).toMatchObject({ weight: 7, sessions: 3 });
  const late = await play();
  for (const session of [...sessions, late]) await teardownElsewhere(session);
  await eventually('the table is empty', async () => (await appliance.show('session')).length === 0 || undefined);
  const media = async () => (await appliance.show('listener')).filter(({ kind }) => kind === 'media');
  await eventually('the media ports are free', async () => (await media()).length === 0 || undefined);
});

it('connections live on, with a session and without, and so does media inside of them', async () => {
  const tcp = await TestSession.play(net.client, URL, { transport: 'tcp', address: NET.client.ip });
  const udp = await play();
  const early = await RtspClient.connect(net.client, NET.client.edge, 8554);
  await early.ok('DESCRIBE', URL, { Accept: 'application/sdp' });
  await more([tcp, udp]);
  await appliance.upgrade();
  await more([tcp, udp]);
  expect([...tcp.streams, ...udp.streams].map(({ lost }) => lost)).toEqual([0, 0, 0, 0]);
  await early.ok('DESCRIBE', URL, { Accept: 'application/sdp' });
  early.destroy();
  for (const session of [tcp, udp]) {
    await session.client.ok('GET_PARAMETER', URL, { Session: session.id });
    await session.teardown();
  }
  await eventually('the table is empty', async () => (await appliance.show('session')).length === 0 || undefined);
});

it('may be repeated', async () => {
  const session = await play();
  for (let round = 0; round < 3; round++) {
    await appliance.upgrade();
    await more([session]);
  }
  expect(session.streams.map(({ lost }) => lost)).toEqual([0, 0]);
  await teardownElsewhere(session);
});

it('what cannot be adopted is drained: old sessions stay with the old version, new ones go to the new one', async () => {
  const old = await play();
  configure({ workers: 1 });
  const predecessor = appliance.pid;
  expect(await appliance.upgrade()).toMatchObject({ mode: 'drain', reason: 'workers changed from 2 to 1' });
  const session = await play();
  await more([old, session]);
  expect((await appliance.show('session')).length).toBe(1);
  expect(isAlive(predecessor)).toBe(true);
  await old.teardown();
  await teardownElsewhere(session);
});

it('a version that does not start changes nothing', async () => {
  const session = await play();
  configure({ 'session-id': 'open' });
  await expect(penstock(net.appliance, ['upgrade', '--state-dir', appliance.stateDir]).success()).rejects.toThrow(
    /PENSTOCK_ERR_ADMIN_REFUSED[\s\S]*the new version did not start: it ended: exit status 2/,
  );
  await more([session]);
  await session.teardown();
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

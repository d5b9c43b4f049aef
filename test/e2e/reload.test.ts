import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { NET, TestNetwork } from '../support/netns.js';
import { type GstServer, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { RtspClient, TestSession } from '../support/rtsp-client.js';

const URL = `rtsp://${NET.client.edge}:8554/test`;
const A = { name: 'a', address: `${NET.serverA.ip}:8554` };
const B = { name: 'b', address: `${NET.serverB.ip}:8554` };
const [OLD_KEY, NEW_KEY] = ['a'.repeat(64), 'b'.repeat(64)];

let net: TestNetwork;
let a: GstServer;
let b: GstServer;
let folder: string;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  a = await startGstServer(net.serverA);
  b = await startGstServer(net.serverB);
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-reload-'));
  return () => rmSync(folder, { recursive: true, force: true });
});
afterAll(() => net.destroy());
/** A test that reloads a faulty file expects the error about it. */
afterEach(async () => await appliance.stop(/^reload: nothing changes/));

/** The file; JSON is YAML. */
function configure(services: unknown[], rest: Record<string, unknown> = {}): string {
  const path = join(folder, 'penstock.yaml');
  const vservers = [{ name: 'main', listen: [`${NET.client.edge}:8554`], services }];
  writeFileSync(path, JSON.stringify({ workers: 2, 'monitor-interval': 0.5, ...rest, vservers }));
  return path;
}

async function start(services: unknown[], rest: Record<string, unknown> = {}): Promise<void> {
  appliance = await Penstock.start(net.appliance, ['--config', configure(services, rest)]);
}

/** SIGHUP; what the appliance says of it. */
async function reload(services: unknown[], rest: Record<string, unknown> = {}): Promise<string[]> {
  configure(services, rest);
  return await appliance.reload();
}

async function play(): Promise<TestSession> {
  return await TestSession.play(net.client, URL, { transport: 'udp', address: NET.client.ip, streams: 1 });
}

const stateOf = async (name: string) => (await appliance.show('service')).find((one) => one.name === name)?.state;

it('a service is exchanged for another while its sessions play on', async () => {
  await start([A]);
  const before = a.state.opened;
  const old = [await play(), await play()];
  await eventually('the server tells of both', () => a.state.opened === before + 2 || undefined);
  expect(await reload([B])).toEqual(['reload: service "b" added, service "a" removed']);
  const opened = { a: a.state.opened, b: b.state.opened };
  const fresh = [await play(), await play()];
  await eventually('the new server has the new sessions', () => b.state.opened === opened.b + 2 || undefined);
  expect(a.state.opened).toBe(opened.a);
  for (const { streams } of [...old, ...fresh]) await streams[0]?.more(20);
  expect(await stateOf('a')).toBe('draining');
  expect((await appliance.show('session')).map(({ service }) => service).sort()).toEqual(['a', 'a', 'b', 'b']);
  for (const session of old) await session.teardown();
  await eventually('the old service is gone', async () => ((await stateOf('a')) === undefined ? true : undefined));
  for (const session of fresh) await session.teardown();
});

it('a faulty file changes nothing, and a good one may come after it', async () => {
  await start([A]);
  const session = await play();
  expect(await reload([A, { ...B, wieght: 3 }])).toEqual([expect.stringContaining('wieght')]);
  expect((await appliance.show('service')).map(({ name }) => name)).toEqual(['a']);
  expect(await reload([A, { ...B, weight: 3 }], { workers: 3, 'log-level': 'debug' })).toEqual([
    'reload: only a restart changes workers',
    'reload: log-level, service "b" added',
  ]);
  const services = await appliance.show('service');
  expect(services.map(({ name, weight }) => [name, weight])).toEqual([
    ['a', 1],
    ['b', 3],
  ]);
  await session.streams[0]?.more(20);
  await session.teardown();
});

it('the session key is exchanged: ids under the old one are good as long as it stands in the file', async () => {
  const keys = join(folder, 'keys');
  const rest = { 'session-key-file': keys };
  writeFileSync(keys, OLD_KEY);
  await start([A], rest);
  const session = await play();
  const ask = async () => {
    const client = await RtspClient.connect(net.client, NET.client.edge, 8554);
    const { status } = await client.request('GET_PARAMETER', URL, { Session: session.id });
    client.destroy();
    return status;
  };
  writeFileSync(keys, `${NEW_KEY}\n${OLD_KEY}\n`);
  expect(await reload([A], rest)).toEqual(['reload: session keys']);
  expect(await ask()).toBe(200);
  writeFileSync(keys, NEW_KEY);
  expect(await reload([A], rest)).toEqual(['reload: session keys']);
  await eventually('each worker has the keys', async () => ((await ask()) === 454 ? true : undefined));
  session.abandon();
});

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import { publishFfmpeg, startGstServer } from '../support/peers.js';
import { Penstock, startOrigin } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { TestSession } from '../support/rtsp-client.js';

const LISTEN = `${NET.client.edge}:8554`;
const LOOPBACK = '127.0.0.1';

let net: TestNetwork;
let appliance: Penstock;
let sessions: TestSession[] = [];

beforeAll(async () => {
  net = TestNetwork.create();
  await startOrigin(net.serverA, ['--listen', `${NET.serverA.ip}:8554`]);
  await startOrigin(net.serverA, ['--listen', `[${NET.serverA.ip6}]:8554`]);
  await startOrigin(net.appliance, ['--listen', `${LOOPBACK}:8556`]);
});
afterEach(async () => {
  for (const session of sessions) session.abandon();
  sessions = [];
  await appliance.stop();
});
afterAll(() => net.destroy());

async function start(...args: string[]): Promise<void> {
  const listen = ['--listen', LISTEN, '--listen', `${LOOPBACK}:8554`];
  appliance = await Penstock.start(net.appliance, [...listen, ...args]);
}

async function play(from = net.client, address: string = NET.client.ip, at = LISTEN): Promise<TestSession> {
  const session = await TestSession.play(from, `rtsp://${at}/clip`, { transport: 'udp', address, streams: 1 });
  sessions.push(session);
  await session.streams[0]?.more(10);
  return session;
}

async function counters(): Promise<Map<string, number>> {
  return new Map((await appliance.show('stat')).map(({ name, value }) => [name, value]));
}

it.each([
  { path: 'auto', tier: 'offload', reason: undefined },
  { path: 'offload', tier: 'offload', reason: undefined },
  { path: 'gso', tier: 'gso', reason: 'switched off' },
  { path: 'mmsg', tier: 'mmsg', reason: 'switched off' },
] as const)('--packet-path $path', async ({ path, tier, reason }) => {
  await start('--server', `${NET.serverA.ip}:8554`, '--packet-path', path);
  await play();
  await eventually(`tier ${tier}`, async () => (await appliance.show('session'))[0]?.tier === tier || undefined);
  const [session] = await appliance.show('session');
  expect(session?.tierReason).toBe(reason);
  const rows = (await appliance.show('listener')).filter((row) => row.kind === 'media');
  const media = rows.find(({ side, part }) => side === 'server' && part === 'rtp');
  expect([media?.tier, media?.tierReason]).toEqual([tier, reason]);
  const now = await counters();
  expect([now.get('tier_offload'), now.get('tier_gso'), now.get('tier_mmsg')]).toEqual(
    ['offload', 'gso', 'mmsg'].map((name) => Number(name === tier)),
  );
  expect(now.get('kept_switched_off')).toBe(Number(reason === 'switched off'));
  if (path === 'mmsg') expect([now.get('gso_runs'), now.get('gro_merged')]).toEqual([0, 0]);
});

it('media of a peer on this machine takes the sockets, and says why', async () => {
  await start('--server', `${LOOPBACK}:8556`);
  await play(net.appliance, LOOPBACK, `${LOOPBACK}:8554`);
  const [session] = await appliance.show('session');
  expect([session?.tier, session?.tierReason]).toEqual(['gso', 'peer on this machine']);
  expect((await counters()).get('kept_loopback')).toBe(1);
});

it('media between IPv4 and IPv6 takes the sockets, and says why', async () => {
  await start('--server', `[${NET.serverA.ip6}]:8554`);
  await play();
  const [session] = await appliance.show('session');
  expect([session?.tier, session?.tierReason]).toEqual(['gso', 'IPv4 to IPv6']);
});

it('without the rights media takes the sockets, and the log says what is missing', async () => {
  const listen = ['--listen', LISTEN, '--server', `${NET.serverA.ip}:8554`, '--receive-buffer', '128M'];
  const weak = ['setpriv', '--inh-caps', '-all', '--bounding-set', '-bpf,-net_admin,-sys_admin'];
  appliance = await Penstock.start(net.appliance, listen, undefined, weak);
  await play();
  const [session] = await appliance.show('session');
  expect([session?.tier, session?.tierReason]).toEqual(['gso', 'not available here']);
  const refusal = await appliance.log('tier offload is not available');
  expect(refusal).toMatchObject({ level: 'info', reason: expect.stringContaining('EPERM') });
  const smaller = await appliance.log('receive buffers are smaller than receive-buffer asks for');
  expect(smaller).toMatchObject({ level: 'warn', fix: 'sudo sysctl -w net.core.rmem_max=134217728' });
});

it('what a client publishes is relayed by the kernel as well', async () => {
  const recorder = await startGstServer(net.serverB);
  await start('--server', `${NET.serverB.ip}:8554`, '--packet-path', 'offload');
  const seconds = 5;
  await publishFfmpeg(net.client, `rtsp://${LISTEN}/record`, { transport: 'udp', seconds });
  await eventually('every frame', () => recorder.state.video >= seconds * MEDIA.framesPerSecond - 2 || undefined);
  const now = await counters();
  expect(now.get('offload_entered')).toBe(2);
  expect(now.get('offload_packets')).toBeGreaterThan(now.get('forwarded') ?? 0);
});

it.each(['offload', 'gso'])('two pinned engine threads share the streams, tier %s', async (path) => {
  const threads = ['--workers', '1', '--engine-threads', '2', '--pin-threads'];
  await start('--server', `${NET.serverA.ip}:8554`, '--packet-path', path, ...threads);
  for (let i = 0; i < 4; i++) await play();
  await eventually('the tier', async () => {
    return (await appliance.show('session')).every(({ tier }) => tier === path) || undefined;
  });
  for (const session of sessions) session.streams[0]?.reset();
  await Promise.all(sessions.map((session) => session.streams[0]?.more(50)));
  expect(sessions.map((session) => session.streams[0]?.lost)).toEqual([0, 0, 0, 0]);
  const stats = await appliance.show('stat');
  const byThread = (name: string) => stats.find((stat) => stat.name === name)?.threads;
  expect(byThread('streams_opened')).toEqual([2, 2]);
  expect(stats.find(({ name }) => name === 'streams_opened')?.value).toBe(4);
  for (const relayed of byThread('forwarded') ?? []) expect(relayed).toBeGreaterThan(0);
  const log = await appliance.log('engine started');
  expect(log).toMatchObject({ threads: 2 });
});

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import {
  type GstServer,
  playFfmpeg,
  playGst,
  publishFfmpeg,
  startGstServer,
  type Transport,
} from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { RtspClient } from '../support/rtsp-client.js';
import { bindPair } from '../support/udp.js';

const SECONDS = 3;
const FRAMES = SECONDS * MEDIA.framesPerSecond - 2;
let net: TestNetwork;
let appliance: Penstock;
let servers: GstServer[];

beforeAll(async () => {
  net = TestNetwork.create();
  servers = [
    await startGstServer(net.serverA, { address: '0.0.0.0' }),
    await startGstServer(net.serverB, { address: '::' }),
  ];
});
afterEach(async () => await appliance.stop());
afterAll(() => net.destroy());

async function plays(from: Namespace, url: string, transport: Transport): Promise<void> {
  const options = { transport, seconds: SECONDS };
  for (const played of [await playFfmpeg(from, url, options), ...(await playGst(from, [url], options))]) {
    expect(played.error).toBeUndefined();
    expect(played.frames).toBeGreaterThanOrEqual(FRAMES);
  }
}

async function publishes(url: string): Promise<void> {
  const recorded = () => servers.reduce((sum, { state }) => sum + state.video, 0);
  const before = recorded();
  await publishFfmpeg(net.client, url.replace('/test', '/record'), { transport: 'udp', seconds: SECONDS });
  await eventually('all frames are recorded', () => recorded() - before >= FRAMES || undefined);
}

it.each([
  { client: 'IPv6', server: 'IPv4', listen: `[${NET.client.edge6}]:8554`, to: `${NET.serverA.ip}:8554` },
  { client: 'IPv4', server: 'IPv6', listen: `${NET.client.edge}:8554`, to: `[${NET.serverB.ip6}]:8554` },
  { client: 'IPv6', server: 'IPv6', listen: `[${NET.client.edge6}]:8554`, to: `[${NET.serverB.ip6}]:8554` },
])('$client client, $server server', async ({ listen, to }) => {
  appliance = await Penstock.start(net.appliance, ['--listen', listen, '--server', to]);
  const url = `rtsp://${listen}/test`;
  for (const transport of ['udp', 'tcp'] as const) await plays(net.client, url, transport);
  await publishes(url);
});

it('one appliance for both families: every client reaches every server', async () => {
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', '0.0.0.0:8554', '--listen', '[::]:8554', '--method', 'round-robin'],
    ...['--server', `${NET.serverA.ip}:8554?name=four`, '--server', `[${NET.serverB.ip6}]:8554?name=six`],
  ]);
  for (const host of [NET.client.edge, `[${NET.client.edge6}]`]) {
    for (let n = 0; n < 2; n++) await plays(net.client, `rtsp://${host}:8554/test`, 'udp');
  }
  // ffmpeg and rtspsrc, two rounds of each family, by turns.
  const served = (await appliance.show('service')).map(({ name, sessionsTotal }) => [name, sessionsTotal]);
  expect(served).toEqual([
    ['four', 4],
    ['six', 4],
  ]);
});

it('by addresses of the link alone', async () => {
  const scoped = (at: Namespace, device: string) =>
    `${/inet6 (fe80:[^/]+)/.exec(at.ip('-6', 'addr', 'show', 'dev', device, 'scope', 'link'))?.[1]}`;
  const [client, edge] = [scoped(net.client, 'eth0'), scoped(net.appliance, 'client')];
  const server = [scoped(net.serverB, 'eth0'), 'serverB'].join('%');
  appliance = await Penstock.start(net.appliance, ['--listen', '[::]:8554', '--server', `[${server}]:8554`]);
  const rtsp = new RtspClient(await net.client.connect(`${edge}%eth0`, 8554));
  const pair = await bindPair(net.client, `${client}%eth0`);
  let packets = 0;
  pair.rtp.on('message', () => packets++);
  const url = `rtsp://[${edge}]:8554/test`;
  const asked = { Transport: `RTP/AVP;unicast;client_port=${pair.port}-${pair.port + 1}` };
  const answer = await rtsp.ok('SETUP', `${url}/stream=0`, asked);
  expect(answer.headers.get('Transport')).toContain(`;source=${edge}`);
  const session = { Session: answer.headers.get('Session')?.replace(/;.*/, '') ?? '' };
  await rtsp.ok('PLAY', url, session);
  await eventually('media comes', () => packets > 20 || undefined);
  await rtsp.ok('TEARDOWN', url, session);
  await rtsp.close();
  for (const socket of [pair.rtp, pair.rtcp]) socket.close();
});

it('where there is no IPv4 at all', async () => {
  for (const [at, devices] of [
    [net.appliance, ['lo', 'client', 'serverA', 'serverB']],
    [net.client, ['lo', 'eth0']],
    [net.serverB, ['lo', 'eth0']],
  ] as const) {
    for (const device of devices) at.ip('-4', 'addr', 'flush', 'dev', device);
  }
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', '[::]:8554', '--server', `[${NET.serverB.ip6}]:8554`, '--admin', '[::1]:9000'],
    ...['--monitor', 'describe', '--monitor-path', '/test'],
  ]);
  const url = `rtsp://[${NET.client.edge6}]:8554/test`;
  for (const transport of ['udp', 'tcp'] as const) await plays(net.client, url, transport);
  expect((await appliance.show('service')).map(({ state }) => state)).toEqual(['up']);
});

import { afterAll, beforeAll, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import { type GstServer, playFfmpeg, startGstServer } from '../support/peers.js';
import { eventually } from '../support/program.js';
import { TestSession } from '../support/rtsp-client.js';

// Our own client, and what the servers count, with nothing between them; the players are in interop.test.ts.
const URL = `rtsp://${NET.serverA.ip}:8554/test`;
let net: TestNetwork;
let server: GstServer;

beforeAll(async () => {
  net = TestNetwork.create();
  server = await startGstServer(net.serverA);
});
afterAll(() => net.destroy());

it.each(['udp', 'tcp'] as const)('our own client plays over %s', async (transport) => {
  const session = await TestSession.play(net.client, URL, { transport, address: NET.client.ip });
  expect(session.streams).toHaveLength(2);
  for (const stream of session.streams) {
    await stream.more(20);
    await eventually('a sender report came', () => stream.rtcp > 0 || undefined);
  }
  await session.teardown();
});

it('gst-rtsp-server counts its sessions', async () => {
  const before = server.state.opened;
  const session = await TestSession.play(net.client, URL, { transport: 'udp', address: NET.client.ip });
  await eventually(
    'the session is open',
    () => (server.state.opened === before + 1 && server.state.open === 1) || undefined,
  );
  await session.teardown();
  await eventually('the session is closed', () => server.state.open === 0 || undefined);
});

it('gst-rtsp-server asks for Digest', async () => {
  await startGstServer(net.serverB, { port: 8555, digest: 'viewer:secret' });
  const play = async (user: string) =>
    await playFfmpeg(net.client, `rtsp://${user}@${NET.serverB.ip}:8555/test`, { transport: 'udp', seconds: 1 });
  expect((await play('viewer:wrong')).error).toContain('401');
  expect((await play('viewer:secret')).frames).toBeGreaterThanOrEqual(MEDIA.framesPerSecond - 2);
});

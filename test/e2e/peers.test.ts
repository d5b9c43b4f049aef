import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import {
  type GstServer,
  playFfmpeg,
  playGst,
  playMpv,
  publishFfmpeg,
  startGstServer,
  startVlcServer,
} from '../support/peers.js';
import { eventually } from '../support/program.js';
import { TestSession } from '../support/rtsp-client.js';

// The real peers with nothing between them: what the tests with the appliance compare themselves with.
const SECONDS = 3;
const FRAMES = SECONDS * MEDIA.framesPerSecond;
const URL = `rtsp://${NET.serverA.ip}:8554/test`;
let net: TestNetwork;
let server: GstServer;

beforeAll(async () => {
  net = TestNetwork.create();
  server = await startGstServer(net.serverA);
});
afterAll(() => net.destroy());

describe.each(['udp', 'tcp'] as const)('over %s', (transport) => {
  const options = { transport, seconds: SECONDS };

  it('ffmpeg plays', async () => {
    const played = await playFfmpeg(net.client, URL, options);
    expect(played.error).toBeUndefined();
    expect(played.frames).toBeGreaterThanOrEqual(FRAMES - 2);
  });
  it('rtspsrc plays', async () => {
    for (const played of await playGst(net.client, [URL, URL], options)) {
      expect(played.error).toBeUndefined();
      expect(played.frames).toBeGreaterThanOrEqual(FRAMES - 2);
    }
  });
  it('mpv plays', async () => {
    const played = await playMpv(net.client, URL, options);
    expect(played.error).toBeUndefined();
    expect(played.frames).toBeGreaterThanOrEqual(FRAMES - 2);
  });
  it('ffmpeg publishes', async () => {
    const before = server.state.video;
    await publishFfmpeg(net.client, `rtsp://${NET.serverA.ip}:8554/record`, options);
    await eventually('the frames are recorded', () => server.state.video - before >= FRAMES - 2 || undefined);
  });
});

it.each(['udp', 'tcp'] as const)('our own client plays over %s', async (transport) => {
  const session = await TestSession.play(net.client, URL, { transport, address: NET.client.ip });
  expect(session.streams).toHaveLength(2);
  for (const stream of session.streams) {
    await stream.more(20);
    await eventually('a sender report came', () => stream.rtcp > 0 || undefined);
  }
  await session.teardown();
});

it('VLC serves', async () => {
  const vlc = await startVlcServer(net.serverB);
  const played = await playFfmpeg(net.client, `rtsp://${NET.serverB.ip}:8554/vlc`, {
    transport: 'udp',
    seconds: SECONDS,
  });
  expect(played.error).toBeUndefined();
  expect(played.frames).toBeGreaterThan(FRAMES / 2); // a live stream: begins in the middle of a group of pictures
  await vlc.kill();
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

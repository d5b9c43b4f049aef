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
    const before = server.recorded().video;
    await publishFfmpeg(net.client, `rtsp://${NET.serverA.ip}:8554/record`, options);
    await eventually('the frames are recorded', () => server.recorded().video - before >= FRAMES - 2 || undefined);
  });
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

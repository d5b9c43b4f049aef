import { afterAll, beforeAll, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import { playFfmpeg, playGst, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';

// Two servers with the same password and different nonces: an answer to one's challenge is worth nothing at the other.
const SECONDS = 2;
let net: TestNetwork;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  await startGstServer(net.serverA, { digest: 'viewer:secret' });
  await startGstServer(net.serverB, { digest: 'viewer:secret' });
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8554`],
    ...['--server', `${NET.serverA.ip}:8554`, '--server', `${NET.serverB.ip}:8554`],
  ]);
});
afterAll(async () => {
  await appliance.stop();
  net.destroy();
});

const url = (user: string): string => `rtsp://${user}@${NET.client.edge}:8554/test`;

it.each(['udp', 'tcp'] as const)('ffmpeg and rtspsrc log in over %s', async (transport) => {
  const options = { transport, seconds: SECONDS };
  const played = [
    await playFfmpeg(net.client, url('viewer:secret'), options),
    await playFfmpeg(net.client, url('viewer:secret'), options),
    ...(await playGst(net.client, [url('viewer:secret')], options)),
  ];
  for (const { error, frames } of played) {
    expect(error).toBeUndefined();
    expect(frames).toBeGreaterThanOrEqual(SECONDS * MEDIA.framesPerSecond - 2);
  }
});

it('a wrong password stays wrong', async () => {
  const played = await playFfmpeg(net.client, url('viewer:wrong'), { transport: 'udp', seconds: SECONDS });
  expect(played.frames).toBe(0);
  expect(played.error).toContain('401');
});

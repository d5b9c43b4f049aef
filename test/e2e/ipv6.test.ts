import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import { playFfmpeg, playGst, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';

const SECONDS = 3;
const FRAMES = SECONDS * MEDIA.framesPerSecond - 2;
let net: TestNetwork;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  await startGstServer(net.serverA, { address: '0.0.0.0' });
  await startGstServer(net.serverB, { address: '::' });
});
afterEach(async () => await appliance.stop());
afterAll(() => net.destroy());

it.each([
  { client: 'IPv6', server: 'IPv4', listen: `[${NET.client.edge6}]:8554`, to: `${NET.serverA.ip}:8554` },
  { client: 'IPv4', server: 'IPv6', listen: `${NET.client.edge}:8554`, to: `[${NET.serverB.ip6}]:8554` },
  { client: 'IPv6', server: 'IPv6', listen: `[${NET.client.edge6}]:8554`, to: `[${NET.serverB.ip6}]:8554` },
])('$client client, $server server', async ({ listen, to }) => {
  appliance = await Penstock.start(net.appliance, ['--listen', listen, '--server', to]);
  const url = `rtsp://${listen}/test`;
  for (const transport of ['udp', 'tcp'] as const) {
    const options = { transport, seconds: SECONDS };
    for (const played of [await playFfmpeg(net.client, url, options), ...(await playGst(net.client, [url], options))]) {
      expect(played.error).toBeUndefined();
      expect(played.frames).toBeGreaterThanOrEqual(FRAMES);
    }
  }
});

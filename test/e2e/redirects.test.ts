import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { RtspRequest } from '../../src/rtsp/message.js';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import { type Played, type PlayOptions, playFfmpeg, playGst, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { listenToy } from '../support/rtsp-client.js';

// Two servers that send every player on to a third one; the balancing alone would lead from the one to the other.
const SECONDS = 2;
const FRAMES = SECONDS * MEDIA.framesPerSecond - 2;
const GST = `${NET.serverA.ip}:8554`;
const TOYS = [8571, 8572];
let net: TestNetwork;
let toys: Awaited<ReturnType<typeof listenToy>>[];
let appliance: Penstock | undefined;

beforeAll(async () => {
  net = TestNetwork.create();
  await startGstServer(net.serverA);
  toys = await Promise.all(TOYS.map((port) => listenToy(net.serverB, NET.serverB.ip, port, sendOn)));
});
afterEach(async () => {
  await appliance?.stop();
  for (const { requests } of toys) requests.length = 0;
});
afterAll(() => net.destroy());

function sendOn({ method, headers }: RtspRequest): string {
  const cseq = `CSeq: ${headers.get('CSeq')}\r\n`;
  if (method === 'OPTIONS') return `RTSP/1.0 200 OK\r\n${cseq}Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n`;
  return `RTSP/1.0 302 Moved Temporarily\r\n${cseq}Location: rtsp://${GST}/test\r\n\r\n`;
}

const players: Record<string, (url: string, options: PlayOptions) => Promise<Played>> = {
  ffmpeg: (url, options) => playFfmpeg(net.client, url, options),
  rtspsrc: async (url, options) => (await playGst(net.client, [url], options))[0] ?? { frames: 0 },
};

it.each([
  ['ffmpeg', 'rewrite', '/test'],
  ['ffmpeg', 'follow', '/test'],
  ['ffmpeg', 'follow', '/elsewhere'],
  ['ffmpeg', 'pass', '/test'],
  ['rtspsrc', 'rewrite', '/test'],
  ['rtspsrc', 'follow', '/elsewhere'],
])('%s is sent on by a 302 (--redirects %s, asked for %s)', async (player, mode, path) => {
  const servers = [...TOYS.map((port) => `${NET.serverB.ip}:${port}`), GST].flatMap((server) => ['--server', server]);
  const listen = ['--listen', `${NET.client.edge}:8554`, '--workers', '2', '--monitor', 'none'];
  appliance = await Penstock.start(net.appliance, [...listen, ...servers, '--redirects', mode]);
  const played = await players[player]?.(`rtsp://${NET.client.edge}:8554${path}`, {
    transport: 'udp',
    seconds: SECONDS,
  });
  expect(played?.error).toBeUndefined();
  expect(played?.frames).toBeGreaterThanOrEqual(FRAMES);
  const asked = toys.flatMap(({ requests }) => requests).filter(({ method }) => method === 'DESCRIBE');
  expect(asked, 'one server was asked, once').toHaveLength(1);
  const [, , gst] = await appliance.show('service');
  expect(gst).toMatchObject({ address: GST });
  // A redirection that passes leads round us.
  expect(gst?.requestsTotal === 0).toBe(mode === 'pass');
});

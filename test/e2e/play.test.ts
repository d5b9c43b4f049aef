import { afterAll, beforeAll, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import {
  type GstServer,
  type Played,
  type PlayOptions,
  playFfmpeg,
  playGst,
  playMpv,
  publishFfmpeg,
  startGstServer,
  startVlcServer,
} from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';

// Real players see through the appliance what they see directly.
const SECONDS = 4;
const EDGE_FRAMES = 2; // a player may count one frame more or less at either end
const DIRECT = `rtsp://${NET.serverA.ip}:8554`;
const THROUGH = `rtsp://${NET.client.edge}:8554`;
const VLC_DIRECT = `rtsp://${NET.serverB.ip}:8554/vlc`;
const VLC_THROUGH = `rtsp://${NET.client.edge}:8555/vlc`;

type Play = (namespace: Namespace, url: string, options: PlayOptions) => Promise<Played>;
const players: [string, Play][] = [
  ['ffmpeg', playFfmpeg],
  ['rtspsrc', async (namespace, url, options) => (await playGst(namespace, [url], options))[0] ?? { frames: 0 }],
  ['mpv', playMpv],
];

let net: TestNetwork;
let server: GstServer;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  server = await startGstServer(net.serverA);
  await startVlcServer(net.serverB);
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8554`],
    ...['--server', `${NET.serverA.ip}:8554`],
  ]);
});
afterAll(() => net.destroy());

async function playBothWays(play: Play, urls: { direct: string; through: string }, options: PlayOptions) {
  // At the same time, so that both meet the same load of this machine.
  const [direct, through] = await Promise.all([
    play(net.client, urls.direct, options),
    play(net.client, urls.through, options),
  ]);
  expect(direct.error).toBeUndefined();
  expect(through.error).toBeUndefined();
  return { direct: direct.frames, through: through.frames };
}

it.each(players.flatMap(([name, play]) => [[name, 'udp', play] as const, [name, 'tcp', play] as const]))(
  '%s over %s: as many frames as directly, in the same media time',
  async (_name, transport, play) => {
    const urls = { direct: `${DIRECT}/test`, through: `${THROUGH}/test` };
    const frames = await playBothWays(play, urls, { transport, seconds: SECONDS });
    expect(frames.direct).toBeGreaterThanOrEqual(SECONDS * MEDIA.framesPerSecond - EDGE_FRAMES);
    expect(Math.abs(frames.through - frames.direct)).toBeLessThanOrEqual(EDGE_FRAMES);
  },
);

it.each(['udp', 'tcp'] as const)('ffmpeg publishes over %s: every frame is recorded', async (transport) => {
  const before = server.state.video;
  await publishFfmpeg(net.client, `${THROUGH}/record`, { transport, seconds: SECONDS });
  const wanted = before + SECONDS * MEDIA.framesPerSecond - EDGE_FRAMES;
  await eventually('all frames are recorded', () => server.state.video >= wanted || undefined);
});

it('leaves no session behind', async () => {
  await eventually('the servers hold no session', () => server.state.open === 0 || undefined);
  await eventually('the table is empty', async () => (await appliance.show('session')).length === 0 || undefined);
  await appliance.stop();
});

it('plays from VLC, whose server_port can be odd', async () => {
  const vlc = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8555`],
    ...['--server', `${NET.serverB.ip}:8554`],
  ]);
  const urls = { direct: VLC_DIRECT, through: VLC_THROUGH };
  const frames = await playBothWays(playFfmpeg, urls, { transport: 'udp', seconds: SECONDS });
  // A live stream: each player begins somewhere in a group of pictures, and may not count what comes before a key frame.
  expect(frames.through).toBeGreaterThan(0);
  expect(Math.abs(frames.through - frames.direct)).toBeLessThanOrEqual(MEDIA.framesPerSecond);
  await vlc.stop();
});

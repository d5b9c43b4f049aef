import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import {
  type GstServer,
  type OnvifServer,
  type Played,
  type PlayOptions,
  playFfmpeg,
  playGst,
  playMpv,
  publishFfmpeg,
  publishGst,
  startGstServer,
  startOnvifServer,
  startVlcServer,
  type Transport,
  talkGst,
} from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';

// Servers that speak one lower transport only, and clients that ask for the other one.
const SECONDS = 3;
const EDGE_FRAMES = 5; // at either end, or late for a player that has to share its processor
const LONG_SECONDS = 12;
const FIRST_KILL_MS = 3_000;
const KILLS = ['worker 0', 'engine', 'worker 1', 'engine'];
const PAUSE_MS = 1_000;
/** An engine that is killed takes with it what it had received: half a second of media is far more. */
const LOST_PER_KILL = MEDIA.framesPerSecond / 2;

const framesOf = (seconds: number): number => seconds * MEDIA.framesPerSecond - EDGE_FRAMES;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

type Play = (namespace: Namespace, url: string, options: PlayOptions) => Promise<Played>;
const PLAYERS: [string, Play][] = [
  ['ffmpeg', playFfmpeg],
  ['rtspsrc', async (namespace, url, options) => (await playGst(namespace, [url], options))[0] ?? { frames: 0 }],
  ['mpv', playMpv],
];

let net: TestNetwork;
let appliance: Penstock;

beforeAll(() => {
  net = TestNetwork.create();
});
afterAll(() => net.destroy());
afterEach(async () => {
  await appliance.stop(/ended: SIGKILL; starting another/);
});

const urlOf = (port: number, path: string) => `rtsp://${NET.client.edge}:${port}/${path}`;

async function start(server: string, ...more: string[]): Promise<void> {
  const listen = ['--listen', `${NET.client.edge}:${server.split(':')[1]}`];
  appliance = await Penstock.start(net.appliance, [...listen, '--server', server, '--workers', '2', ...more]);
}

async function kill(name: string): Promise<void> {
  const find = async () => (await appliance.show('process')).find((process) => process.name === name);
  const victim = await find();
  if (!victim) throw new Error(`no process ${name}`);
  process.kill(victim.pid, 'SIGKILL');
  await eventually(`${name} has a successor`, async () => {
    const now = await find();
    return (now?.pid !== victim.pid && now?.state === 'ready') || undefined;
  });
}

async function leavesNothing(): Promise<void> {
  await eventually('the table is empty', async () => (await appliance.show('session')).length === 0 || undefined);
  await eventually('the ports and wires are gone', async () => {
    const held = (await appliance.show('listener')).filter(({ kind }) => kind === 'wire' || kind === 'media');
    return held.length === 0 || undefined;
  });
}

describe.each([
  { only: 'udp', asked: 'tcp', host: 'serverA' },
  { only: 'tcp', asked: 'udp', host: 'serverB' },
] as const)('a server that speaks $only only, and clients that ask for $asked', ({ only, asked, host }) => {
  const other: Transport = asked;
  let gst: GstServer;
  let onvif: OnvifServer;

  beforeAll(async () => {
    gst = await startGstServer(net[host], { only });
    onvif = await startOnvifServer(net[host], { port: 8559, only });
  });

  it.each(PLAYERS)('%s plays', async (_, play) => {
    await start(`${NET[host].ip}:8554`);
    const playing = play(net.client, urlOf(8554, 'test'), { transport: other, seconds: SECONDS });
    await eventually('a bridged session', async () => {
      const [session] = await appliance.show('session');
      return (session?.transport === 'bridged' && session.toClient.packets > 0) || undefined;
    });
    const { frames, error } = await playing;
    expect(error).toBeUndefined();
    expect(frames).toBeGreaterThanOrEqual(framesOf(SECONDS));
    await leavesNothing();
  });

  it('ffmpeg and rtspclientsink publish', async () => {
    await start(`${NET[host].ip}:8554`);
    const isDone = (before: number) => gst.state.video - before >= framesOf(SECONDS);
    const first = gst.state.video;
    await publishFfmpeg(net.client, urlOf(8554, 'record'), { transport: other, seconds: SECONDS });
    await eventually('all of ffmpeg is recorded', () => isDone(first) || undefined);
    const second = gst.state.video;
    const options = { transport: other, seconds: SECONDS };
    await publishGst(net.client, urlOf(8554, 'record-video'), options, () => isDone(second));
    await leavesNothing();
  });

  it('rtspsrc plays and talks back', async () => {
    await start(`${NET[host].ip}:8559`, '--monitor', 'none');
    const before = onvif.received;
    const played = await talkGst(net.client, urlOf(8559, 'onvif'), { transport: other, seconds: SECONDS });
    expect(played).toBeGreaterThan(50);
    expect(onvif.received - before).toBeGreaterThan(50);
  });

  it('players go on when workers and the engine are killed', async () => {
    // Connections and ports of one session are then with one thread of two.
    await start(`${NET[host].ip}:8554`, '--engine-threads', '2');
    const options = { transport: other, seconds: LONG_SECONDS };
    const playing = PLAYERS.map(async ([name, play]) => ({
      name,
      ...(await play(net.client, urlOf(8554, 'test'), options)),
    }));
    await sleep(FIRST_KILL_MS);
    for (const name of KILLS) {
      await kill(name);
      await sleep(PAUSE_MS);
    }
    for (const { name, frames, error } of await Promise.all(playing)) {
      expect(error, name).toBeUndefined();
      expect(frames, name).toBeGreaterThanOrEqual(framesOf(LONG_SECONDS) - KILLS.length * LOST_PER_KILL);
    }
    await leavesNothing();
  });

  it('get the refusal where bridging is switched off', async () => {
    await start(`${NET[host].ip}:8554`, '--bridge', 'off');
    const { error } = await playFfmpeg(net.client, urlOf(8554, 'test'), { transport: other, seconds: SECONDS });
    expect(error).toContain('461');
  });
});

describe('VLC, which speaks UDP only', () => {
  beforeEach(async () => {
    await startVlcServer(net.serverB, { port: 8564 });
    await start(`${NET.serverB.ip}:8564`);
  });

  it('plays to ffmpeg over TCP', async () => {
    const { frames, error } = await playFfmpeg(net.client, urlOf(8564, 'vlc'), { transport: 'tcp', seconds: SECONDS });
    expect(error).toBeUndefined();
    expect(frames).toBeGreaterThan(0);
  });
});

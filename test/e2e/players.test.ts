import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MEDIA } from '../support/media.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { type Played, type PlayOptions, playFfmpeg, playGst, playMpv, startGstServer } from '../support/peers.js';
import { Penstock, startOrigin } from '../support/penstock.js';
import { eventually } from '../support/program.js';

// Real players see nothing of the death of workers and engine: not one of their RTSP connections closes.
const SECONDS = 16;
const FRAMES = SECONDS * MEDIA.framesPerSecond;
const EDGE_FRAMES = 2; // a player may count one frame more or less at either end
const EDGE_LOSS = 1; // gst-rtsp-server skips a number at its start
const KILLS = ['worker 0', 'worker 1', 'engine', 'worker 0', 'engine', 'worker 1'];
/** All players have begun, and none has ended before the last kill. */
const FIRST_KILL_MS = 3_000;
const PAUSE_MS = 1_000;

type Play = (namespace: Namespace, url: string, options: PlayOptions) => Promise<Played>;
const PLAYERS: [string, Play][] = [
  ['ffmpeg', playFfmpeg],
  ['rtspsrc', async (namespace, url, options) => (await playGst(namespace, [url], options))[0] ?? { frames: 0 }],
  ['mpv', playMpv],
];

let net: TestNetwork;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  await startGstServer(net.serverA);
  await startOrigin(net.serverB, ['--listen', `${NET.serverB.ip}:8554`]);
});
afterAll(() => net.destroy());
afterEach(async () => {
  await appliance.stop(/ended: SIGKILL; starting another/);
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

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

describe.each([
  ['gst-rtsp-server', NET.serverA.ip, '/test'],
  ['penstock origin', NET.serverB.ip, '/clip'],
])('from %s', (_, server, path) => {
  beforeEach(async () => {
    appliance = await Penstock.start(net.appliance, [
      ...['--listen', `${NET.client.edge}:8554`, '--workers', '2', '--server', `${server}:8554`],
    ]);
  });

  it.each(['tcp', 'udp'] as const)(
    'players go on over %s when workers and the engine are killed',
    async (transport) => {
      const url = `rtsp://${NET.client.edge}:8554${path}`;
      const playing = PLAYERS.map(async ([name, play]) => ({
        name,
        ...(await play(net.client, url, { transport, seconds: SECONDS })),
      }));
      await sleep(FIRST_KILL_MS);
      for (const name of KILLS) {
        await kill(name);
        await sleep(PAUSE_MS);
      }
      for (const { name, frames, lost, error } of await Promise.all(playing)) {
        expect(error, name).toBeUndefined();
        // rtspsrc moves its clock on by a gap of the arrival, with no frames in it; but it counts what it missed.
        expect(frames, name).toBeGreaterThanOrEqual(name === 'rtspsrc' ? FRAMES / 2 : FRAMES - EDGE_FRAMES);
        if (transport === 'tcp') expect(lost ?? 0, name).toBeLessThanOrEqual(EDGE_LOSS);
      }
    },
  );
});

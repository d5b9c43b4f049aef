import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificateFile } from '../support/certificates.js';
import { InteropPage } from '../support/interop-page.js';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import {
  type GstServer,
  type Played,
  type PlayOptions,
  playFfmpeg,
  playGst,
  playMplayer,
  playMpv,
  publishFfmpeg,
  publishGst,
  startFfmpegOrigin,
  startGstServer,
  startNpmServer,
  startOnvifServer,
  startVlcServer,
  type Transport,
  talkGst,
} from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';

// Real peers get through the appliance what they get directly; docs/interop.md is written from what came out.
const SECONDS = 3;
const EDGE_FRAMES = 2; // a player may count one frame more or less at either end
const FRAMES = SECONDS * MEDIA.framesPerSecond - EDGE_FRAMES;

interface Via {
  server: string;
  /** Ours before it. */
  port: number;
  tls?: true;
  /** A listening ffmpeg takes one connection in its life, which must not be that of a monitor; another one comes late. */
  unwatched?: true;
}

const GST: Via = { server: `${NET.serverA.ip}:8554`, port: 8554 };
const DIGEST: Via = { server: `${NET.serverA.ip}:8555`, port: 8555 };
const ONVIF: Via = { server: `${NET.serverA.ip}:8559`, port: 8559, unwatched: true };
const TLS: Via = { server: `${NET.serverA.ip}:8322`, port: 8322, tls: true };
const SRTP: Via = { server: `${NET.serverA.ip}:8323`, port: 8323, tls: true };
const VLC: Via = { server: `${NET.serverB.ip}:8554`, port: 8556 };
const NPM: Via = { server: `${NET.serverB.ip}:8560`, port: 8557 };
const FFMPEG: Via = { server: `${NET.serverB.ip}:8545`, port: 8558, unwatched: true };

type Play = (url: string, options: PlayOptions) => Promise<Played>;

const players = {
  ffmpeg: (url, options) => playFfmpeg(net.client, url, options),
  rtspsrc: async (url, options) => (await playGst(net.client, [url], options))[0] ?? { frames: 0 },
  mpv: (url, options) => playMpv(net.client, url, options),
  mplayer: (url, options) => playMplayer(net.client, url, options),
} satisfies Record<string, Play>;

const page = new InteropPage();
let net: TestNetwork;
let gst: GstServer;
let appliance: Penstock;
let directory: string;

beforeAll(async () => {
  net = TestNetwork.create();
  directory = mkdtempSync(join(tmpdir(), 'penstock-interop-'));
  gst = await startGstServer(net.serverA);
  await startGstServer(net.serverA, { port: 8555, digest: 'viewer:secret' });
  const tls: [string, string] = [certificateFile('camera.pem'), certificateFile('camera.key')];
  await startGstServer(net.serverA, { port: 8322, tls });
  await startGstServer(net.serverA, { port: 8323, tls, srtp: true });
  await startVlcServer(net.serverB);
  await startNpmServer(net.serverB, { port: 8560 });
  const config = join(directory, 'penstock.yaml');
  writeFileSync(config, configuration([GST, DIGEST, ONVIF, TLS, SRTP, VLC, NPM, FFMPEG]));
  appliance = await Penstock.start(net.appliance, ['--config', config]);
});
afterAll(() => {
  net.destroy();
  rmSync(directory, { recursive: true });
});

const schemeOf = ({ tls }: Via): string => (tls ? 'rtsps' : 'rtsp');

/** A vserver for each. */
function configuration(all: readonly Via[]): string {
  const vservers = all.map((via) => ({
    name: `at-${via.port}`,
    listen: [`${schemeOf(via)}://${NET.client.edge}:${via.port}`],
    services: [
      {
        address: `${schemeOf(via)}://${via.server}`,
        ...(via.tls ? { ca: certificateFile('ca.pem') } : {}),
        ...(via.unwatched ? { monitor: { kind: 'none' } } : {}),
      },
    ],
  }));
  const own = { 'tls-certificate': [certificateFile('edge.pem')], 'tls-key': [certificateFile('edge.key')] };
  return JSON.stringify({ vservers, ...own }); // which is YAML too
}

function urls(via: Via, path: string, user = ''): { direct: string; through: string } {
  const url = (authority: string) => `${schemeOf(via)}://${user}${authority}/${path}`;
  return { direct: url(via.server), through: url(`${NET.client.edge}:${via.port}`) };
}

/** At the same time, so that both meet the same load of this machine. */
async function playBothWays(play: Play, { direct, through }: ReturnType<typeof urls>, transport: Transport) {
  const options = { transport, seconds: SECONDS, ca: certificateFile('ca.pem') };
  const [alone, relayed] = await Promise.all([play(direct, options), play(through, options)]);
  return { alone, relayed };
}

function outcome({ frames, error }: Played): string {
  if (error !== undefined) return /\b[45]\d\d\b/.exec(error)?.[0] ?? 'fails';
  return frames >= FRAMES ? 'plays' : `${frames} frames`;
}

describe('gst-rtsp-server', () => {
  const cases = (['ffmpeg', 'rtspsrc', 'mpv', 'mplayer'] as const).flatMap((name) =>
    (['udp', 'tcp'] as const).map((transport) => [name, transport] as const),
  );
  it.each(cases)('%s over %s: as many frames as directly', async (name, transport) => {
    const { alone, relayed } = await playBothWays(players[name], urls(GST, 'test'), transport);
    const row = { peer: name, with: 'gst-rtsp-server', transport: transport.toUpperCase() };
    page.add({ ...row, direct: outcome(alone), through: outcome(relayed) });
    expect([outcome(alone), outcome(relayed)]).toEqual(['plays', 'plays']);
    expect(Math.abs(relayed.frames - alone.frames)).toBeLessThanOrEqual(EDGE_FRAMES);
  });

  const some = cases.filter(([name]) => name === 'ffmpeg' || name === 'rtspsrc');
  it.each([
    ...some.map((each) => [...each, 'Digest', DIGEST, 'viewer:secret@'] as const),
    ...some.map((each) => [...each, 'RTSPS', TLS, ''] as const),
    ...some.filter(([name]) => name === 'rtspsrc').map((each) => [...each, 'RTSPS and SRTP', SRTP, ''] as const),
  ])('%s over %s, with %s', async (name, transport, what, via, user) => {
    const { alone, relayed } = await playBothWays(players[name], urls(via, 'test', user), transport);
    const row = { peer: name, with: `gst-rtsp-server, ${what}`, transport: transport.toUpperCase() };
    page.add({ ...row, direct: outcome(alone), through: outcome(relayed) });
    expect([outcome(alone), outcome(relayed)]).toEqual(['plays', 'plays']);
  });
});

describe('gst-rtsp-server through a tunnel over HTTP', () => {
  it.each([
    ['ffmpeg', 'HTTP', GST],
    ['rtspsrc', 'HTTP', GST],
    ['mpv', 'HTTP', GST],
    ['ffmpeg', 'HTTP in TLS', TLS],
    ['rtspsrc', 'HTTP in TLS', TLS],
  ] as const)('%s over %s', async (name, transport, via) => {
    const { direct, through } = urls(via, 'test');
    const tunnelled = (url: string) => url.replace(/^(rtsps?):/, '$1h:');
    const both = { direct: tunnelled(direct), through: tunnelled(through) };
    const { alone, relayed } = await playBothWays(players[name], both, 'tcp');
    page.add({ peer: name, with: 'gst-rtsp-server', transport, direct: outcome(alone), through: outcome(relayed) });
    expect([outcome(alone), outcome(relayed)]).toEqual(['plays', 'plays']);
  });
});

describe('live sources', () => {
  /** Each player begins somewhere in a group of pictures, and may not count what comes before a key frame. */
  function liveOutcome({ frames, error }: Played): string {
    return error ?? (frames >= FRAMES - MEDIA.framesPerSecond ? 'plays from a key frame on' : `${frames} frames`);
  }

  /** Where the file ends and begins again the server says good-bye, and its players end early: then once more. */
  async function playLive(at: ReturnType<typeof urls>, transport: Transport) {
    const first = await playBothWays(players.ffmpeg, at, transport);
    const isCut = Object.values(first).some((played) => !played.error && !liveOutcome(played).startsWith('plays'));
    return isCut ? await playBothWays(players.ffmpeg, at, transport) : first;
  }

  it.each([
    ['VLC, whose ports can be odd', 'VLC', VLC, 'vlc'],
    // rtspsrc has no row: its SETUP ends this server.
    ['rtsp-streaming-server', 'rtsp-streaming-server', NPM, 'stream1'],
  ] as const)('%s plays to ffmpeg over UDP', async (_, name, via, path) => {
    const { alone, relayed } = await playLive(urls(via, path), 'udp');
    const outcomes = { direct: liveOutcome(alone), through: liveOutcome(relayed) };
    page.add({ peer: 'ffmpeg', with: name, transport: 'UDP', ...outcomes });
    expect(outcomes).toEqual({ direct: 'plays from a key frame on', through: 'plays from a key frame on' });
  });

  it.each([
    ['VLC', VLC, 'vlc'],
    ['rtsp-streaming-server', NPM, 'stream1'],
  ] as const)('%s refuses interleaved media, and plays it when it is bridged', async (name, via, path) => {
    const { alone, relayed } = await playLive(urls(via, path), 'tcp');
    const outcomes = { direct: outcome(alone), through: liveOutcome(relayed) };
    page.add({ peer: 'ffmpeg', with: name, transport: 'TCP', ...outcomes });
    expect(outcomes).toEqual({ direct: '461', through: 'plays from a key frame on' });
  });
});

describe('the ONVIF backchannel', () => {
  const MANY = 50; // buffers of 20 ms, of about 150

  it.each(['udp', 'tcp'] as const)('rtspsrc plays and talks back over %s', async (transport) => {
    const onvif = await startOnvifServer(net.serverA, { port: 8559 });
    const { direct, through } = urls(ONVIF, 'onvif');
    const by = async (url: string) => {
      const before = onvif.received;
      const played = await talkGst(net.client, url, { transport, seconds: SECONDS });
      const heard = onvif.received - before;
      return played > MANY && heard > MANY ? 'plays and is heard' : `${played} played, ${heard} heard`;
    };
    const outcomes = { direct: await by(direct), through: await by(through) };
    const row = {
      peer: 'rtspsrc with backchannel',
      with: 'gst-rtsp-server, ONVIF',
      transport: transport.toUpperCase(),
    };
    page.add({ ...row, ...outcomes });
    await onvif.kill();
    expect(outcomes).toEqual({ direct: 'plays and is heard', through: 'plays and is heard' });
  });
});

describe('publishing', () => {
  /** How many frames more are recorded than before. */
  async function recorded(publish: () => Promise<void>): Promise<string> {
    const before = gst.state.video;
    await publish();
    await eventually('all frames are recorded', () => gst.state.video - before >= FRAMES || undefined);
    return 'recorded';
  }

  it.each(['udp', 'tcp'] as const)('ffmpeg over %s: every frame is recorded', async (transport) => {
    const { direct, through } = urls(GST, 'record');
    const row = { peer: 'ffmpeg publishing', with: 'gst-rtsp-server', transport: transport.toUpperCase() };
    const by = (url: string) => recorded(() => publishFfmpeg(net.client, url, { transport, seconds: SECONDS }));
    page.add({ ...row, direct: await by(direct), through: await by(through) });
  });

  it.each(['udp', 'tcp'] as const)('rtspclientsink over %s: every frame is recorded', async (transport) => {
    const { direct, through } = urls(GST, 'record-video');
    const row = { peer: 'rtspclientsink publishing', with: 'gst-rtsp-server', transport: transport.toUpperCase() };
    const by = (url: string) =>
      recorded(async () => {
        const before = gst.state.video;
        const isDone = () => gst.state.video - before >= FRAMES;
        await publishGst(net.client, url, { transport, seconds: SECONDS }, isDone);
      });
    page.add({ ...row, direct: await by(direct), through: await by(through) });
  });

  it.each([
    // Directly it sends its packets to the `source=0.0.0.0` of the answer, that is to itself.
    ['udp', 'nothing arrives'],
    ['tcp', 'recorded'],
  ] as const)('ffmpeg over %s to a listening ffmpeg', async (transport, directly) => {
    const { direct, through } = urls(FFMPEG, 'live');
    const by = async (url: string) => {
      const origin = await startFfmpegOrigin(net.serverB, { port: 8545 });
      await publishFfmpeg(net.client, url, { transport, seconds: SECONDS });
      const frames = await origin.frames();
      return frames >= FRAMES ? 'recorded' : frames === 0 ? 'nothing arrives' : `${frames} frames`;
    };
    const row = { peer: 'ffmpeg publishing', with: 'ffmpeg listening', transport: transport.toUpperCase() };
    const outcomes = { direct: await by(direct), through: await by(through) };
    page.add({ ...row, ...outcomes });
    expect(outcomes).toEqual({ direct: directly, through: 'recorded' });
  });
});

it('leaves no session behind', async () => {
  await eventually('the server holds no session', () => gst.state.open === 0 || undefined);
  await eventually('the table is empty', async () => (await appliance.show('session')).length === 0 || undefined);
  await appliance.stop();
});

it('is what docs/interop.md says', async () => {
  await expect(page.text()).toMatchFileSnapshot('../../docs/interop.md');
});

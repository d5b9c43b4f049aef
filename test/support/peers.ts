import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MEDIA, testMedia } from './media.js';
import type { Namespace } from './netns.js';
import { eventually, Program } from './program.js';

/** Real RTSP servers and players as child processes in a namespace. */

const PYTHON = '/usr/bin/python3'; // Debian's own: the one that has gi
/** Where setup.mjs puts peers that npm has. */
const NPM_PEERS = fileURLToPath(new URL('../../build-peers', import.meta.url));
const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export type Transport = 'udp' | 'tcp';

/** What a player showed: video frames within the first `seconds` of media time. */
export interface Played {
  frames: number;
  /** Packets that never came, or too late; where the player tells. */
  lost?: number;
  error?: string;
}

export interface PlayOptions {
  transport: Transport;
  /** Media time, not wall-clock time: a loaded machine shows the same frames later. */
  seconds: number;
  /** File of the authority that a certificate must be of; ffmpeg looks at none. */
  ca?: string;
}

function start(name: string, namespace: Namespace, command: string, args: string[]): Program {
  return new Program(name, namespace.spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

// ---------------------------------------------------------------- servers

export interface RtspServer {
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** What a gst-rtsp-server counts: RTSP sessions it opened so far and holds now, access units published to /record. */
export interface GstServerState {
  opened: number;
  open: number;
  video: number;
  audio: number;
}

export interface GstServer extends RtspServer {
  readonly state: GstServerState;
}

function lastState(program: Program): GstServerState | undefined {
  const line = program.stdout.split('\n').findLast((text) => text.endsWith('}'));
  return line === undefined ? undefined : (JSON.parse(line) as GstServerState);
}

export interface GstServerOptions {
  address?: string;
  port?: number;
  /** `user:password`; every mount then asks for Digest. */
  digest?: string;
  file?: string;
  /** Files of a certificate and its key: RTSP inside TLS. */
  tls?: [certificate: string, key: string];
  /** Media by RTP/SAVP only. */
  srtp?: boolean;
  /** The only one: others get 461. */
  only?: Transport;
}

/** gst-rtsp-server: plays /test and /test2, takes ANNOUNCE/RECORD on /record. Default port 8554. */
export async function startGstServer(namespace: Namespace, options: GstServerOptions = {}): Promise<GstServer> {
  const { address = '0.0.0.0', port = 8554, digest, file = testMedia() } = options;
  const args = [script('gst-server.py'), '--address', address, '--port', String(port), '--file', file];
  const more = [
    ...(digest ? ['--digest', digest] : []),
    ...(options.tls ? ['--tls', ...options.tls] : []),
    ...(options.srtp ? ['--srtp'] : []),
    ...(options.only ? ['--transport', options.only] : []),
  ];
  const program = start('gst-rtsp-server', namespace, PYTHON, [...args, ...more]);
  const first = await program.until('ready', () => lastState(program));
  return {
    get state() {
      return lastState(program) ?? first;
    },
    async kill() {
      await program.stop('SIGKILL');
    },
  };
}

/** VLC's RTSP server (UDP only): the test file in a loop on /vlc. It refuses to run as root, so it runs as nobody. */
export async function startVlcServer(namespace: Namespace, options: { port?: number } = {}): Promise<RtspServer> {
  const { port = 8554 } = options;
  const home = mkdtempSync(join(tmpdir(), 'penstock-vlc-'));
  chmodSync(home, 0o777);
  const sout = `#rtp{sdp=rtsp://:${port}/vlc}`;
  const vlc = ['cvlc', '-I', 'dummy', '--no-dbus', testMedia(), '--loop', '--sout', sout, '--sout-keep'];
  const program = start('vlc', namespace, 'runuser', ['-u', 'nobody', '--', 'env', `HOME=${home}`, ...vlc]);
  await eventually('vlc listens', async () => {
    if (!program.running) await program.success();
    return namespace.exec('ss', ['-Htln', `sport = :${port}`]).trim() || undefined;
  });
  return {
    async kill() {
      // runuser waits for its child: a signal to it alone would leave vlc behind.
      for (const pid of namespace
        .exec('pgrep', ['-P', String(program.pid)])
        .split('\n')
        .filter(Boolean)) {
        process.kill(Number(pid), 'SIGKILL');
      }
      await program.exited;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

export interface OnvifServer extends RtspServer {
  /** Buffers that clients have sent over the backchannel. */
  readonly received: number;
}

/** gst-rtsp-server with an ONVIF backchannel on /onvif. Default port 8554. */
export async function startOnvifServer(
  namespace: Namespace,
  { port = 8554, only }: { port?: number; only?: Transport } = {},
): Promise<OnvifServer> {
  const program = start('gst onvif server', namespace, PYTHON, [
    ...[script('gst-backchannel.py'), 'server', '--port', String(port)],
    ...(only ? ['--protocols', only] : []),
  ]);
  const received = () => {
    const line = program.stdout.split('\n').findLast((text) => text.endsWith('}'));
    return line === undefined ? undefined : (JSON.parse(line) as { received: number }).received;
  };
  await program.until('ready', received);
  return {
    get received() {
      return received() ?? 0;
    },
    async kill() {
      await program.stop('SIGKILL');
    },
  };
}

/** rtsp-streaming-server of npm (UDP only): the test file in a loop on /stream1 of `port`, published from beside it. */
export async function startNpmServer(namespace: Namespace, options: { port?: number } = {}): Promise<RtspServer> {
  const { port = 8554 } = options;
  const publishPort = port + 1000;
  const server = start('rtsp-streaming-server', namespace, process.execPath, [
    ...[script('npm-server.cjs'), NPM_PEERS, String(port), String(publishPort)],
  ]);
  await server.until('ready', () => (server.stdout.includes('ready') ? true : undefined));
  const input = ['-re', '-stream_loop', '-1', '-i', testMedia(), '-c', 'copy'];
  const url = `rtsp://127.0.0.1:${publishPort}/stream1`;
  const publisher = start('its publisher', namespace, 'ffmpeg', [
    '-nostdin',
    '-v',
    'error',
    ...input,
    '-f',
    'rtsp',
    url,
  ]);
  await server.until('its stream', () => (server.stdout.includes('published') ? true : undefined));
  return {
    async kill() {
      await Promise.all([publisher.stop('SIGKILL'), server.stop('SIGKILL')]);
    },
  };
}

export interface FfmpegOrigin {
  /** Ends it: the video frames that were published to it. */
  frames(): Promise<number>;
}

/** ffmpeg as a listening origin: takes one connection, and on it one publisher. Default port 8554. */
export async function startFfmpegOrigin(namespace: Namespace, options: { port?: number } = {}): Promise<FfmpegOrigin> {
  const { port = 8554 } = options;
  const input = ['-rtsp_flags', 'listen', '-i', `rtsp://0.0.0.0:${port}/live`];
  const output = ['-c', 'copy', '-f', 'framecrc', '-'];
  const program = start('ffmpeg origin', namespace, 'ffmpeg', ['-nostdin', '-v', 'error', ...input, ...output]);
  await eventually('ffmpeg listens', () => namespace.exec('ss', ['-Htln', `sport = :${port}`]).trim() || undefined);
  return {
    async frames() {
      await program.stop('SIGINT');
      return videoPackets(program.stdout);
    },
  };
}

// ---------------------------------------------------------------- players

/** The tunnel over HTTP as rtspsrc writes it, `rtsph://` and by TLS `rtspsh://`; others have a transport for each. */
function untunnelled(url: string, transport: Transport): { url: string; transport: string } {
  const tunnel = /^rtsp(s?)h:/.exec(url);
  return tunnel ? { url: url.replace(tunnel[0], 'rtsp:'), transport: `http${tunnel[1]}` } : { url, transport };
}

/** ffmpeg, no decoding: counts the video packets (one per frame) it could demux. */
export async function playFfmpeg(namespace: Namespace, url: string, options: PlayOptions): Promise<Played> {
  const asked = untunnelled(url, options.transport);
  const input = ['-rtsp_transport', asked.transport, '-i', asked.url];
  const output = ['-t', String(options.seconds), '-c', 'copy', '-f', 'framecrc', '-'];
  const program = start('ffmpeg', namespace, 'ffmpeg', ['-nostdin', '-v', 'error', ...input, ...output]);
  const { code } = await program.exited;
  const frames = videoPackets(program.stdout);
  return code === 0 ? { frames } : { frames, error: program.stderr.trim() || `exit ${code}` };
}

/** framecrc: "#media_type 0: video" names the stream, then one line "STREAM, dts, pts, …" per packet. */
function videoPackets(framecrc: string): number {
  const video = /^#media_type (\d+): video$/m.exec(framecrc)?.[1];
  return framecrc.split('\n').filter((line) => video && line.startsWith(`${video},`)).length;
}

/** GStreamer's rtspsrc: counts the access units after depayloading. Several URLs play at once in one process. */
export async function playGst(namespace: Namespace, urls: string[], options: PlayOptions): Promise<Played[]> {
  const ca = options.ca === undefined ? [] : ['--ca', options.ca];
  const protocols = urls.every((url) => /^rtsps?h:/.test(url)) ? 'tcp+http' : options.transport;
  const flags = ['--protocols', protocols, '--seconds', String(options.seconds), ...ca];
  const program = start('rtspsrc', namespace, PYTHON, [script('gst-client.py'), ...flags, ...urls]);
  await program.success();
  const results = JSON.parse(program.stdout) as { frames: number; lost: number; error: string | null }[];
  return results.map(({ frames, lost, error }) => (error === null ? { frames, lost } : { frames, lost, error }));
}

/** mpv: decodes, and counts the frames that reach its filter chain (one showinfo line each). */
export async function playMpv(namespace: Namespace, url: string, options: PlayOptions): Promise<Played> {
  const quiet = ['--no-config', '--vo=null', '--ao=null', '--msg-level=all=error,ffmpeg=v'];
  const asked = untunnelled(url, options.transport);
  const shown = [`--length=${options.seconds}`, '--vf=lavfi=[showinfo]'];
  const what = [`--rtsp-transport=${asked.transport}`, ...shown, asked.url];
  const program = start('mpv', namespace, 'mpv', [...quiet, ...what]);
  const { code } = await program.exited;
  const frames = program.stdout.match(/showinfo_0: n: *\d+ /g)?.length ?? 0;
  return code === 0 ? { frames } : { frames, error: program.stderr.trim() || `exit ${code}` };
}

/** rtspsrc plays and talks back (ONVIF) for `seconds`: the buffers of 20 ms that it got meanwhile. */
export async function talkGst(namespace: Namespace, url: string, options: PlayOptions): Promise<number> {
  const flags = ['--protocols', options.transport, '--seconds', String(options.seconds)];
  const program = start('rtspsrc talking', namespace, PYTHON, [script('gst-backchannel.py'), 'client', url, ...flags]);
  await program.success();
  return (JSON.parse(program.stdout) as { played: number }).played;
}

/** mplayer: decodes, and writes a status line for each frame. Its exit status says nothing. */
export async function playMplayer(namespace: Namespace, url: string, options: PlayOptions): Promise<Played> {
  const quiet = ['-nolirc', '-noconfig', 'all', '-vo', 'null', '-nosound', '-endpos', String(options.seconds)];
  const transport = ['-lavfdopts', `o=rtsp_transport=${options.transport}`];
  const program = start('mplayer', namespace, 'mplayer', [...quiet, ...transport, url]);
  await program.exited;
  const frames = program.stdout.match(/^V: /gm)?.length ?? 0;
  return frames > 0 ? { frames } : { frames, error: program.stderr.trim().split('\n').at(-1) || 'no frame' };
}

/** GStreamer's rtspclientsink publishes the first `seconds` of the test file, without its sound, until `isDone`. */
export async function publishGst(
  namespace: Namespace,
  url: string,
  options: PlayOptions,
  isDone: () => boolean,
): Promise<void> {
  const count = options.seconds * MEDIA.framesPerSecond;
  const source = `filesrc location=${testMedia()} ! qtdemux ! h264parse ! identity eos-after=${count + 1} sync=true`;
  const launch = `${source} ! rtspclientsink location=${url} protocols=${options.transport}`;
  const program = start('rtspclientsink', namespace, 'gst-launch-1.0', ['-q', ...launch.split(' ')]);
  // It does not end by itself at the end of its stream.
  await eventually('all is published', () => (isDone() || !program.running ? true : undefined));
  await program.stop('SIGINT');
}

/** ffmpeg publishes (ANNOUNCE, RECORD) the first `seconds` of the test file in real time. */
export async function publishFfmpeg(namespace: Namespace, url: string, options: PlayOptions): Promise<void> {
  const input = ['-re', '-t', String(options.seconds), '-i', testMedia(), '-c', 'copy'];
  const output = ['-f', 'rtsp', '-rtsp_transport', options.transport, url];
  await start('ffmpeg publisher', namespace, 'ffmpeg', ['-nostdin', '-v', 'error', ...input, ...output]).success();
}

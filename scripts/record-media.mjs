#!/usr/bin/env node
// Records when real servers send the packets of a video stream and how large they are, for the bench to replay:
// bench/recordings/gstreamer.txt (gst-rtsp-server over RTSP) and ffmpeg.txt (ffmpeg's own RTP output).
// Needs root, tcpdump, ffmpeg with libx264 and gst-rtsp-server. The results are in the repository; run this only to
// change them, on a quiet machine.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const RTSP_PORT = 18554;
const RTP_PORT = 18600;
const SKIP_SECONDS = 2; // the start is not typical
const SECONDS = 5;
const CAPTURE_MS = (SKIP_SECONDS + SECONDS + 2) * 1000;
const VIDEO = '1280x720, 25 frames/s, H.264 baseline, about 3 Mbit/s, a key frame a second';

function makeClip(file) {
  const inputs = ['-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=25', '-f', 'lavfi', '-i', 'sine=sample_rate=48000'];
  const video = ['-c:v', 'libx264', '-profile:v', 'baseline', '-preset', 'veryfast', '-g', '25', '-pix_fmt', 'yuv420p'];
  const rest = ['-b:v', '3M', '-c:a', 'aac', '-t', String(SKIP_SECONDS + SECONDS + 5), '-y', file];
  const { status } = spawnSync('ffmpeg', ['-v', 'error', ...inputs, ...video, ...rest], { stdio: 'inherit' });
  if (status !== 0) throw new Error('ffmpeg could not make the clip');
}

/** `SECONDS.MICROSECONDS IP 127.0.0.1.A > 127.0.0.1.B: UDP, length N` */
function readCapture(text) {
  const flows = new Map();
  for (const [, at, flow, bytes] of text.matchAll(/^(\S+) IP (\S+ > \S+): UDP, length (\d+)/gm)) {
    if (!flows.has(flow)) flows.set(flow, []);
    flows.get(flow).push({ at: Number(at), bytes: Number(bytes) });
  }
  const weigh = (packets) => packets.reduce((sum, { bytes }) => sum + bytes, 0);
  return [...flows.values()].sort((a, b) => weigh(b) - weigh(a))[0] ?? [];
}

async function capture(play) {
  const tcpdump = spawn('tcpdump', ['-i', 'lo', '-n', '-tt', '--immediate-mode', '-l', 'udp'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  tcpdump.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  await sleep(500);
  const programs = play();
  await sleep(CAPTURE_MS);
  for (const program of [...programs, tcpdump]) {
    if (program.exitCode !== null) continue;
    const exit = once(program, 'exit');
    program.kill('SIGTERM');
    await exit;
  }
  return readCapture(text);
}

function write(name, server, packets) {
  const start = packets[0].at + SKIP_SECONDS;
  const kept = packets.filter(({ at }) => at >= start && at < start + SECONDS);
  const lines = kept.map(({ at, bytes }) => `${Math.round((at - kept[0].at) * 1e6)} ${bytes}`);
  const head = [`# ${VIDEO}; sent by ${server}.`, '# Microseconds since the first packet, bytes of RTP.'];
  writeFileSync(join(root, 'bench', 'recordings', `${name}.txt`), `${[...head, ...lines].join('\n')}\n`);
  process.stderr.write(`${name}: ${kept.length} packets\n`);
}

const folder = mkdtempSync(join(tmpdir(), 'penstock-record-'));
try {
  const clip = join(folder, 'clip.mp4');
  makeClip(clip);
  const quiet = { stdio: 'ignore' };
  const gstreamer = await capture(() => {
    const server = join(root, 'test', 'support', 'gst-server.py');
    const listen = ['--address', '127.0.0.1', '--port', String(RTSP_PORT), '--file', clip];
    const url = `rtsp://127.0.0.1:${RTSP_PORT}/test`;
    const play = `sleep 1; exec ffmpeg -v error -rtsp_transport udp -i ${url} -f null -`;
    return [spawn('/usr/bin/python3', [server, ...listen], quiet), spawn('sh', ['-c', play], quiet)];
  });
  write('gstreamer', 'gst-rtsp-server', gstreamer);
  const output = ['-an', '-c', 'copy', '-f', 'rtp', `rtp://127.0.0.1:${RTP_PORT}`];
  write(
    'ffmpeg',
    "ffmpeg's RTP output",
    await capture(() => [spawn('ffmpeg', ['-v', 'error', '-re', '-i', clip, ...output], quiet)]),
  );
} finally {
  rmSync(folder, { recursive: true });
}

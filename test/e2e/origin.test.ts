import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIP_FPS } from '../../src/origin/clip.js';
import { type Origin, type OriginOptions, startOrigin } from '../../src/origin/origin.js';

// Real players straight at the embedded origin, on loopback. They decode: a broken picture is an error message.
const SECONDS = 3;
const FRAMES = SECONDS * CLIP_FPS;
const HANG_MS = 60_000;
const INSTALL = {
  ffmpeg: 'apt-get install -y ffmpeg',
  ffprobe: 'apt-get install -y ffmpeg',
  'gst-launch-1.0':
    'apt-get install -y gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav',
};

let origin: Origin;
beforeAll(async () => {
  origin = await startOrigin({ host: '127.0.0.1', port: 0, name: 'e2e' });
});
afterAll(() => origin.close());

async function run(program: keyof typeof INSTALL, args: string[]): Promise<{ stdout: string; stderr: string }> {
  try {
    return await promisify(execFile)(program, args, { timeout: HANG_MS, maxBuffer: 64 << 20 });
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw isMissing ? new Error(`${program} is not installed: ${INSTALL[program]}`) : error;
  }
}

interface Decoded {
  video: number;
  audio: number;
  errors: string;
}

/** Decodes the first seconds; framecrc writes `STREAM, …` for each decoded frame after `#media_type STREAM: KIND`. */
async function decode(url: string, transport: string, seconds = SECONDS): Promise<Decoded> {
  const args = ['-nostdin', '-v', 'error', '-rtsp_transport', transport, '-i', url, '-t', String(seconds)];
  const { stdout, stderr } = await run('ffmpeg', [...args, '-f', 'framecrc', '-']);
  const count = (kind: string): number => {
    const stream = new RegExp(`^#media_type (\\d+): ${kind}$`, 'm').exec(stdout)?.[1];
    return stdout.split('\n').filter((line) => stream !== undefined && line.startsWith(`${stream},`)).length;
  };
  return { video: count('video'), audio: count('audio'), errors: stderr };
}

function expectWhole(decoded: Decoded, frames = FRAMES): void {
  expect(decoded.errors).toBe('');
  expect(Math.abs(decoded.video - frames)).toBeLessThanOrEqual(2);
  expect(decoded.audio).toBeGreaterThan(((frames / CLIP_FPS) * 48_000) / 1024 - 5);
}

/** rtspsrc, decoded by libav. The stream never ends: gst-launch ends well only when that many pictures were decoded. */
async function playGst(url: string, protocol: string): Promise<string> {
  const source = ['rtspsrc', `location=${url}`, `protocols=${protocol}`, '!', 'application/x-rtp,media=video'];
  const decoder = ['!', 'rtph264depay', '!', 'h264parse', '!', 'avdec_h264', '!', 'identity', `eos-after=${FRAMES}`];
  const { stdout, stderr } = await run('gst-launch-1.0', ['-q', ...source, ...decoder, '!', 'fakesink']);
  return stdout + stderr;
}

async function withOrigin<T>(options: Partial<OriginOptions>, use: (other: Origin) => Promise<T>): Promise<T> {
  const other = await startOrigin({ host: '127.0.0.1', port: 0, ...options });
  try {
    return await use(other);
  } finally {
    await other.close();
  }
}

it('ffprobe reads both media and the title that names the origin', async () => {
  const show = ['-v', 'error', '-show_entries', 'stream=codec_name,width,sample_rate:format_tags=title', '-of', 'json'];
  const { stdout, stderr } = await run('ffprobe', [...show, `${origin.url}/some/path`]);
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toMatchObject({
    streams: [
      { codec_name: 'h264', width: 640 },
      { codec_name: 'aac', sample_rate: '48000' },
    ],
    format: { tags: { title: 'penstock-origin/e2e /some/path' } },
  });
});

describe.each(['udp', 'tcp'])('over %s', (transport) => {
  it('ffmpeg plays', async () => {
    expectWhole(await decode(`${origin.url}/live`, transport));
  });
  it('four ffmpeg play at once', async () => {
    const urls = [1, 2, 3, 4].map((n) => `${origin.url}/${n}`);
    for (const decoded of await Promise.all(urls.map((url) => decode(url, transport)))) expectWhole(decoded);
  });
  it('ffmpeg plays on IPv6', async () => {
    await withOrigin({ host: '::1' }, async (other) => expectWhole(await decode(other.url, transport)));
  });
  it('rtspsrc plays', async () => {
    expect(await playGst(`${origin.url}/live`, transport)).toBe('');
  });
  it('ffmpeg publishes', async () => {
    const before = origin.stats();
    const video = ['-re', '-f', 'lavfi', '-i', `testsrc2=rate=${CLIP_FPS}`, '-t', String(SECONDS), '-c:v', 'libx264'];
    const output = ['-preset', 'ultrafast', '-f', 'rtsp', '-rtsp_transport', transport, `${origin.url}/published`];
    const { stderr } = await run('ffmpeg', ['-nostdin', '-v', 'error', ...video, ...output]);
    expect(stderr).toBe('');
    const after = origin.stats();
    expect(after.records - before.records).toBe(1);
    expect(after.packetsReceived - before.packetsReceived).toBeGreaterThanOrEqual(FRAMES);
  });
});

it('ffmpeg plays across the end of the clip', async () => {
  expectWhole(await decode(`${origin.url}/live`, 'udp', 10), 250);
});

it('two play from one pair of server ports', async () => {
  await withOrigin({ sharedPorts: true }, async (other) => {
    const urls = [`${other.url}/a`, `${other.url}/b`];
    for (const decoded of await Promise.all(urls.map((url) => decode(url, 'udp')))) expectWhole(decoded);
  });
});

it('plays a file of the user, with an odd size and another frame rate', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'penstock-origin-'));
  const file = join(folder, 'user file.mkv');
  const sources = ['-f', 'lavfi', '-i', 'testsrc2=size=321x241:rate=30', '-f', 'lavfi', '-i', 'sine'];
  await run('ffmpeg', ['-nostdin', '-v', 'error', ...sources, '-t', '2', file]);
  await withOrigin({ file }, async (other) => expectWhole(await decode(other.url, 'tcp')));
  await rm(folder, { recursive: true });
});

it('all sessions of this file have ended', () => {
  expect(origin.stats()).toMatchObject({ sessions: 0, connections: 0, expired: 0, framesDropped: 0, sendErrors: 0 });
});

import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PenstockError } from '../errors.js';
import { CLIP_FPS, type Clip, loadClip } from './clip.js';

/** A clip is held in memory, ready packetised; what is longer is cut. */
export const MAX_CLIP_SECONDS = 300;

const run = promisify(execFile);

const VIDEO = [
  ...['-map', '0:v:0', '-c:v', 'libx264', '-preset', 'veryfast', '-r', String(CLIP_FPS), '-g', String(CLIP_FPS)],
  // No B-frames: the byte stream has no times, so pictures must stand in the order in which they are shown.
  ...['-bf', '0', '-vf', 'scale=trunc(iw/2)*2:trunc(ih/2)*2,format=yuv420p', '-x264-params', 'aud=1', '-f', 'h264'],
];
const AUDIO = ['-map', '0:a:0', '-c:a', 'aac', '-b:a', '96k', '-ac', '2', '-ar', '48000', '-f', 'adts'];

/**
 * Turns any file that ffmpeg reads into a clip: its first video as H.264 at 25 pictures per second, its first audio as
 * AAC. Needs the programs ffmpeg and ffprobe.
 * @throws PenstockError PENSTOCK_ERR_USAGE when they are missing or the file cannot be read.
 */
export async function convertFile(file: string): Promise<Clip> {
  const folder = await mkdtemp(join(tmpdir(), 'penstock-clip-'));
  try {
    const base = join(folder, 'clip');
    const kinds = await streamKinds(file);
    const outputs = [
      ...(kinds.includes('video') ? [...VIDEO, ...limit(`${base}.h264`)] : []),
      ...(kinds.includes('audio') ? [...AUDIO, ...limit(`${base}.aac`)] : []),
    ];
    if (outputs.length === 0) throw new Error('it holds neither video nor audio');
    await run('ffmpeg', ['-v', 'error', '-nostdin', '-i', `file:${file}`, ...outputs]);
    return await loadClip(base);
  } catch (cause) {
    throw new PenstockError('PENSTOCK_ERR_USAGE', `cannot use ${file} as a clip: ${explain(cause)}`, { cause });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function limit(output: string): string[] {
  return ['-t', String(MAX_CLIP_SECONDS), output];
}

async function streamKinds(file: string): Promise<string[]> {
  const options = ['-v', 'error', '-show_entries', 'stream=codec_type', '-of', 'csv=p=0'];
  const { stdout } = await run('ffprobe', [...options, `file:${file}`]);
  return stdout.split(/[\s,]+/);
}

function explain(cause: unknown): string {
  const { code, path, stderr, message } = cause as NodeJS.ErrnoException & { stderr?: string };
  if (code === 'ENOENT') return `${path ?? 'ffmpeg'} is not installed (apt-get install ffmpeg)`;
  return stderr?.trim() || message;
}

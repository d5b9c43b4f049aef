import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** 640x360, 25 frames per second, H.264 baseline about 800 kbit/s, AAC 48 kHz mono. */
export const MEDIA = { seconds: 30, framesPerSecond: 25 } as const;

/** The test file, made once per machine with ffmpeg's own test sources. Readable by every user (VLC runs as nobody). */
export function testMedia(): string {
  const directory = join(tmpdir(), 'penstock-test-media');
  const file = join(directory, `testsrc2-${MEDIA.seconds}s.mp4`);
  if (existsSync(file)) return file;
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const unfinished = join(directory, `.${process.pid}.mp4`); // renamed when whole: two runs may make it at once
  const sources = ['testsrc2=size=640x360:rate=25', 'sine=frequency=440:sample_rate=48000'];
  const inputs = sources.flatMap((source) => ['-f', 'lavfi', '-i', source]);
  const video = '-c:v libx264 -profile:v baseline -preset veryfast -g 25 -b:v 800k -pix_fmt yuv420p'.split(' ');
  const audio = ['-c:a', 'aac', '-b:a', '96k'];
  const output = ['-t', String(MEDIA.seconds), ...video, ...audio, '-y', unfinished];
  execFileSync('ffmpeg', ['-v', 'error', ...inputs, ...output], { stdio: ['ignore', 'inherit', 'inherit'] });
  renameSync(unfinished, file);
  return file;
}

#!/usr/bin/env node
// Makes assets/demo.h264 and assets/demo.aac, the clip that the embedded origin loops.
// Needs ffmpeg with libx264. The result is in the repository; run this only to change the clip.
//
// Both elementary streams last exactly 8 s (200 frames of 40 ms, 375 frames of 1024 samples), so the loop has no seam.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const assets = fileURLToPath(new URL('../assets/', import.meta.url));
const FPS = 25;
const SECONDS = 8;
const SAMPLE_RATE = 48000;

const video = ['-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=${FPS}`, '-frames:v', String(FPS * SECONDS)];
const encodeVideo = ['-c:v', 'libx264', '-profile:v', 'baseline', '-preset', 'slow', '-pix_fmt', 'yuv420p'];
const rate = ['-b:v', '400k', '-maxrate', '400k', '-bufsize', '200k'];
const gop = ['-g', String(FPS), '-keyint_min', String(FPS), '-sc_threshold', '0'];
const bitExact = ['-fflags', '+bitexact', '-flags', '+bitexact', '-threads', '1'];

const audio = ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${SAMPLE_RATE}`];
const audioFrames = ['-frames:a', String((SECONDS * SAMPLE_RATE) / 1024)];

run([...video, ...encodeVideo, ...rate, ...gop, '-x264-params', 'aud=1:slices=1', ...bitExact, `${assets}demo.h264`]);
run([...audio, ...audioFrames, '-c:a', 'aac', '-b:a', '64k', '-ac', '1', ...bitExact, `${assets}demo.aac`]);

function run(args) {
  const done = spawnSync('ffmpeg', ['-y', '-v', 'error', ...args], { stdio: 'inherit' });
  if (done.error) throw done.error;
  if (done.status !== 0) process.exit(done.status ?? 1);
}

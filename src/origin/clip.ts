import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { AAC_FRAME_SAMPLES, readAdts } from './adts.js';
import { groupAccessUnits, NAL_IDR, NAL_PPS, NAL_SPS, nalType, splitNalUnits } from './annexb.js';
import { packetizeAac, packetizeH264, type RtpPayload } from './packetizer.js';

/** Annex B streams carry no times: every clip has this frame rate (make-clip.mjs and convert.ts see to it). */
export const CLIP_FPS = 25;

const VIDEO_CLOCK = 90000;
const VIDEO_PAYLOAD_TYPE = 96;
const AUDIO_PAYLOAD_TYPE = 97;

export interface Track {
  media: 'video' | 'audio';
  payloadType: number;
  /** RTP clock, ticks per second. */
  clockRate: number;
  /** Value of `a=rtpmap:` after the payload type. */
  encoding: string;
  /** Value of `a=fmtp:` after the payload type. */
  format: string;
  /** Length of one loop in RTP ticks. */
  loopTicks: number;
}

/** One picture or audio frame of the clip, ready to send. */
export interface MediaUnit {
  track: number;
  /** Time since the start of the clip, in milliseconds and in ticks of the track's clock. */
  atMs: number;
  ticks: number;
  payloads: RtpPayload[];
}

export interface Clip {
  tracks: Track[];
  /** All tracks' units, in order of time. */
  units: MediaUnit[];
  durationMs: number;
}

/** Base name of the bundled clip: the package root is two folders up, from src/ as well as from dist/. */
export const BUNDLED_CLIP = fileURLToPath(new URL('../../assets/demo', import.meta.url));

/**
 * Loads BASE.h264 (Annex B with access unit delimiters) and BASE.aac (ADTS). One of the two may be missing.
 * @throws Error when neither is there, or one cannot be read.
 */
export async function loadClip(base: string = BUNDLED_CLIP): Promise<Clip> {
  const [h264, aac] = await Promise.all([readIfThere(`${base}.h264`), readIfThere(`${base}.aac`)]);
  return buildClip(h264, aac);
}

export function buildClip(h264: Buffer | undefined, aac: Buffer | undefined): Clip {
  const sources = [h264 && videoSource(h264), aac && audioSource(aac)].filter((source) => source !== undefined);
  const lengths = sources.map((source) => (source.frames.length * source.frameTicks) / source.track.clockRate);
  const durationMs = Math.max(0, ...lengths) * 1000;
  if (durationMs === 0) throw new Error('the clip has neither video nor audio');
  const units = sources.flatMap((source, track) => unitsOf(source, track)).sort((a, b) => a.atMs - b.atMs);
  const tracks = sources.map(({ track }) => ({
    ...track,
    loopTicks: Math.round((durationMs * track.clockRate) / 1000),
  }));
  return { tracks, units, durationMs };
}

interface Source {
  track: Omit<Track, 'loopTicks'>;
  frameTicks: number;
  frames: RtpPayload[][];
}

function unitsOf(source: Source, track: number): MediaUnit[] {
  return source.frames.map((payloads, index) => {
    const ticks = index * source.frameTicks;
    return { track, ticks, atMs: (ticks * 1000) / source.track.clockRate, payloads };
  });
}

function videoSource(stream: Buffer): Source {
  const pictures = groupAccessUnits(splitNalUnits(stream));
  const sets = pictures.flat().filter((unit) => nalType(unit) === NAL_SPS || nalType(unit) === NAL_PPS);
  const sps = sets.find((unit) => nalType(unit) === NAL_SPS);
  const pps = sets.find((unit) => nalType(unit) === NAL_PPS);
  if (!sps || !pps) throw new Error('the H.264 stream has no parameter sets');
  const format = [
    'packetization-mode=1',
    `profile-level-id=${sps.subarray(1, 4).toString('hex')}`,
    `sprop-parameter-sets=${sps.toString('base64')},${pps.toString('base64')}`,
  ].join(';');
  return {
    track: { media: 'video', payloadType: VIDEO_PAYLOAD_TYPE, clockRate: VIDEO_CLOCK, encoding: 'H264/90000', format },
    frameTicks: VIDEO_CLOCK / CLIP_FPS,
    frames: pictures.map((picture) => packetizeH264(withParameterSets(picture, sps, pps))),
  };
}

/** A player that joins later, or lost packets, can start at any IDR picture: each is preceded by both sets. */
function withParameterSets(picture: Buffer[], sps: Buffer, pps: Buffer): Buffer[] {
  const isIdr = picture.some((unit) => nalType(unit) === NAL_IDR);
  const hasSets = picture.some((unit) => nalType(unit) === NAL_SPS);
  return isIdr && !hasSets ? [sps, pps, ...picture] : picture;
}

function audioSource(stream: Buffer): Source {
  const { sampleRate, channels, config, frames } = readAdts(stream);
  const format = `streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=${config.toString('hex')}`;
  const encoding = `MPEG4-GENERIC/${sampleRate}/${channels}`;
  return {
    track: { media: 'audio', payloadType: AUDIO_PAYLOAD_TYPE, clockRate: sampleRate, encoding, format },
    frameTicks: AAC_FRAME_SAMPLES,
    frames: frames.map((frame) => packetizeAac(frame)),
  };
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

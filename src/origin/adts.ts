/** ADTS framing of AAC (ISO/IEC 13818-7, 6.2): reads only what the RTP payload format needs. */

const SAMPLE_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
const SHORT_HEADER = 7;

/** Samples in one AAC-LC frame: also the RTP ticks per frame, the RTP clock being the sample rate. */
export const AAC_FRAME_SAMPLES = 1024;

export interface AdtsStream {
  sampleRate: number;
  channels: number;
  /** AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), two bytes. */
  config: Buffer;
  /** Raw AAC frames without their ADTS headers. Views, not copies. */
  frames: Buffer[];
}

/** @throws Error when the bytes are not one ADTS stream of whole frames. */
export function readAdts(stream: Buffer): AdtsStream {
  const frames: Buffer[] = [];
  let at = 0;
  while (at < stream.length) {
    const { length, headerLength } = readFrameHeader(stream, at);
    frames.push(stream.subarray(at + headerLength, at + length));
    at += length;
  }
  return { ...readFormat(stream), frames };
}

function readFrameHeader(stream: Buffer, at: number): { length: number; headerLength: number } {
  if (at + SHORT_HEADER > stream.length || (stream.readUInt16BE(at) & 0xfff6) !== 0xfff0) {
    throw new Error(`no ADTS frame at byte ${at}`);
  }
  const length = (stream.readUInt32BE(at + 3) >>> 13) & 0x1fff;
  const headerLength = stream.readUInt8(at + 1) & 1 ? SHORT_HEADER : SHORT_HEADER + 2;
  if (length < headerLength || at + length > stream.length) throw new Error(`ADTS frame at byte ${at} is cut short`);
  return { length, headerLength };
}

function readFormat(stream: Buffer): Pick<AdtsStream, 'sampleRate' | 'channels' | 'config'> {
  if (stream.length < SHORT_HEADER) throw new Error('an ADTS stream without a frame');
  const objectType = (stream.readUInt8(2) >>> 6) + 1;
  const rateIndex = (stream.readUInt8(2) >>> 2) & 0xf;
  const channels = (stream.readUInt16BE(2) >>> 6) & 7;
  const sampleRate = SAMPLE_RATES[rateIndex];
  if (sampleRate === undefined) throw new Error(`ADTS sampling frequency index ${rateIndex} is reserved`);
  const config = Buffer.alloc(2);
  config.writeUInt16BE((objectType << 11) | (rateIndex << 7) | (channels << 3));
  return { sampleRate, channels, config };
}

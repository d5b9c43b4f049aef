import { describe, expect, it } from 'vitest';
import { readAdts } from '../../../src/origin/adts.js';
import { groupAccessUnits, splitNalUnits } from '../../../src/origin/annexb.js';
import { buildClip, loadClip } from '../../../src/origin/clip.js';
import { describeClip } from '../../../src/origin/description.js';
import { mediaSections } from '../../../src/rtsp/sdp.js';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

describe('Annex B', () => {
  it('finds units behind three and four byte start codes and cuts trailing zeros', () => {
    const units = splitNalUnits(bytes('00000001 6742 000001 68ce0100 00 00000001 65aa00bb'));
    expect(units.map((unit) => unit.toString('hex'))).toEqual(['6742', '68ce01', '65aa00bb']);
  });
  it('groups units by access unit delimiters and drops these', () => {
    const units = ['09f0', '67', '65', '09f0', '41'].map(bytes);
    const pictures = groupAccessUnits(units).map((picture) => picture.map((unit) => unit.toString('hex')));
    expect(pictures).toEqual([['67', '65'], ['41']]);
  });
  it('finds nothing in nothing', () => {
    expect(splitNalUnits(Buffer.alloc(0))).toEqual([]);
    expect(splitNalUnits(Buffer.from('no start code'))).toEqual([]);
  });
});

describe('ADTS', () => {
  const frame = bytes('fff14c40015ffc aabbcc'); // AAC-LC, 48 kHz, mono, 10 bytes
  it('reads frames and the decoder configuration', () => {
    const { frames, sampleRate, channels, config } = readAdts(Buffer.concat([frame, frame]));
    expect({ sampleRate, channels, config: config.toString('hex') }).toEqual({
      sampleRate: 48000,
      channels: 1,
      config: '1188',
    });
    expect(frames.map((each) => each.toString('hex'))).toEqual(['aabbcc', 'aabbcc']);
  });
  it('refuses what is no ADTS, and a frame cut short', () => {
    expect(() => readAdts(Buffer.from('not audio at all'))).toThrow('no ADTS frame at byte 0');
    expect(() => readAdts(Buffer.concat([frame, frame.subarray(0, 8)]))).toThrow('at byte 10');
    expect(() => readAdts(Buffer.alloc(0))).toThrow('without a frame');
  });
});

describe('the bundled clip', () => {
  it('is 8 s of both media, in order of time', async () => {
    const clip = await loadClip();
    expect(clip.durationMs).toBe(8000);
    expect(clip.tracks.map((track) => track.loopTicks)).toEqual([720_000, 384_000]);
    expect(clip.units.filter((unit) => unit.track === 0)).toHaveLength(200);
    expect(clip.units.filter((unit) => unit.track === 1)).toHaveLength(375);
    expect(clip.units.map((unit) => unit.atMs)).toEqual(clip.units.map((unit) => unit.atMs).sort((a, b) => a - b));
  });
  it('has both parameter sets and an IDR picture at each second', async () => {
    const clip = await loadClip();
    const pictures = clip.units.filter((unit) => unit.track === 0);
    for (const [index, picture] of pictures.entries()) {
      const types = picture.payloads.map(({ data }) => (data[0] ?? 0) & 0x1f);
      expect(types.slice(0, 2).join() === '7,8', `picture ${index}`).toBe(index % 25 === 0);
    }
  });
  it('is described by an SDP that names its origin', async () => {
    const sdp = describeClip(await loadClip(), 'penstock-origin/a /live', '192.0.2.1');
    const fmtp = /^a=fmtp:96 packetization-mode=1;profile-level-id=42c01e;sprop-parameter-sets=Z\S+,aM\S+$/;
    const lines = sdp.toString().split('\r\n');
    expect(lines).toEqual([
      'v=0',
      'o=- 1 1 IN IP4 192.0.2.1',
      's=penstock-origin/a /live',
      'c=IN IP4 0.0.0.0',
      't=0 0',
      'a=control:*',
      'a=range:npt=now-',
      'm=video 0 RTP/AVP 96',
      'a=rtpmap:96 H264/90000',
      expect.stringMatching(fmtp),
      'a=control:trackID=0',
      'm=audio 0 RTP/AVP 97',
      'a=rtpmap:97 MPEG4-GENERIC/48000/1',
      'a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1188',
      'a=control:trackID=1',
      '',
    ]);
  });
});

it('an SDP on IPv6 says so', async () => {
  const sdp = describeClip(await loadClip(), 't', '2001:db8::1').toString();
  expect(sdp).toContain('o=- 1 1 IN IP6 2001:db8::1\r\n');
  expect(sdp).toContain('c=IN IP6 ::\r\n');
  expect(mediaSections(Buffer.from(sdp)).map(({ media, clockRate }) => ({ media, clockRate }))).toEqual([
    { media: 'video', clockRate: 90000 },
    { media: 'audio', clockRate: 48000 },
  ]);
});

it('a clip needs at least one media', () => {
  expect(() => buildClip(undefined, undefined)).toThrow('neither video nor audio');
  expect(() => buildClip(Buffer.from('x'), undefined)).toThrow('no parameter sets');
});

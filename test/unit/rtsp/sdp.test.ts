import { describe, expect, it } from 'vitest';
import { mediaSections, rewriteSdp } from '../../../src/rtsp/sdp.js';

const VLC = [
  'v=0',
  'o=- 17198725767609664930 17198725767609664930 IN IP4 192.0.2.2',
  's=Unnamed IN IP4 192.0.2.2',
  'c=IN IP4 192.0.2.2',
  't=0 0',
  'a=recvonly',
  'a=control:rtsp://192.0.2.2:8556/vlc',
  'm=video 0 RTP/AVP 96 97',
  'c=IN IP4 239.1.2.3/127/2',
  'a=rtpmap:96 H264/90000',
  'a=rtpmap:97 X/1000',
  'a=control:rtsp://192.0.2.2:8556/vlc/trackID=0',
  'm=audio 0 RTP/AVP 96',
  'a=rtpmap:96 mpeg4-generic/48000/2',
  'a=control: trackID=1 ',
  'a=sendonly',
].join('\r\n');

const body = (text: string) => Buffer.from(text, 'latin1');
const keep = { url: (url: string) => url, address: (address: string) => address };

describe('rewriteSdp', () => {
  it('rewrites control URLs and addresses, and no other byte', () => {
    const map = {
      url: (url: string) => url.replace('192.0.2.2:8556', 'edge:554'),
      address: (address: string) => (address === '192.0.2.2' ? '198.51.100.1' : address),
    };
    const expected = VLC.replaceAll('rtsp://192.0.2.2:8556', 'rtsp://edge:554')
      .replace('930 IN IP4 192.0.2.2', '930 IN IP4 198.51.100.1')
      .replace('c=IN IP4 192.0.2.2', 'c=IN IP4 198.51.100.1');
    expect(rewriteSdp(body(VLC), map).toString('latin1')).toBe(expected);
  });

  it('gives each address without its ttl, and absolute URLs only', () => {
    const seen: string[] = [];
    const see = (text: string) => {
      seen.push(text);
      return text;
    };
    rewriteSdp(body(VLC), { url: see, address: see });
    expect(seen).toEqual([
      '192.0.2.2',
      '192.0.2.2',
      'rtsp://192.0.2.2:8556/vlc',
      '239.1.2.3',
      'rtsp://192.0.2.2:8556/vlc/trackID=0',
    ]);
  });

  it('returns the same buffer when nothing changes', () => {
    for (const text of [VLC, '', 'v=0\n\ns=\xe9\r\nc=garbage\no=\n', 'a=control:*']) {
      const bytes = body(text);
      expect(rewriteSdp(bytes, keep)).toBe(bytes);
    }
  });

  it('keeps bytes beyond ASCII, bare LF and odd spacing', () => {
    const text = 's=\xe9\xff\nc= IN  IP4 \t192.0.2.2/1\na=control:  rtsp://h/a  x\n';
    const map = { url: () => 'rtsp://e/', address: () => '192.0.2.9' };
    expect(rewriteSdp(body(text), map).toString('latin1')).toBe(
      's=\xe9\xff\nc= IN  IP4 \t192.0.2.9/1\na=control:  rtsp://e/  x\n',
    );
  });

  it('lets the address type follow the address', () => {
    const to = (address: string) => ({ ...keep, address: () => address });
    expect(rewriteSdp(body('c=IN IP4 192.0.2.2\r\n'), to('2001:db8::1')).toString()).toBe('c=IN IP6 2001:db8::1\r\n');
    expect(rewriteSdp(body('c=IN IP6 ::1\r\n'), to('192.0.2.1')).toString()).toBe('c=IN IP4 192.0.2.1\r\n');
    expect(rewriteSdp(body('o=- 1 1 IN IP6 vm\r\n'), to('edge')).toString()).toBe('o=- 1 1 IN IP6 edge\r\n');
  });
});

describe('mediaSections', () => {
  it('reads media, control, clock, payload types and direction', () => {
    expect(mediaSections(body(VLC))).toEqual([
      {
        media: 'video',
        payloadTypes: [96, 97],
        clockRate: 90_000,
        control: 'rtsp://192.0.2.2:8556/vlc/trackID=0',
        direction: 'recvonly',
      },
      { media: 'audio', payloadTypes: [96], clockRate: 48_000, control: 'trackID=1', direction: 'sendonly' },
    ]);
  });

  it.each([
    ['audio 0 RTP/AVP 0', 8_000],
    ['audio 0 RTP/AVP 9', 8_000],
    ['audio 0 RTP/AVP 10', 44_100],
    ['audio 0 RTP/AVP 14', 90_000],
    ['video 0 RTP/AVP 26', 90_000],
    ['video 0 RTP/AVP 33', 90_000],
    ['video 0 RTP/AVP 96', undefined],
    ['application 0 RTP/AVP', undefined],
  ])('knows the clock of m=%s', (media, clockRate) => {
    const [section] = mediaSections(body(`m=${media}\n`));
    expect(section?.clockRate).toBe(clockRate);
    expect(section).not.toHaveProperty('direction');
  });

  it('finds nothing in what is no SDP', () => {
    expect(mediaSections(body('<html>\r\nm=\r\n'))).toEqual([]);
  });
});

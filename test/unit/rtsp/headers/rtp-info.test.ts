import { expect, it, test } from 'vitest';
import { mapRtpInfoUrls } from '../../../../src/rtsp/headers/rtp-info.js';

const cases: { name: string; value: string; urls: string[] }[] = [
  {
    name: 'comma and space (gst-rtsp-server)',
    value: 'url=rtsp://h/test/stream=0;seq=1;rtptime=2, url=rtsp://h/test/stream=1;seq=3;rtptime=4',
    urls: ['rtsp://h/test/stream=0', 'rtsp://h/test/stream=1'],
  },
  {
    name: 'comma without space (live555)',
    value: 'url=rtsp://h/a/track1;seq=1;rtptime=2,url=rtsp://h/a/track2;seq=3;rtptime=4',
    urls: ['rtsp://h/a/track1', 'rtsp://h/a/track2'],
  },
  { name: 'quotes', value: 'url="rtsp://h/a,b;c";seq=1,url="rtsp://h/d"', urls: ['rtsp://h/a,b;c', 'rtsp://h/d'] },
  {
    name: 'commas and semicolons in the URL',
    value: 'url=rtsp://h/a;x=1,2/t;seq=1;rtptime=2,url=rtsp://h/b,c',
    urls: ['rtsp://h/a;x=1,2/t', 'rtsp://h/b,c'],
  },
  { name: 'no parameters and relative URLs', value: 'url=trackID=1 , URL = t2 ', urls: ['trackID=1', 't2'] },
  { name: 'parameters first', value: 'seq=1;url=a;rtptime=2', urls: ['a'] },
  { name: 'a quote that never closes', value: 'url="rtsp://h/a;seq=1', urls: ['rtsp://h/a;seq=1'] },
  { name: 'a quote that closes in the next entry', value: 'url="a;seq=1,url=b";seq=2', urls: ['a;seq=1', 'b"'] },
  { name: 'no URL', value: 'seq=1;rtptime=2', urls: [] },
  { name: 'nothing', value: '', urls: [] },
];

test.each(cases)('$name', ({ value, urls }) => {
  const seen: string[] = [];
  const same = mapRtpInfoUrls(value, (url) => {
    seen.push(url);
    return url;
  });
  expect(seen).toEqual(urls);
  expect(same).toBe(value);
});

it('replaces the URLs and nothing else', () => {
  expect(mapRtpInfoUrls('url="a";seq=1, url=b ;rtptime=2', (url) => `<${url}>`)).toBe(
    'url="<a>";seq=1, url=<b> ;rtptime=2',
  );
});

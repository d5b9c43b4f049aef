import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { routePath } from '../../../src/router/route-path.js';

describe('routePath', () => {
  it.each([
    ['rtsp://10.0.0.1:8554/test', '/test'],
    ['rtsp://10.0.0.1:8554/test/', '/test'],
    ['rtsp://host/test/stream=0', '/test'],
    ['rtsp://host/test/stream=12/', '/test'],
    ['rtsp://[2001:db8::1]:554/test.mkv/track1', '/test.mkv'],
    ['rtsp://user:pw@host/vlc/trackID=0', '/vlc'],
    ['rtsp://host/vlc/trackid=4', '/vlc'],
    ['RTSPU://host/a/b/streamid=1', '/a/b'],
    ['rtsp://host/cam/realmonitor?channel=1&subtype=0', '/cam/realmonitor?channel=1&subtype=0'],
    ['rtsp://host/cam/realmonitor?channel=1&subtype=0/trackID=1', '/cam/realmonitor?channel=1&subtype=0'],
    ['rtsp://host?channel=1', '?channel=1'],
    // Names of presentations, not of tracks.
    ['rtsp://host/stream1', '/stream1'],
    ['rtsp://host/live/stream2', '/live/stream2'],
    ['rtsp://host/track1', '/track1'],
    ['rtsp://host/soundtrack1', '/soundtrack1'],
    ['/test/stream=0', '/test'],
    ['*', ''],
    ['rtsp://host', ''],
    ['rtsp://host:554/', ''],
    ['', ''],
  ])('%s → %s', (uri, want) => {
    expect(routePath(uri)).toBe(want);
  });

  it('is the same for a presentation and each of its tracks', () => {
    const name = fc.stringMatching(/^[a-z0-9._-]{1,12}$/).filter((text) => !/^(track|stream)/.test(text));
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), fc.nat(9), (names, track) => {
        const uri = `rtsp://192.0.2.1:554/${names.join('/')}`;
        for (const control of [
          '',
          '/',
          `/trackID=${track}`,
          `/track${track}`,
          `/stream=${track}`,
          `//streamid=${track}`,
        ]) {
          expect(routePath(uri + control)).toBe(`/${names.join('/')}`);
        }
      }),
    );
  });
});

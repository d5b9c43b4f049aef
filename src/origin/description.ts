import { isIPv6 } from 'node:net';
import type { Clip } from './clip.js';
import { trackControl } from './target.js';

/**
 * The SDP of one mount (RFC 4566; H.264: RFC 6184 §8.2.1, AAC: RFC 3640 §4.1). The clip never ends, so it is described
 * as live. `title` says which origin and mount this is.
 */
export function describeClip(clip: Clip, title: string, localIp: string): Buffer {
  const family = isIPv6(localIp) ? 'IP6' : 'IP4';
  const lines = [
    'v=0',
    `o=- 1 1 IN ${family} ${localIp}`,
    `s=${title}`,
    `c=IN ${family} ${isIPv6(localIp) ? '::' : '0.0.0.0'}`,
    't=0 0',
    'a=control:*',
    'a=range:npt=now-',
    ...clip.tracks.flatMap((track, index) => [
      `m=${track.media} 0 RTP/AVP ${track.payloadType}`,
      `a=rtpmap:${track.payloadType} ${track.encoding}`,
      `a=fmtp:${track.payloadType} ${track.format}`,
      `a=control:${trackControl(index)}`,
    ]),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n`);
}

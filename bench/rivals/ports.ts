import { MEDIA_PAIRS, MEDIA_PORT } from '../lib/load.js';

/** Where relays that know no RTSP take in media: one port per stream from here on. */
const FIRST_PORT = 20_000;

/** Neighbouring ports whose streams go to the same port of the clients. */
export interface PortBlock {
  first: number;
  last: number;
  clientPort: number;
}

/** All ports of so many streams, spread evenly over the clients' ports. */
export function portBlocks(streams: number, firstPort = FIRST_PORT): PortBlock[] {
  const each = Math.ceil(streams / MEDIA_PAIRS);
  const blocks: PortBlock[] = [];
  for (let at = 0; at < streams; at += each) {
    const last = firstPort + Math.min(at + each, streams) - 1;
    blocks.push({ first: firstPort + at, last, clientPort: MEDIA_PORT + 2 * blocks.length });
  }
  return blocks;
}

export function portsOf(blocks: readonly PortBlock[]): number[] {
  return blocks.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, index) => first + index));
}

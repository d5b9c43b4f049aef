import type { Socket } from 'node:dgram';
import type { Namespace } from './netns.js';

export interface UdpPair {
  rtp: Socket;
  rtcp: Socket;
  port: number;
}

const TRIES = 50;

/** An RTP socket on an even port and an RTCP socket on the next one. `port` 0 means any. */
export async function bindPair(namespace: Namespace, address: string, port = 0): Promise<UdpPair> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const rtp = await namespace.bindUdp(address, port);
    const first = rtp.address().port;
    if (first % 2 === 0 || port !== 0) {
      try {
        return { rtp, rtcp: await namespace.bindUdp(address, first + 1), port: first };
      } catch (error) {
        if (port !== 0 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      }
    }
    rtp.close();
  }
  throw new Error(`no pair of free UDP ports on ${address}`);
}

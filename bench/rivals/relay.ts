import { Crowd, type Farm, RTSP_PORT } from '../lib/load.js';
import type { Bed } from '../lib/place.js';
import type { RunningRelay } from '../lib/relay.js';

/** A relay without RTSP that stands ready: where the farm is to send, and what moves the packets. */
export interface Aimed {
  ip: string;
  ports: readonly number[];
  /** Undefined where it is the kernel. */
  pid: number | undefined;
  stop(): Promise<void>;
}

/** Points the farm at it. */
export async function aimedRelay(bed: Bed, farm: Farm, { ip, ports, pid, stop }: Aimed): Promise<RunningRelay> {
  await farm.aim(ip, ports);
  const crowd = await Crowd.start(bed, `${bed.edge}:${RTSP_PORT}`);
  return {
    crowd,
    pids: () => Promise.resolve(new Map(pid === undefined ? [] : [['relay', pid]])),
    counters: () => Promise.resolve(new Map()),
    stop: async () => {
      await crowd.stop();
      await stop();
    },
  };
}

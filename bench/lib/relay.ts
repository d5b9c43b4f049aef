import type { PacketPath } from '../../src/config/types.js';
import { Appliance } from './appliance.js';
import { Crowd, type Farm } from './load.js';
import { mostSessions } from './machine.js';
import type { Bed } from './place.js';

/** Something that media passes through, with its streams set up. */
export interface RunningRelay {
  readonly crowd: Crowd;
  /** All of its processes by name; none where it is the kernel. */
  pids(): Promise<Map<string, number>>;
  counters(): Promise<Map<string, number>>;
  stop(): Promise<void>;
}

/** So many streams that a session each would be more connections than descriptors allow. */
const FEW_STREAMS = 100;
/** Of a session, where there are more. */
const STREAMS_EACH = 8;
/** Latched streams are handed to the kernel within that. */
const SETTLE_MS = 1000;

/** How many streams the product can hold, given what a process may open. */
export function mostStreams(): number {
  return mostSessions(STREAMS_EACH) * STREAMS_EACH;
}

async function openStreams(crowd: Crowd, streams: number): Promise<void> {
  const each = streams > FEW_STREAMS ? STREAMS_EACH : 1;
  await crowd.open(streams / each, { streams: each });
}

/** A way from servers to clients. Rivals that know no RTSP have the farm `aim` at them. */
export interface Relay {
  readonly name: string;
  /** Why it cannot be measured here; undefined where it can. */
  missing(): string | undefined;
  readonly needsNamespaces?: boolean;
  /** Until it has moved its streams to their path. */
  readonly settleMs?: number;
  /** So cheap that its cost is told by a baseline taken right beside it. */
  readonly inKernel?: boolean;
  /** Overload leaves something behind: it gets a new start afterwards. */
  readonly restartAfterOverload?: boolean;
  start(bed: Bed, farm: Farm, streams: number): Promise<RunningRelay>;
}

/** Servers and clients without anything between them: what the others add to. */
export const direct: Relay = {
  name: 'direct',
  missing: () => undefined,
  async start(bed, farm, streams) {
    const crowd = await Crowd.start(bed, farm.address);
    await openStreams(crowd, streams);
    return {
      crowd,
      pids: () => Promise.resolve(new Map()),
      counters: () => Promise.resolve(new Map()),
      stop: () => crowd.stop(),
    };
  },
};

/** The product, told how to move packets. */
export function penstock(name: string, packetPath: PacketPath, args: readonly string[] = []): Relay {
  return {
    name: `penstock ${name}`,
    inKernel: packetPath === 'offload',
    settleMs: SETTLE_MS,
    missing: () => undefined,
    async start(bed, farm, streams) {
      const appliance = await Appliance.start(bed, farm.address, { core: 'product', workers: 2, packetPath, args });
      const crowd = await Crowd.start(bed, appliance.address);
      const stop = async (): Promise<void> => {
        await crowd.stop();
        await appliance.stop();
      };
      try {
        await openStreams(crowd, streams);
      } catch (error) {
        const log = appliance.log().slice(-4000);
        await stop();
        throw new Error(`${(error as Error).message}\n${log}`, { cause: error });
      }
      return { crowd, pids: () => appliance.pids(), counters: () => appliance.counters(), stop };
    },
  };
}

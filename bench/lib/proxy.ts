import { Appliance, type ApplianceOptions } from './appliance.js';
import type { Bed } from './place.js';

/** Something that clients reach a server through, over TCP. */
export interface RunningProxy {
  /** As clients reach it. */
  readonly address: string;
  /** Its processes by name. */
  pids(): Promise<Map<string, number>>;
  stop(): Promise<void>;
}

export interface TcpProxy {
  readonly name: string;
  /** Why it cannot be measured here; undefined where it can. */
  missing(): string | undefined;
  /** Before the server at that address. */
  start(bed: Bed, server: string): Promise<RunningProxy>;
}

/** The server itself: what the others add to. */
export const directTcp: TcpProxy = {
  name: 'direct',
  missing: () => undefined,
  start: (_bed, server) =>
    Promise.resolve({
      address: server,
      pids: () => Promise.resolve(new Map()),
      stop: () => Promise.resolve(),
    }),
};

export function penstockProxy(name: string, options: ApplianceOptions): TcpProxy {
  return {
    name,
    missing: () => undefined,
    start: (bed, server) => Appliance.start(bed, server, options),
  };
}

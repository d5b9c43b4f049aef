import type { Bed } from '../lib/place.js';

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
  start(bed: Bed, server: string): Promise<RunningProxy>;
}

/**
 * What two primaries say to each other while one takes the other's place, and how the new one finds
 * out what it inherits. Both may be of different versions: fields may be added, never renamed.
 */
import type { OpenListener } from './listeners.js';

/** Carries a `Bequest` as JSON from a primary to its successor. */
export const BEQUEST_VARIABLE = 'PENSTOCK_BEQUEST';

/** Every descriptor is a number in the successor. */
export interface Bequest {
  layoutVersion: number;
  /** By name of the option: the sizes that the region was made for. */
  sizes: Record<string, number>;
  regionFd: number;
  wakeFds: number[];
  inboxFds: number[];
  /** By this socket the vault gives away all that it keeps. */
  vaultFd: number;
  listeners: OpenListener[];
  /** What each row of the service table stands for; '' = nothing. */
  services: string[];
}

/**
 * `adopt`: the successor takes over everything, and sessions go on. `drain`: it cannot, so it takes new
 * connections only, and the predecessor stays until its own sessions are over.
 */
export type UpgradeMode = 'adopt' | 'drain';

export type ToPredecessor =
  /** The configuration is read. `reason`: why not `adopt`. */
  | { type: 'prepared'; mode: UpgradeMode; reason?: string }
  /** Every process works. */
  | { type: 'ready' };

export type ToSuccessor =
  /** Nobody of the predecessor touches region and sockets any more. The vault gives away so much. */
  { type: 'yours'; holdings: Holdings };

/** What a vault keeps the descriptors of. */
export interface Holdings {
  streams: number;
  wires: number;
}

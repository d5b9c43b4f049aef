import { isIPv4 } from 'node:net';
import type { MediaAddress, MediaSide } from '../config/types.js';

/** Where media of a peer is received, and what the peer is told. */
export interface MediaPlace {
  address: string;
  advertised: string;
}

/**
 * For a peer whose media has the address `peer`, and that `local` is connected to. Undefined where no address of ours is of its
 * family: behind a proxy that speaks IPv6 to clients and IPv4 to us, or the other way.
 */
export function mediaPlace(
  addresses: readonly MediaAddress[],
  side: MediaSide,
  { local, peer }: { local: string; peer: string },
): MediaPlace | undefined {
  const usable = addresses.filter((one) => one.side === side && isSameFamily(one.address, peer));
  const chosen = usable.find(({ address }) => address === local) ?? usable[0];
  const address = chosen?.address ?? local;
  return isSameFamily(address, peer) ? { address, advertised: chosen?.advertised ?? address } : undefined;
}

function isSameFamily(a: string, b: string): boolean {
  return isIPv4(a) === isIPv4(b);
}

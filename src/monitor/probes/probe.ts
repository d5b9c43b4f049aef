import type { Route } from '../../egress/routes.js';
import { formatAuthority } from '../../rtsp/headers/url.js';

export type ProbeTarget = Route;

/**
 * One check of a service. Resolves with what was seen, in a few words for the log; rejects with the reason of the
 * failure. Leaves no socket behind, and settles at once (with the signal's reason) when the signal aborts.
 */
export type Probe = (signal: AbortSignal) => Promise<string>;

export function urlOf({ ip, port, tls }: ProbeTarget, path: string): string {
  return `${tls ? 'rtsps' : 'rtsp'}://${formatAuthority(ip, port)}${path}`;
}

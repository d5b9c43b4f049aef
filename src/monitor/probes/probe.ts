import type { ServiceAddress } from '../../router/service.js';

export type ProbeTarget = ServiceAddress;

/**
 * One check of a service. Resolves with what was seen, in a few words for the log; rejects with the reason of the
 * failure. Leaves no socket behind, and settles at once (with the signal's reason) when the signal aborts.
 */
export type Probe = (signal: AbortSignal) => Promise<string>;

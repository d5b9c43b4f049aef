import type { Config } from '../config/types.js';
import type { NativeBinding } from '../engine/binding.js';
import { SharedRegion } from '../engine/shared-region.js';
import { type OpenListener, openListeners } from './listeners.js';

const RING_SLOTS = 4096;
/** Rows for services that a reload brings. */
const SPARE_SERVICES = 64;
/** Of a worker. A connection that finds none free stays with its worker. */
const MAX_WIRES = 16_384;
const WIRE_RING_BYTES = 256 * 1024;
const OVERFLOW_CELL = { 'drop-frames': 'dropFrames', close: 'close' } as const;

/** What outlives every child of the primary, and in an upgrade the primary itself. Numbers are descriptors. */
export interface Estate {
  regionFd: number;
  region: SharedRegion;
  /** One per engine thread. */
  wakeFds: number[];
  /** One per worker: records of the engine wait for it. */
  inboxFds: number[];
  listeners: OpenListener[];
}

/** Throws PENSTOCK_ERR_BIND. `listeners`: those that are open already. */
export function createEstate(
  binding: NativeBinding,
  config: Config,
  listeners: OpenListener[] = openListeners(binding, config),
): Estate {
  const regionFd = binding.createRegion({
    workers: config.workers,
    engineThreads: config.engineThreads,
    services: Math.min(servicesOf(config).length + SPARE_SERVICES, binding.layout.limits.maxServices),
    sessionsPerWorker: config.maxSessions,
    streamsPerWorker: config.maxStreams,
    ringSlots: RING_SLOTS,
    quarantineMs: config.quarantineMs,
    // A client's connection and that of its server.
    wiresPerWorker: Math.min(2 * config.maxSessions, MAX_WIRES),
    wireRingBytes: WIRE_RING_BYTES,
    interleavedBacklog: config.interleavedBacklog,
    messageDeadlineMs: config.limits.messageMs,
    interleavedOverflow: binding.layout.overflow[OVERFLOW_CELL[config.interleavedOverflow]],
  });
  return {
    regionFd,
    region: new SharedRegion(binding.mapRegion(regionFd), binding.layout),
    wakeFds: Array.from({ length: config.engineThreads }, () => binding.eventFd()),
    inboxFds: Array.from({ length: config.workers }, () => binding.eventFd()),
    listeners,
  };
}

/** In the order of the service table's rows. */
export function servicesOf(config: Config): Config['vservers'][number]['services'] {
  return config.vservers.flatMap(({ services }) => services);
}

/** What the region's size follows from, by name of the option. */
export function sizesOf(config: Config): Record<string, number> {
  return {
    workers: config.workers,
    'engine-threads': config.engineThreads,
    'max-sessions': config.maxSessions,
    'max-streams': config.maxStreams,
  };
}

import { readFileSync } from 'node:fs';
import { loadBinding, type RegionSpec } from '../../src/engine/binding.js';
import { SharedRegion } from '../../src/engine/shared-region.js';

const SMALL: RegionSpec = {
  workers: 2,
  engineThreads: 2,
  services: 3,
  sessionsPerWorker: 8,
  streamsPerWorker: 16,
  ringSlots: 8,
  quarantineMs: 100,
  wiresPerWorker: 8,
  wireRingBytes: 4096,
  interleavedBacklog: 65536,
  interleavedOverflow: 0,
  messageDeadlineMs: 10_000,
};

/** A region as the primary makes it, copied into plain shared memory: a test may have any number of them. */
export function freshRegion(spec: Partial<RegionSpec> = {}): SharedRegion {
  const binding = loadBinding();
  const fd = binding.createRegion({ ...SMALL, ...spec });
  try {
    const bytes = readFileSync(`/proc/self/fd/${fd}`);
    const memory = new SharedArrayBuffer(bytes.length);
    new Uint8Array(memory).set(bytes);
    return new SharedRegion(memory, binding.layout);
  } finally {
    binding.closeFd(fd);
  }
}

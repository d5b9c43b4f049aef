import type { SharedRegion } from './shared-region.js';

// A row that is read by other processes carries a sequence number: odd while its owner writes it,
// and another one after each write. A reader takes what it read only if the number was even and did
// not move meanwhile. x86-64 keeps plain loads and plain stores in order, which this relies on.

/** Reads that met a writer, before the reader sleeps instead: a write takes about a microsecond. */
const SPINS = 200;
/** Sleeps before a reader gives up. Only a writer that died, or lost its processor, is odd for so long. */
const NAPS = 3;
const NAP_MS = 1;

/** Writes a row; owner only. `sequence` is the offset of the row's sequence number. */
export function writeRow(region: SharedRegion, sequence: number, write: () => void): void {
  const odd = region.loadU32(sequence) | 1;
  region.storeU32(sequence, odd);
  try {
    write();
  } finally {
    region.storeU32(sequence, odd + 1);
  }
}

/** A consistent read by any process; undefined where the row stays half-written. `read` may run several times. */
export function readRow<T>(region: SharedRegion, sequence: number, read: () => T): T | undefined {
  for (let attempt = 0; attempt < SPINS + NAPS; attempt++) {
    const before = region.loadU32(sequence);
    if (isHalfWritten(before)) {
      if (attempt >= SPINS) region.waitU32(sequence, before, NAP_MS);
      continue;
    }
    const value = read();
    if (region.loadU32(sequence) === before) return value;
  }
  return undefined;
}

export function isHalfWritten(sequence: number): boolean {
  return (sequence & 1) === 1;
}

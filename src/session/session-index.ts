import { readRow, writeRow } from '../engine/row-sequence.js';
import type { SharedRegion } from '../engine/shared-region.js';

// Word 0 of an index is its sequence number, odd during a rebuild. The others are an open-addressing
// hash table with linear probing: 0 = empty, TOMBSTONE = was in use, else the row's number in the
// slice plus one. An entry never moves but by a rebuild, so a reader beside a writer misses nothing.
const EMPTY = 0;
const TOMBSTONE = 0xffffffff;
const HEAD_WORDS = 1;
/** Share of words that are not empty at which tombstones are swept out by a rebuild. */
const REBUILD_AT = 0.75;

/** FNV-1a over the service and the server's Session id, mixed at the end for linear probing. */
export function hashSession(service: number, serverId: string): number {
  let hash = Math.imul(0x811c9dc5 ^ service, 0x01000193);
  for (let i = 0; i < serverId.length; i++) hash = Math.imul(hash ^ serverId.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** The hash index of one worker's slice of the session table. Written by that worker alone. */
export class SessionIndex {
  rebuilds = 0;
  readonly #region: SharedRegion;
  readonly #base: number;
  readonly #words: number;
  #live = 0;
  #tombstones = 0;

  constructor(region: SharedRegion, worker: number) {
    this.#region = region;
    this.#base = region.indexAt(worker);
    this.#words = region.geometry.indexPerWorker - HEAD_WORDS;
  }

  /** Any process: rows that may be of this hash, all that are among them; undefined during a rebuild that does not end. */
  candidates(hash: number): number[] | undefined {
    return readRow(this.#region, this.#base, () => {
      const rows: number[] = [];
      for (let step = 0; step < this.#words; step++) {
        const value = this.#load(this.#slot(hash, step));
        if (value === EMPTY) break;
        if (value !== TOMBSTONE) rows.push(value - 1);
      }
      return rows;
    });
  }

  /** Owner only. The slice is smaller than the index, so there is always room. */
  insert(hash: number, row: number, rows: () => Iterable<readonly [hash: number, row: number]>): void {
    if (this.#tombstones > 0 && this.#live + this.#tombstones >= this.#words * REBUILD_AT) this.rebuild(rows());
    this.#put(hash, row);
  }

  /** Owner only. */
  remove(hash: number, row: number): void {
    const at = this.#placeOf(hash, row);
    if (at === undefined) return;
    this.#live--;
    this.#tombstones++;
    this.#store(at, TOMBSTONE);
    this.#sweepBack(at);
  }

  /** Owner only. Fills the index anew; also what a successor does, whatever it found. */
  rebuild(rows: Iterable<readonly [hash: number, row: number]>): void {
    this.rebuilds++;
    writeRow(this.#region, this.#base, () => {
      const { indexSlot } = this.#region.layout.sizes;
      this.#region.clear(this.#base + HEAD_WORDS * indexSlot, this.#words * indexSlot);
      this.#live = 0;
      this.#tombstones = 0;
      for (const [hash, row] of rows) this.#put(hash, row);
    });
  }

  #put(hash: number, row: number): void {
    for (let step = 0; step < this.#words; step++) {
      const at = this.#slot(hash, step);
      const value = this.#load(at);
      if (value !== EMPTY && value !== TOMBSTONE) continue;
      if (value === TOMBSTONE) this.#tombstones--;
      this.#live++;
      this.#store(at, row + 1);
      return;
    }
    throw new RangeError('the session index is full');
  }

  /** A tombstone before an empty word holds no chain together: it and those before it become empty. */
  #sweepBack(last: number): void {
    if (this.#load((last + 1) % this.#words) !== EMPTY) return;
    for (let at = last; this.#load(at) === TOMBSTONE; at = (at + this.#words - 1) % this.#words) {
      this.#store(at, EMPTY);
      this.#tombstones--;
    }
  }

  #placeOf(hash: number, row: number): number | undefined {
    for (let step = 0; step < this.#words; step++) {
      const at = this.#slot(hash, step);
      const value = this.#load(at);
      if (value === row + 1) return at;
      if (value === EMPTY) break;
    }
    return undefined;
  }

  #slot(hash: number, step: number): number {
    return (hash + step) % this.#words;
  }

  #load(at: number): number {
    return this.#region.loadU32(this.#base + (HEAD_WORDS + at) * this.#region.layout.sizes.indexSlot);
  }

  #store(at: number, value: number): void {
    this.#region.storeU32(this.#base + (HEAD_WORDS + at) * this.#region.layout.sizes.indexSlot, value);
  }
}

import { createHmac } from 'node:crypto';
import { clientKey } from './ip-bytes.js';
import type { SharedRegion } from './shared-region.js';

export type ClientCell = 'connections' | 'sessions';

/** Addresses whose bucket is remembered; the keyed hash costs more than the rest of a count. */
const MAX_KNOWN = 16_384;

/**
 * What each client address has open, counted over all workers: each worker writes its own column. Addresses share a
 * bucket where their keyed hashes meet, so a count may be too high, never too low.
 */
export class ClientCells {
  readonly #region: SharedRegion;
  readonly #worker: number;
  readonly #key: Buffer;
  readonly #everybody: number;
  readonly #known = new Map<string, number>();

  constructor(region: SharedRegion, worker: number) {
    this.#region = region;
    this.#worker = worker;
    this.#key = Buffer.alloc(4);
    this.#key.writeUInt32LE(region.loadU32(region.layout.header.clientSeed));
    this.#everybody = region.layout.limits.clientBuckets;
  }

  /** A successor of a worker begins with an empty column, and counts what it adopts. */
  clear(): void {
    const { client } = this.#region.layout;
    for (let bucket = 0; bucket <= this.#everybody; bucket++) {
      const cell = this.#region.clientAt(bucket, this.#worker);
      this.#region.storeU32(cell + client.connections, 0);
      this.#region.storeU32(cell + client.sessions, 0);
    }
  }

  add(what: ClientCell, ip: string, change: 1 | -1): void {
    this.#addTo(this.#bucketOf(ip), what, change);
    this.#addTo(this.#everybody, what, change);
  }

  /** Of this address, and of those that share its bucket. */
  count(what: ClientCell, ip: string): number {
    return this.#sum(this.#bucketOf(ip), what);
  }

  total(what: ClientCell): number {
    return this.#sum(this.#everybody, what);
  }

  // The cells are unsigned: one report too many must not turn into four thousand million sessions.
  #addTo(bucket: number, what: ClientCell, change: 1 | -1): void {
    const cell = this.#region.clientAt(bucket, this.#worker) + this.#region.layout.client[what];
    this.#region.storeU32(cell, Math.max(0, this.#region.loadU32(cell) + change));
  }

  #sum(bucket: number, what: ClientCell): number {
    let sum = 0;
    for (let worker = 0; worker < this.#region.geometry.workers; worker++) {
      sum += this.#region.loadU32(this.#region.clientAt(bucket, worker) + this.#region.layout.client[what]);
    }
    return sum;
  }

  #bucketOf(ip: string): number {
    const known = this.#known.get(ip);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const bucket = this.#hash(ip);
    this.#known.set(ip, bucket);
    return bucket;
  }

  #hash(ip: string): number {
    return createHmac('sha256', this.#key).update(clientKey(ip)).digest().readUInt32LE() % this.#everybody;
  }
}

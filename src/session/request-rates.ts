import { clientKey } from '../engine/ip-bytes.js';

interface Bucket {
  tokens: number;
  thenMs: number;
}

/** Clients whose bucket is kept; those of the longest silence, which are full again, go first. */
const MAX_BUCKETS = 16_384;

/** A bucket for each client: so many requests a second, and as many at once. Of one worker. */
export class RequestRates {
  readonly #rate: () => number;
  readonly #now: () => number;
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>();

  /** `rate`: requests per second, 0 = no limit. `now`: milliseconds. */
  constructor(rate: () => number, now: () => number) {
    this.#rate = rate;
    this.#now = now;
  }

  /** Whether one more request of that address may be. One that may not costs nothing. */
  take(ip: string): boolean {
    const rate = this.#rate();
    if (rate === 0) return true;
    const bucket = this.#refilled(clientKey(ip), rate);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #refilled(client: string, rate: number): Bucket {
    const nowMs = this.#now();
    const bucket = this.#buckets.get(client) ?? { tokens: rate, thenMs: nowMs };
    bucket.tokens = Math.min(rate, bucket.tokens + ((nowMs - bucket.thenMs) / 1_000) * rate);
    bucket.thenMs = nowMs;
    this.#buckets.delete(client);
    this.#buckets.set(client, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

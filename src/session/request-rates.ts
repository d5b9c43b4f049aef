interface Bucket {
  tokens: number;
  thenMs: number;
}

/** Clients whose bucket is kept; those of the longest silence, which are full again, go first. */
const MAX_BUCKETS = 16_384;

/** A bucket for each client: so many requests a second, and as many at once. Of one worker. */
export class RequestRates {
  readonly #perSecond: number;
  readonly #now: () => number;
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>();

  /** 0 = no limit. `now`: milliseconds. */
  constructor(perSecond: number, now: () => number) {
    this.#perSecond = perSecond;
    this.#now = now;
  }

  /** Whether one more request may be. One that may not costs nothing. */
  take(client: string): boolean {
    if (this.#perSecond === 0) return true;
    const bucket = this.#refilled(client);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  #refilled(client: string): Bucket {
    const nowMs = this.#now();
    const bucket = this.#buckets.get(client) ?? { tokens: this.#perSecond, thenMs: nowMs };
    bucket.tokens = Math.min(this.#perSecond, bucket.tokens + ((nowMs - bucket.thenMs) / 1_000) * this.#perSecond);
    bucket.thenMs = nowMs;
    this.#buckets.delete(client);
    this.#buckets.set(client, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}

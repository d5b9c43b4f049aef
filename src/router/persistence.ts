import type { RouteKey } from './balancer/balancer.js';

/** Long enough for a player that describes first and plays on a second connection, or that asks its user for a password. */
const TTL_MS = 10_000;
const CAPACITY = 4096;

/** What one worker tells the others, so that the next connection of the client may reach any of them. Plain data. */
export type RecentNews =
  | { readonly kind: 'kept'; readonly id: string; readonly key: string; readonly service: number }
  | { readonly kind: 'taken'; readonly id: string };

export interface RecentOptions {
  /** Monotonic milliseconds. */
  now: () => number;
  /** Makes the ids of this worker's entries unique. */
  worker: number;
  /** Carries news to the other workers, who give it to `hear`. */
  tell?: (news: RecentNews) => void;
  ttlMs?: number;
  /** Entries in all; the oldest gives way. */
  capacity?: number;
}

interface Entry {
  readonly id: string;
  readonly key: string;
  readonly service: number;
  readonly expires: number;
}

/**
 * Recent affinity: a client whose connection closed before it had a session will be back at once for the same URL
 * (players that look first and play on a second connection; a 401 whose nonce only one server knows). Each entry
 * serves one connection, the oldest first: many clients behind one address may have several for one URL.
 */
export class RecentAffinity {
  readonly #options: Required<Omit<RecentOptions, 'tell'>>;
  readonly #tell: (news: RecentNews) => void;
  // All live equally long, so the order of insertion is the order of expiry, in both maps.
  readonly #byId = new Map<string, Entry>();
  readonly #byKey = new Map<string, Entry[]>();
  #made = 0;

  constructor({ now, worker, tell = () => {}, ttlMs = TTL_MS, capacity = CAPACITY }: RecentOptions) {
    this.#options = { now, worker, ttlMs, capacity };
    this.#tell = tell;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** `service` is the index of the service that the closed connection was bound to. */
  remember(vserver: string, key: RouteKey, service: number): void {
    const id = `${this.#options.worker}.${this.#made++}`;
    const entry = { kind: 'kept', id, key: keyText(vserver, key), service } as const;
    this.#keep(entry.id, entry.key, entry.service);
    this.#tell(entry);
  }

  /** The service that this client used for this URL a moment ago, once. */
  take(vserver: string, key: RouteKey): number | undefined {
    this.#expire();
    const entry = this.#byKey.get(keyText(vserver, key))?.[0];
    if (!entry) return undefined;
    this.#drop(entry);
    this.#tell({ kind: 'taken', id: entry.id });
    return entry.service;
  }

  /** News from another worker. */
  hear(news: RecentNews): void {
    const known = this.#byId.get(news.id);
    if (news.kind === 'kept') this.#keep(news.id, news.key, news.service);
    else if (known) this.#drop(known);
  }

  #keep(id: string, key: string, service: number): void {
    const known = this.#byId.get(id);
    if (known) this.#drop(known);
    const entry = { id, key, service, expires: this.#options.now() + this.#options.ttlMs };
    this.#byId.set(id, entry);
    const same = this.#byKey.get(key);
    if (same) same.push(entry);
    else this.#byKey.set(key, [entry]);
    this.#expire();
  }

  #expire(): void {
    const now = this.#options.now();
    for (const entry of this.#byId.values()) {
      if (entry.expires > now && this.#byId.size <= this.#options.capacity) return;
      this.#drop(entry);
    }
  }

  #drop(entry: Entry): void {
    this.#byId.delete(entry.id);
    const same = this.#byKey.get(entry.key) ?? [];
    same.splice(same.indexOf(entry), 1);
    if (same.length === 0) this.#byKey.delete(entry.key);
  }
}

function keyText(vserver: string, key: RouteKey): string {
  return `${vserver} ${key.clientIp} ${key.path}`;
}

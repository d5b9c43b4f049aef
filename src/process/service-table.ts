import { isSameServer } from '../config/reload.js';
import type { Config } from '../config/types.js';
import { PenstockError } from '../errors.js';
import type { ServicePlace } from '../router/farm.js';

/** A row rests so long before another service gets it: nothing that was under way for the former one counts for it. */
export const ROW_REST_MS = 60_000;

export interface ServiceTableOptions {
  /** Rows. */
  capacity: number;
  /** What a predecessor's rows stand for; see `names`. */
  former?: readonly string[];
  /** Monotonic milliseconds. */
  now(): number;
}

/**
 * Which service each row of the service table stands for. A service keeps its row as long as it is in the
 * configuration, and one that is not any more as long as it has sessions.
 */
export class ServiceTable {
  readonly #capacity: number;
  readonly #now: () => number;
  #places: readonly ServicePlace[];
  /** When rows became free that were used before. */
  readonly #freed = new Map<number, number>();

  constructor(config: Config, { capacity, former = [], now }: ServiceTableOptions) {
    this.#capacity = capacity;
    this.#now = now;
    const rowOf = (name: string) => (former.includes(name) ? former.indexOf(name) : undefined);
    this.#places = wanted(config).map((place, index) => ({ ...place, row: rowOf(nameOf(place)) ?? index }));
  }

  /** By row. A change of the table makes new ones. */
  get places(): readonly ServicePlace[] {
    return this.#places;
  }

  /** One text per row, the same for the same service in every version; '' for a free row. */
  names(): string[] {
    const last = Math.max(-1, ...this.#places.map(({ row }) => row));
    const names = new Array<string>(last + 1).fill('');
    for (const place of this.#places) names[place.row] = nameOf(place);
    return names;
  }

  /** Takes over the services of a configuration. Throws PENSTOCK_ERR_CONFIG if there are not so many rows. */
  update(config: Config): void {
    const rows = new Set(this.#places.map(({ row }) => row));
    const placed = wanted(config).map((place) => {
      const known = this.#places.find((other) => isSamePlace(place, other));
      const row = known?.row ?? this.#freeRow(rows);
      rows.add(row);
      return { ...place, row };
    });
    const kept = new Set(placed.map(({ row }) => row));
    const left = this.#places.filter(({ row }) => !kept.has(row)).map((place) => ({ ...place, leaving: true }));
    for (const row of kept) this.#freed.delete(row);
    this.#places = [...placed, ...left].sort((a, b) => a.row - b.row);
  }

  /** A service that was leaving is gone. */
  free(row: number): void {
    this.#places = this.#places.filter((place) => place.row !== row);
    this.#freed.set(row, this.#now());
  }

  /** Rows that were never used go first. */
  #freeRow(taken: ReadonlySet<number>): number {
    const rested = this.#now() - ROW_REST_MS;
    const free = Array.from({ length: this.#capacity }, (_, row) => row).filter((row) => !taken.has(row));
    const row = free.find((row) => !this.#freed.has(row)) ?? free.find((row) => (this.#freed.get(row) ?? 0) <= rested);
    if (row !== undefined) return row;
    throw new PenstockError(
      'PENSTOCK_ERR_CONFIG',
      `the table of services has ${this.#capacity} rows, and none is left for a new one; a restart makes more`,
    );
  }
}

export function nameOf({ service: { name, ip, port } }: Pick<ServicePlace, 'service'>): string {
  return `${name} ${ip} ${port}`;
}

function wanted(config: Config): Omit<ServicePlace, 'row'>[] {
  return config.vservers.flatMap(({ services }, vserver) =>
    services.map((service) => ({ vserver, service, leaving: false })),
  );
}

function isSamePlace(a: Omit<ServicePlace, 'row'>, b: Omit<ServicePlace, 'row'>): boolean {
  return a.vserver === b.vserver && isSameServer(a.service, b.service);
}

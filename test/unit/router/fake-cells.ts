import { Service } from '../../../src/router/service.js';
import type { OwnCell, ServiceCells, ServiceStateName } from '../../../src/router/service-cells.js';

type Column = Record<OwnCell, number>;

interface Row {
  state: ServiceStateName;
  weight: number;
  maxSessions: number;
  columns: Column[];
}

/** The service table of a region, and how each worker sees it: its own column always, the others maybe late. */
export class FakeRegion {
  readonly rows: Row[];
  readonly workers: number;
  /** What a worker that lags still sees of the others. */
  readonly #stale = new Map<number, Column[][]>();

  constructor(weights: readonly number[], workers = 1) {
    this.workers = workers;
    this.rows = weights.map((weight) => ({
      state: 'up',
      weight,
      maxSessions: 0,
      columns: Array.from({ length: workers }, emptyColumn),
    }));
  }

  /** From now on the worker sees the others as they are now. */
  freeze(worker: number): void {
    const columns = this.rows.map((row) => row.columns.map((column) => ({ ...column })));
    this.#stale.set(worker, columns);
  }

  thaw(worker: number): void {
    this.#stale.delete(worker);
  }

  row(service: number): Row {
    const row = this.rows[service];
    if (!row) throw new RangeError(`no service ${service}`);
    return row;
  }

  sum(service: number, cell: OwnCell): number {
    return this.row(service).columns.reduce((sum, column) => sum + column[cell], 0);
  }

  cells(worker = 0): ServiceCells {
    const seen = (service: number, cell: OwnCell) => {
      const stale = this.#stale.get(worker)?.[service];
      return this.row(service)
        .columns.map((column, at) => (at === worker ? column : (stale?.[at] ?? column))[cell])
        .reduce((a, b) => a + b, 0);
    };
    const own = (service: number) => this.row(service).columns[worker] ?? emptyColumn();
    return {
      state: (service) => this.row(service).state,
      weight: (service) => this.row(service).weight,
      maxSessions: (service) => this.row(service).maxSessions,
      load: (service) => seen(service, 'sessions') + seen(service, 'pending'),
      turns: (service) => seen(service, 'turns'),
      own: (service, cell) => own(service)[cell],
      setOwn: (service, cell, value) => {
        own(service)[cell] = value;
      },
    };
  }

  /** The services as `worker` sees them. */
  services(worker = 0): Service[] {
    const cells = this.cells(worker);
    return this.rows.map(
      (_, index) => new Service({ index, name: `cam-${index}`, ip: `10.0.0.${index + 1}`, port: 554 }, cells),
    );
  }
}

function emptyColumn(): Column {
  return {
    sessions: 0,
    pending: 0,
    connectFailures: 0,
    refusedSetups: 0,
    sessionsTotal: 0,
    requestsTotal: 0,
    turns: 0,
  };
}

/** A small generator that gives 0 ≤ x < 1, the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

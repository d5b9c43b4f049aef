import type { OwnCell, ServiceCells, ServiceStateName } from '../router/service-cells.js';
import { monotonicMs } from './monotonic.js';
import type { SharedRegion } from './shared-region.js';

/** The service table of the region as one worker sees it: all columns to read, its own to write. */
export class RegionServiceCells implements ServiceCells {
  readonly #region: SharedRegion;
  readonly #worker: number;

  constructor(region: SharedRegion, worker: number) {
    this.#region = region;
    this.#worker = worker;
  }

  state(service: number): ServiceStateName {
    return readState(this.#region, service);
  }

  weight(service: number): number {
    return this.#region.loadU32(this.#region.serviceAt(service) + this.#region.layout.service.weight);
  }

  maxSessions(service: number): number {
    return this.#region.loadU32(this.#region.serviceAt(service) + this.#region.layout.service.maxSessions);
  }

  load(service: number): number {
    return sumOverWorkers(this.#region, service, 'sessions') + sumOverWorkers(this.#region, service, 'pending');
  }

  turns(service: number): number {
    return sumOverWorkers(this.#region, service, 'turns');
  }

  own(service: number, cell: OwnCell): number {
    return readCell(this.#region, service, this.#worker, cell);
  }

  setOwn(service: number, cell: OwnCell, value: number): void {
    const offset = this.#region.loadAt(service, this.#worker) + this.#region.layout.load[cell];
    CELL_TYPES[cell].set(this.#region, offset, value);
  }
}

export interface ServiceRow {
  state: ServiceStateName;
  weight: number;
  maxSessions: number;
  /** Times the state changed. */
  changes: number;
  /** Monotonic milliseconds of the last change. */
  changedMs: number;
}

/** The primary's side of the service table. */
export class ServiceRows {
  readonly #region: SharedRegion;
  readonly #now: () => number;

  constructor(region: SharedRegion, now: () => number = monotonicMs) {
    this.#region = region;
    this.#now = now;
  }

  read(service: number): ServiceRow {
    const row = this.#region.serviceAt(service);
    const cells = this.#region.layout.service;
    return {
      state: readState(this.#region, service),
      weight: this.#region.loadU32(row + cells.weight),
      maxSessions: this.#region.loadU32(row + cells.maxSessions),
      changes: this.#region.loadU32(row + cells.changes),
      changedMs: this.#region.getF64(row + cells.changedMs),
    };
  }

  /** A service gets a row that was free: no worker has it, so their columns may be written. */
  begin(service: number, { weight, maxSessions }: Pick<ServiceRow, 'weight' | 'maxSessions'>): void {
    const { workers } = this.#region.geometry;
    for (let worker = 0; worker < workers; worker++) {
      this.#region.clear(this.#region.loadAt(service, worker), this.#region.layout.sizes.load);
    }
    this.setState(service, 'unknown');
    this.setWeight(service, weight);
    this.setMaxSessions(service, maxSessions);
  }

  /** Sum of a cell over all workers. */
  total(service: number, cell: OwnCell): number {
    return sumOverWorkers(this.#region, service, cell);
  }

  /** A state that is already so is no change. */
  setState(service: number, state: ServiceStateName): void {
    const row = this.#region.serviceAt(service);
    const { service: cells, serviceState } = this.#region.layout;
    if (this.#region.loadU32(row + cells.state) === serviceState[state]) return;
    this.#region.setF64(row + cells.changedMs, this.#now());
    this.#region.addU32(row + cells.changes, 1);
    this.#region.storeU32(row + cells.state, serviceState[state]);
  }

  setWeight(service: number, weight: number): void {
    this.#region.storeU32(this.#region.serviceAt(service) + this.#region.layout.service.weight, weight);
  }

  setMaxSessions(service: number, sessions: number): void {
    this.#region.storeU32(this.#region.serviceAt(service) + this.#region.layout.service.maxSessions, sessions);
  }
}

interface CellType {
  get(region: SharedRegion, offset: number): number;
  set(region: SharedRegion, offset: number, value: number): void;
}

const U32: CellType = {
  get: (region, offset) => region.loadU32(offset),
  set: (region, offset, value) => region.storeU32(offset, value),
};
const U64: CellType = {
  get: (region, offset) => region.getU64(offset),
  set: (region, offset, value) => region.setU64(offset, value),
};
const F64: CellType = {
  get: (region, offset) => region.getF64(offset),
  set: (region, offset, value) => region.setF64(offset, value),
};

const CELL_TYPES: Record<OwnCell, CellType> = {
  sessions: U32,
  pending: U32,
  connectFailures: U32,
  refusedSetups: U32,
  sessionsTotal: U64,
  requestsTotal: U64,
  turns: F64,
};

function readCell(region: SharedRegion, service: number, worker: number, cell: OwnCell): number {
  return CELL_TYPES[cell].get(region, region.loadAt(service, worker) + region.layout.load[cell]);
}

function sumOverWorkers(region: SharedRegion, service: number, cell: OwnCell): number {
  let sum = 0;
  for (let worker = 0; worker < region.geometry.workers; worker++) sum += readCell(region, service, worker, cell);
  return sum;
}

function readState(region: SharedRegion, service: number): ServiceStateName {
  const { service: cells, serviceState } = region.layout;
  const found = region.loadU32(region.serviceAt(service) + cells.state);
  const names = Object.keys(serviceState) as ServiceStateName[];
  return names.find((name) => serviceState[name] === found) ?? 'unknown';
}

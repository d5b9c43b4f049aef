import type { Layout } from './layout.js';
import { monotonicMs } from './monotonic.js';
import { ENGINE_SLOT, PRIMARY_SLOT, type SharedRegion } from './shared-region.js';

export type ProcessStateName = keyof Layout['processState'];

export interface ProcessInfo {
  slot: number;
  /** `primary`, `engine`, `worker 0`… */
  name: string;
  pid: number;
  state: ProcessStateName;
  /** Starts of this slot; 1 = never restarted. */
  epoch: number;
  /** Open client connections. */
  connections: number;
  /** Monotonic milliseconds. */
  startedMs: number;
  heartbeatMs: number;
  rssBytes: number;
  /** User and system time, microseconds. */
  cpuUs: number;
}

/** A process's own slot in the region. Making one enters the process: pid, epoch, state `starting`. */
export class ProcessSlot {
  readonly #region: SharedRegion;
  readonly #row: number;
  readonly #now: () => number;

  constructor(region: SharedRegion, slot: number, now: () => number = monotonicMs) {
    this.#region = region;
    this.#row = region.processAt(slot);
    this.#now = now;
    const cells = region.layout.process;
    region.storeU32(this.#row + cells.pid, process.pid);
    region.addU32(this.#row + cells.epoch, 1);
    region.storeU32(this.#row + cells.connections, 0);
    region.setF64(this.#row + cells.startedMs, now());
    this.setState('starting');
    this.beat();
  }

  setState(state: ProcessStateName): void {
    const { process: cells, processState } = this.#region.layout;
    this.#region.storeU32(this.#row + cells.state, processState[state]);
  }

  setConnections(connections: number): void {
    this.#region.storeU32(this.#row + this.#region.layout.process.connections, connections);
  }

  /** Called on a timer: still alive, and at what cost. */
  beat(): void {
    const cells = this.#region.layout.process;
    const { user, system } = process.cpuUsage();
    this.#region.setU64(this.#row + cells.rssBytes, process.memoryUsage.rss());
    this.#region.setU64(this.#row + cells.cpuUs, user + system);
    this.#region.setF64(this.#row + cells.heartbeatMs, this.#now());
  }
}

export function readProcess(region: SharedRegion, slot: number): ProcessInfo {
  const row = region.processAt(slot);
  const cells = region.layout.process;
  return {
    slot,
    name: slotName(slot),
    pid: region.loadU32(row + cells.pid),
    state: stateName(region, region.loadU32(row + cells.state)),
    epoch: region.loadU32(row + cells.epoch),
    connections: region.loadU32(row + cells.connections),
    startedMs: region.getF64(row + cells.startedMs),
    heartbeatMs: region.getF64(row + cells.heartbeatMs),
    rssBytes: region.getU64(row + cells.rssBytes),
    cpuUs: region.getU64(row + cells.cpuUs),
  };
}

/** Every slot, the empty ones too: primary, engine, workers. */
export function readProcesses(region: SharedRegion): ProcessInfo[] {
  const slots = ENGINE_SLOT + 1 + region.geometry.workers;
  return Array.from({ length: slots }, (_, slot) => readProcess(region, slot));
}

function slotName(slot: number): string {
  if (slot === PRIMARY_SLOT) return 'primary';
  return slot === ENGINE_SLOT ? 'engine' : `worker ${slot - ENGINE_SLOT - 1}`;
}

function stateName(region: SharedRegion, value: number): ProcessStateName {
  const { processState } = region.layout;
  return (Object.keys(processState) as ProcessStateName[]).find((name) => processState[name] === value) ?? 'empty';
}

import { PenstockError } from '../errors.js';
import type { Layout } from './layout.js';

/** How many rows of each kind the region has. */
export interface Geometry {
  workers: number;
  engineThreads: number;
  services: number;
  sessionsPerWorker: number;
  streamsPerWorker: number;
  /** Words of a slice's hash index, a power of two. */
  indexPerWorker: number;
  /** Slots of each ring, a power of two. */
  ringSlots: number;
  wiresPerWorker: number;
  /** Bytes of each inbox and outbox, a power of two. */
  wireRingBytes: number;
}

/** The slots of the process table before those of the workers. */
export const PRIMARY_SLOT = 0;
export const ENGINE_SLOT = 1;
const FIRST_WORKER_SLOT = 2;

const HIGH_WORD = 2 ** 32;

export function workerSlot(worker: number): number {
  return FIRST_WORKER_SLOT + worker;
}

/**
 * The region as JavaScript sees it: typed access by byte offset, and the byte offset of each row.
 * Every offset comes from the addon's layout. An index out of range throws a RangeError, never
 * reaches a foreign row. `load` and `store` are atomic and ordered, `get` and `set` are plain.
 */
export class SharedRegion {
  readonly memory: SharedArrayBuffer;
  readonly layout: Layout;
  readonly geometry: Geometry;
  readonly #bytes: Buffer;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #f64: Float64Array;
  readonly #parts: Parts;

  /** Throws PENSTOCK_ERR_ADDON where the memory holds no region of this layout. */
  constructor(memory: SharedArrayBuffer, layout: Layout) {
    this.memory = memory;
    this.layout = layout;
    this.#bytes = Buffer.from(memory);
    this.#u16 = new Uint16Array(memory);
    this.#u32 = new Uint32Array(memory);
    this.#f64 = new Float64Array(memory);
    this.#checkHeader();
    this.geometry = this.#readGeometry();
    this.#parts = this.#readParts();
  }

  // ---- cells; offsets in bytes from the start of the region, aligned to the width

  getU8(offset: number): number {
    return this.#bytes[offset] ?? 0;
  }

  setU8(offset: number, value: number): void {
    this.#bytes[offset] = value;
  }

  getU16(offset: number): number {
    return this.#u16[offset >>> 1] ?? 0;
  }

  setU16(offset: number, value: number): void {
    this.#u16[offset >>> 1] = value;
  }

  getU32(offset: number): number {
    return this.#u32[offset / 4] ?? 0;
  }

  setU32(offset: number, value: number): void {
    this.#u32[offset / 4] = value;
  }

  loadU32(offset: number): number {
    return Atomics.load(this.#u32, offset / 4);
  }

  storeU32(offset: number, value: number): void {
    Atomics.store(this.#u32, offset / 4, value);
  }

  /** Sleeps while the cell holds `value`, for `ms` at most: gives the processor to whoever will change it. */
  waitU32(offset: number, value: number, ms: number): void {
    // The views are unsigned, Atomics.wait wants Int32Array over the same cell.
    Atomics.wait(new Int32Array(this.memory, offset, 1), 0, value | 0, ms);
  }

  getF64(offset: number): number {
    return this.#f64[offset / 8] ?? 0;
  }

  setF64(offset: number, value: number): void {
    this.#f64[offset / 8] = value;
  }

  /** A 64-bit count as a number, exact up to 2^53. Safe beside a writer that goes on counting. */
  getU64(offset: number): number {
    for (;;) {
      const high = this.loadU32(offset + 4);
      const low = this.loadU32(offset);
      if (this.loadU32(offset + 4) === high) return high * HIGH_WORD + low;
    }
  }

  setU64(offset: number, value: number): void {
    this.storeU32(offset + 4, Math.floor(value / HIGH_WORD));
    this.storeU32(offset, value % HIGH_WORD);
  }

  /** Adds to a count that only the caller writes. */
  addU64(offset: number, count: number): void {
    this.setU64(offset, this.getU64(offset) + count);
  }

  /** Adds to a count that only the caller writes. */
  addU32(offset: number, count: number): void {
    this.storeU32(offset, this.loadU32(offset) + count);
  }

  /** The bytes themselves, not a copy. */
  bytes(offset: number, length: number): Buffer {
    return this.#bytes.subarray(offset, offset + length);
  }

  /** Offset and length are multiples of 4. */
  clear(offset: number, length: number): void {
    this.#u32.fill(0, offset / 4, (offset + length) / 4);
  }

  // ---- rows

  sessionAt(session: number): number {
    const { workers, sessionsPerWorker } = this.geometry;
    return row('session', this.#parts.sessions, this.layout.sizes.session, session, workers * sessionsPerWorker);
  }

  streamAt(stream: number): number {
    const { workers, streamsPerWorker } = this.geometry;
    return row('stream', this.#parts.streams, this.layout.sizes.stream, stream, workers * streamsPerWorker);
  }

  wireAt(wire: number): number {
    const { workers, wiresPerWorker } = this.geometry;
    return row('wire', this.#parts.wires, this.layout.sizes.wire, wire, workers * wiresPerWorker);
  }

  /** The control half of a leg. */
  legAt(stream: number, leg: number): number {
    const legs = this.streamAt(stream) + this.layout.stream.legs;
    return row('leg', legs, this.layout.sizes.leg, leg, this.layout.limits.legsPerStream);
  }

  /** The data half of a leg. */
  legDataAt(stream: number, leg: number): number {
    const data = this.streamAt(stream) + this.layout.stream.data;
    return row('leg', data, this.layout.sizes.legData, leg, this.layout.limits.legsPerStream);
  }

  /** The hash index of a worker's session slice: `geometry.indexPerWorker` words. */
  indexAt(worker: number): number {
    const { workers, indexPerWorker } = this.geometry;
    return row('worker', this.#parts.index, indexPerWorker * this.layout.sizes.indexSlot, worker, workers);
  }

  serviceAt(service: number): number {
    return row('service', this.#parts.services, this.layout.sizes.service, service, this.geometry.services);
  }

  loadAt(service: number, worker: number): number {
    const { services, workers } = this.geometry;
    const size = this.layout.sizes.load;
    const first = row('service', this.#parts.loads, workers * size, service, services);
    return row('worker', first, size, worker, workers);
  }

  /** The bucket after the last one is everybody. */
  clientAt(bucket: number, worker: number): number {
    const { limits, sizes } = this.layout;
    const { workers } = this.geometry;
    const first = row('bucket', this.#parts.clients, workers * sizes.client, bucket, limits.clientBuckets + 1);
    return row('worker', first, sizes.client, worker, workers);
  }

  processAt(slot: number): number {
    const slots = FIRST_WORKER_SLOT + this.geometry.workers;
    return row('process', this.#parts.processes, this.layout.sizes.process, slot, slots);
  }

  eventRingAt(worker: number, thread: number): number {
    const { ring, event } = this.layout.sizes;
    return this.#ringAt(this.#parts.eventRings, ring + this.geometry.ringSlots * event, worker, thread);
  }

  commandRingAt(worker: number, thread: number): number {
    const { ring, command } = this.layout.sizes;
    return this.#ringAt(this.#parts.commandRings, ring + this.geometry.ringSlots * command, worker, thread);
  }

  /** The counter block of an engine thread. */
  countersAt(thread: number): number {
    return row('thread', this.#parts.counters, this.layout.sizes.counters, thread, this.geometry.engineThreads);
  }

  #ringAt(part: number, size: number, worker: number, thread: number): number {
    const { workers, engineThreads } = this.geometry;
    const first = row('worker', part, engineThreads * size, worker, workers);
    return row('thread', first, size, thread, engineThreads);
  }

  #checkHeader(): void {
    const { header, sizes, version } = this.layout;
    if (this.memory.byteLength < sizes.header) throw notARegion('it is smaller than its header');
    const found = this.getU32(header.layoutVersion);
    if (found !== version) throw notARegion(`expected layout version ${version}, found ${found}`);
    const size = this.getU64(header.size);
    if (size > this.memory.byteLength) throw notARegion(`${size} bytes, of which ${this.memory.byteLength} are mapped`);
  }

  #readGeometry(): Geometry {
    const { header } = this.layout;
    return {
      workers: this.getU32(header.workers),
      engineThreads: this.getU32(header.engineThreads),
      services: this.getU32(header.services),
      sessionsPerWorker: this.getU32(header.sessionsPerWorker),
      streamsPerWorker: this.getU32(header.streamsPerWorker),
      indexPerWorker: this.getU32(header.indexPerWorker),
      ringSlots: this.getU32(header.ringSlots),
      wiresPerWorker: this.getU32(header.wiresPerWorker),
      wireRingBytes: this.getU32(header.wireRingBytes),
    };
  }

  #readParts(): Parts {
    const { header } = this.layout;
    return {
      processes: this.getU64(header.processesOffset),
      services: this.getU64(header.servicesOffset),
      loads: this.getU64(header.loadsOffset),
      clients: this.getU64(header.clientsOffset),
      sessions: this.getU64(header.sessionsOffset),
      index: this.getU64(header.indexOffset),
      streams: this.getU64(header.streamsOffset),
      commandRings: this.getU64(header.commandRingsOffset),
      eventRings: this.getU64(header.eventRingsOffset),
      wires: this.getU64(header.wiresOffset),
      counters: this.getU64(header.countersOffset),
    };
  }
}

/** Where each part begins. */
type Parts = Record<
  | 'processes'
  | 'services'
  | 'loads'
  | 'clients'
  | 'sessions'
  | 'index'
  | 'streams'
  | 'commandRings'
  | 'eventRings'
  | 'wires'
  | 'counters',
  number
>;

function row(what: string, part: number, size: number, index: number, count: number): number {
  if (Number.isInteger(index) && index >= 0 && index < count) return part + index * size;
  throw new RangeError(`${what} must be an integer 0…${count - 1}, got ${index}`);
}

function notARegion(why: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_ADDON', `the shared region cannot be used: ${why}`);
}

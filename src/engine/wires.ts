import { randomInt } from 'node:crypto';
import { PenstockError } from '../errors.js';
import type { InboxRecord, NativeBinding, OutboxRecord } from './binding.js';
import type { Layout } from './layout.js';
import type { SharedRegion } from './shared-region.js';
import { Wire, type WireEnd, type WireFault, type WirePort } from './wire.js';
import { WireRow, type WireSpec, type WireView } from './wire-rows.js';

/** Records taken from one ring in a turn, so that a flood cannot hold a worker. */
const MAX_PER_TURN = 256;
const MAX_TOKEN = 2 ** 32 - 1;
/** How soon records that found their ring full are tried again. */
const RETRY_MS = 2;

export interface WiresOptions {
  binding: Pick<NativeBinding, 'outboxPush' | 'inboxRead' | 'handOverWire' | 'watchWake' | 'wake'>;
  region: SharedRegion;
  worker: number;
  vaultFd: number;
  /** One eventfd per engine thread. */
  wakeFds: readonly number[];
  /** Written by the engine when an inbox holds something. */
  inboxFd: number;
  now(): number;
}

/**
 * The wires of one worker: its slice of the wire table, and the rings between it and the engine threads. Making one
 * adopts the slice. Nothing here blocks: what a ring has no room for waits in order.
 */
export class Wires implements WirePort {
  readonly recordKind: Layout['recordKind'];
  readonly token = randomInt(1, MAX_TOKEN);
  /** Of a predecessor, still open; each is started by whoever takes it. */
  readonly adopted: Wire[] = [];
  readonly #options: WiresOptions;
  readonly #open = new Map<number, Wire>();
  readonly #closing = new Map<number, Wire>();
  readonly #free: number[] = [];
  /** By thread: records that found their ring full. */
  readonly #late: OutboxRecord[][];
  readonly #toWake = new Set<number>();
  readonly #kinds: Map<number, keyof Layout['recordKind']>;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: WiresOptions) {
    this.#options = options;
    const { layout, geometry } = options.region;
    this.recordKind = layout.recordKind;
    this.#kinds = new Map(
      Object.entries(layout.recordKind).map(([name, value]) => [value, name as keyof Layout['recordKind']]),
    );
    this.#late = Array.from({ length: geometry.engineThreads }, () => []);
    const first = options.worker * geometry.wiresPerWorker;
    for (let slot = first + geometry.wiresPerWorker - 1; slot >= first; slot--) this.#adopt(slot);
    options.binding.watchWake(options.inboxFd, () => this.drain());
  }

  get size(): number {
    return this.#open.size;
  }

  /** Whether `count` more can be opened, a client's of that thread among them if one is given. */
  hasRoom(count: number, thread?: number): boolean {
    const fits = thread === undefined || this.#free.some((slot) => this.#threadOf(slot) === thread);
    return fits && this.#free.length >= count;
  }

  /** The thread of a client's wire that is opened next; those of its upstreams have the same. */
  nextThread(): number {
    return this.#threadOf(this.#free.at(-1) ?? 0);
  }

  /** Gives a TCP connection to the engine; `fd` is closed on success. Throws PENSTOCK_ERR_TABLE_FULL, or when the vault is gone. */
  open(spec: WireSpec, fd: number): Wire {
    const { binding, region, vaultFd, now } = this.#options;
    const slot = this.#take(spec);
    if (slot === undefined) throw new PenstockError('PENSTOCK_ERR_TABLE_FULL', 'no free row in the wire table');
    const row = new WireRow(region, slot);
    const { generation } = row.open(spec, now());
    try {
      binding.handOverWire(vaultFd, slot, generation, fd);
    } catch (error) {
      row.setState('free');
      this.#free.push(slot);
      throw error;
    }
    const wire = new Wire(this, row, row.read() as WireView, 1);
    this.#open.set(slot, wire);
    return wire;
  }

  /** The row of an interleaved stream whose frames wires carry was opened, changed or closed. */
  streamChanged(thread: number, stream: number, generation: number): void {
    this.say(thread, { kind: this.recordKind.stream, wire: stream, generation });
  }

  say(thread: number, record: OutboxRecord): void {
    const late = this.#late[thread] as OutboxRecord[];
    if (late.length > 0 || !this.#options.binding.outboxPush(this.#options.worker, thread, record)) {
      late.push(record);
      this.#retry ??= setTimeout(() => this.#flush(), RETRY_MS);
    }
    this.#wake(thread);
  }

  unsayWrites(wire: number): void {
    const { write, shutdown } = this.recordKind;
    for (const [thread, late] of this.#late.entries()) {
      this.#late[thread] = late.filter(({ kind, wire: of }) => of !== wire || (kind !== write && kind !== shutdown));
    }
  }

  closing(wire: Wire): void {
    this.#open.delete(wire.slot);
    this.#closing.set(wire.slot, wire);
  }

  /** Hears what the engine has to say. */
  drain(): void {
    const { binding, worker } = this.#options;
    let more = false;
    for (const thread of this.#late.keys()) {
      const records = binding.inboxRead(worker, thread, MAX_PER_TURN);
      for (const record of records) this.#hear(record);
      more ||= records.length === MAX_PER_TURN;
    }
    if (more) setImmediate(() => this.drain());
  }

  /** Now and then: what an engine died with is said again, and rows whose release nobody told us of are freed. */
  tick(): void {
    this.drain();
    for (const wire of this.#open.values()) wire.remind();
    for (const wire of this.#closing.values()) if (wire.row.released) this.#release(wire);
  }

  /** The thread of a client's wire is that of its slot, so that a row alone tells it. */
  #take({ kind, thread }: WireSpec): number | undefined {
    const at = kind === 'client' ? this.#free.findLastIndex((slot) => this.#threadOf(slot) === thread) : -1;
    return at < 0 && kind === 'client' ? undefined : this.#free.splice(at, 1)[0];
  }

  #threadOf(slot: number): number {
    return slot % this.#options.region.geometry.engineThreads;
  }

  #adopt(slot: number): void {
    const { region } = this.#options;
    const row = new WireRow(region, slot);
    // A row is marked open last: one that is half-written and free is unknown to the engine.
    if (row.halfWritten) row.setState(row.state === region.layout.rowState.free ? 'free' : 'closing');
    const view = row.read();
    if (!view) {
      this.#free.push(slot);
      return;
    }
    const wire = new Wire(this, row, view, undefined);
    if (view.state === 'open') {
      this.#open.set(slot, wire);
      this.adopted.push(wire);
    } else wire.close();
  }

  #hear(record: InboxRecord): void {
    const wire = this.#open.get(record.wire) ?? this.#closing.get(record.wire);
    if (wire?.generation !== record.generation) return;
    switch (this.#kinds.get(record.kind)) {
      case 'attached':
        wire.attached(record.seq, record.continueSeq, record.token);
        break;
      case 'message':
        wire.message(record.seq, record.bytes);
        break;
      case 'fault':
        wire.fault(this.#name('wireFault', record.value, 'message'), record.bytes);
        break;
      case 'end':
        wire.end();
        break;
      case 'closed':
        wire.closed(this.#name('wireEnd', record.value, 'error'), record.seq);
        wire.close();
        break;
      case 'released':
        this.#release(wire);
    }
  }

  #name<K extends string>(table: 'wireFault' | 'wireEnd', value: number, standard: K): K & (WireFault | WireEnd) {
    const names = this.#options.region.layout[table] as Readonly<Record<string, number>>;
    return (Object.keys(names).find((name) => names[name] === value) ?? standard) as K & (WireFault | WireEnd);
  }

  #release(wire: Wire): void {
    if (!this.#closing.delete(wire.slot)) return;
    wire.row.setState('free');
    this.#free.push(wire.slot);
  }

  #flush(): void {
    this.#retry = undefined;
    const { binding, worker } = this.#options;
    for (const [thread, late] of this.#late.entries()) {
      let said = 0;
      while (said < late.length && binding.outboxPush(worker, thread, late[said] as OutboxRecord)) said++;
      late.splice(0, said);
      if (said > 0) this.#wake(thread);
    }
    if (this.#late.some((late) => late.length > 0)) this.#retry = setTimeout(() => this.#flush(), RETRY_MS);
  }

  /** Once for all that is said in one turn of the event loop. */
  #wake(thread: number): void {
    this.#toWake.add(thread);
    if (this.#toWake.size > 1) return;
    process.nextTick(() => {
      for (const each of this.#toWake) this.#options.binding.wake(this.#options.wakeFds[each] as number);
      this.#toWake.clear();
    });
  }
}

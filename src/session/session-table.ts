import { type Endpoint, writeEndpoint } from '../engine/endpoint.js';
import type { Layout } from '../engine/layout.js';
import { monotonicMs } from '../engine/monotonic.js';
import { isHalfWritten, writeRow } from '../engine/row-sequence.js';
import type { SharedRegion } from '../engine/shared-region.js';
import { PenstockError } from '../errors.js';
import { hashSession, type SessionIndex } from './session-index.js';
import { SessionRowWriter, type SessionSpec } from './session-row-writer.js';
import { SessionRows, type StreamRef, slice, wireThreadOf } from './session-rows.js';
import { StreamRowWriter, type StreamSpec, type StreamWires } from './stream-row-writer.js';

/**
 * How long a closing row waits for an engine that never attached its stream: a worker that died between
 * opening the row and handing over the sockets leaves one that no engine will ever speak of. Freeing a row
 * too early does no harm, for the engine lets go of every generation but the one that the row names.
 */
const ORPHAN_GRACE_MS = 30_000;

export type SessionFlags = Partial<Record<keyof Layout['sessionFlags'], boolean>>;

export interface OwnStream extends StreamRef {
  /** Waits for the engine to let go of it. */
  closing: boolean;
}

/** What a worker found in its slice when it took it over. */
export interface Adoption {
  sessions: number;
  streams: number;
  /** Rows that the predecessor left half-written. */
  reclaimed: number;
  /** Streams that are closing: the engine must be told (again) to let go of them. */
  closing: StreamRef[];
}

/** What the table knows by heart of a session in its slice. */
export interface OwnSession {
  readonly service: number;
  readonly serverId: string;
  /** Address of the RTSP peer that opened it. */
  readonly clientIp: string;
  /** Its open streams. */
  readonly streams: Set<number>;
}

export interface TableStats {
  sessions: number;
  streams: number;
  closingStreams: number;
  freeSessions: number;
  freeStreams: number;
  /** Openings refused because the slice was full. */
  refused: number;
  indexRebuilds: number;
}

/**
 * The session and stream rows of one worker. It alone writes its slice; the rows of the others it
 * reads. Making one adopts the slice: what a predecessor of the same index left open stays open.
 * There must be one table per worker index at a time. Times are monotonic milliseconds.
 */
export class SessionTable extends SessionRows {
  readonly worker: number;
  readonly adopted: Adoption;
  readonly #now: () => number;
  readonly #index: SessionIndex;
  readonly #layout: Layout;
  readonly #sessions: SessionRowWriter;
  readonly #streams: StreamRowWriter;
  /** Open sessions, by their slots. */
  readonly #open = new Map<number, OwnSession>();
  /** The same by service and server id: what nearly every message asks for. */
  readonly #byName = new Map<string, number>();
  readonly #openStreams = new Set<number>();
  /** Closing streams, and since when. */
  readonly #closing = new Map<number, number>();
  /** Stacks: the last one freed is used first. */
  #freeSessions: number[] = [];
  #freeStreams: number[] = [];
  #refused = 0;

  constructor(region: SharedRegion, worker: number, now: () => number = monotonicMs) {
    super(region);
    this.worker = worker;
    this.#now = now;
    this.#layout = region.layout;
    this.#sessions = new SessionRowWriter(region);
    this.#streams = new StreamRowWriter(region);
    this.#index = this.sliceIndex(worker);
    this.adopted = this.#adopt();
  }

  // ---- sessions

  /**
   * Opens an entry and returns its global slot. Throws PENSTOCK_ERR_TABLE_FULL,
   * PENSTOCK_ERR_SESSION_ID_TOO_LONG, PENSTOCK_ERR_URL_TOO_LONG; nothing is opened then.
   */
  openSession(spec: SessionSpec): number {
    const serverId = this.#sessions.encodeId(spec.serverId);
    const controlUrl = this.#sessions.encodeUrl(spec.controlUrl);
    const slot = this.#take(this.#freeSessions, 'session');
    const row = this.region.sessionAt(slot);
    const { session, rowState } = this.#layout;
    writeRow(this.region, row + session.sequence, () => {
      this.region.addU32(row + session.generation, 1);
      this.#sessions.fill(row, spec, serverId, controlUrl, this.#now());
      this.region.storeU32(row + session.state, rowState.open);
    });
    this.#index.insert(hashSession(spec.service, spec.serverId), this.#rowOf(slot), () => this.#indexEntries());
    this.#remember(slot, spec.service, spec.serverId, spec.client.ip);
    return slot;
  }

  /** The open entry of this worker for a session. */
  findOwn(service: number, serverId: string): number | undefined {
    return this.#byName.get(nameOf(service, serverId));
  }

  /** An open session of this worker. */
  ownSession(slot: number): OwnSession | undefined {
    return this.#open.get(slot);
  }

  /** The client was heard on the RTSP connection. */
  touchClient(slot: number, now = this.#now()): void {
    this.region.setF64(this.#own(slot) + this.#layout.session.clientControlMs, now);
  }

  touchServer(slot: number, now = this.#now()): void {
    this.region.setF64(this.#own(slot) + this.#layout.session.serverControlMs, now);
  }

  /** Flags that are not named stay. */
  setFlags(slot: number, flags: SessionFlags): void {
    const cell = this.#own(slot) + this.#layout.session.flags;
    let bits = this.region.loadU32(cell);
    for (const [name, on] of Object.entries(flags) as [keyof SessionFlags, boolean][]) {
      const bit = this.#layout.sessionFlags[name];
      bits = on ? bits | bit : bits & ~bit;
    }
    this.region.storeU32(cell, bits);
  }

  /** Notes whether any stream of the session is in an RTSP connection now, on either side. */
  noteTransport(slot: number): void {
    const { stream, streamTransport } = this.#layout;
    let interleaved = false;
    for (const each of this.#open.get(slot)?.streams ?? []) {
      const transport = this.region.getU8(this.region.streamAt(each) + stream.transport);
      interleaved ||= transport === streamTransport.interleaved || transport === streamTransport.bridged;
    }
    this.setFlags(slot, { interleaved });
  }

  setTimeout(slot: number, seconds: number): void {
    this.region.storeU32(this.#own(slot) + this.#layout.session.timeoutSec, seconds);
  }

  /** Whether a row can hold it. */
  isControlUrl(url: string): boolean {
    return Buffer.byteLength(url) <= this.#layout.limits.maxControlUrl;
  }

  /** Throws PENSTOCK_ERR_URL_TOO_LONG; the former URL stays then. */
  setControlUrl(slot: number, url: string): void {
    const row = this.#own(slot);
    const bytes = this.#sessions.encodeUrl(url);
    writeRow(this.region, row + this.#layout.session.sequence, () => this.#sessions.setControlUrl(row, bytes));
  }

  /** The client goes on over another connection. */
  setClient(slot: number, client: Endpoint): void {
    const row = this.#own(slot);
    const { session } = this.#layout;
    writeRow(this.region, row + session.sequence, () => writeEndpoint(this.region, row + session.client, client));
  }

  /** Ends an entry. Returns its streams that were still open: they are closing, the engine must be told. */
  closeSession(slot: number): StreamRef[] {
    const row = this.#own(slot);
    const { service, serverId } = this.#open.get(slot) as OwnSession;
    const left = this.streamsOf(slot).flatMap((stream) => this.closeStream(stream.slot) ?? []);
    this.#index.remove(hashSession(service, serverId), this.#rowOf(slot));
    this.#freeSession(slot, row);
    this.#forget(slot, service, serverId);
    return left;
  }

  /** Slots of the open sessions of this worker. */
  *ownSessions(): Generator<number> {
    yield* this.#open.keys();
  }

  // ---- streams

  /** Opens a row. Throws PENSTOCK_ERR_TABLE_FULL. */
  openStream(spec: StreamSpec): StreamRef {
    const session = this.#own(spec.session);
    const fits = this.#isOfThread(spec.thread);
    if (!this.#freeStreams.some(fits)) this.freeReleased();
    const slot = this.#take(this.#freeStreams, 'stream', fits);
    const row = this.region.streamAt(slot);
    const { stream, rowState } = this.#layout;
    writeRow(this.region, row + stream.sequence, () => {
      this.region.addU32(row + stream.generation, 1);
      this.#streams.fill(slot, spec, this.#now());
      this.region.storeU32(row + stream.state, rowState.open);
    });
    const opened = this.streamRef(slot);
    if (!this.#isRelayed(row)) this.#streams.attachHere(slot, opened.generation);
    this.region.addU32(session + this.#layout.session.streams, 1);
    this.#open.get(spec.session)?.streams.add(slot);
    this.#openStreams.add(slot);
    return opened;
  }

  /** Its RTSP connections are wires from now on, or are gone. Returns what the engine must be told of, if there are frames. */
  setWires(slot: number, wires: StreamWires | undefined): StreamRef | undefined {
    if (!this.#openStreams.has(slot)) return undefined;
    const row = this.region.streamAt(slot);
    writeRow(this.region, row + this.#layout.stream.sequence, () => this.#streams.setWires(slot, wires));
    const ref = this.streamRef(slot);
    return ref.thread === undefined && !ref.bridged ? undefined : ref;
  }

  /**
   * Ends a stream. Returns what the engine must be told to let go of; undefined where no engine
   * has it (opaque, or frames that pass here) or it was closed before: there is nothing to wait for.
   */
  closeStream(slot: number): StreamRef | undefined {
    if (!this.#openStreams.has(slot)) return undefined;
    const row = this.#detach(slot);
    if (!this.#isRelayed(row)) {
      this.#freeStream(slot);
      return undefined;
    }
    this.#setStreamState(row, this.#layout.rowState.closing);
    this.#closing.set(slot, this.#now());
    return this.streamRef(slot);
  }

  /** Frees a row at once, whose sockets never went to the engine. */
  abandonStream(slot: number): void {
    if (!this.#openStreams.has(slot)) return;
    this.#detach(slot);
    this.#freeStream(slot);
  }

  /** Frees the closing rows that the engine has let go of, or never had; returns how many. */
  freeReleased(): number {
    const before = this.#closing.size;
    for (const [slot, since] of this.#closing) if (this.#isReleased(slot, since)) this.#freeStream(slot);
    return before - this.#closing.size;
  }

  /** The open and closing streams of this worker. */
  *ownStreams(): Generator<OwnStream> {
    for (const slot of this.#openStreams) yield { ...this.streamRef(slot), closing: false };
    for (const slot of this.#closing.keys()) yield { ...this.streamRef(slot), closing: true };
  }

  override streamsOf(session: number): StreamRef[] {
    const own = this.#open.get(session);
    return own === undefined ? super.streamsOf(session) : [...own.streams].map((slot) => this.streamRef(slot));
  }

  /** Interleaved: a frame came in on leg `from` and went out on the opposite one. */
  countFrame(slot: number, from: number, bytes: number): void {
    const { legData } = this.#layout;
    const rx = this.region.legDataAt(slot, from);
    const tx = this.region.legDataAt(slot, this.#opposite(from));
    this.region.setF64(rx + legData.lastRxMs, this.#now());
    this.region.addU64(rx + legData.rxPackets, 1);
    this.region.addU64(rx + legData.rxBytes, bytes);
    this.region.addU64(tx + legData.txPackets, 1);
    this.region.addU64(tx + legData.txBytes, bytes);
  }

  /** Interleaved: a frame came in on leg `from` and was dropped. */
  countDroppedFrame(slot: number, from: number): void {
    const rx = this.region.legDataAt(slot, from);
    this.region.setF64(rx + this.#layout.legData.lastRxMs, this.#now());
    this.region.addU64(rx + this.#layout.legData.refused, 1);
  }

  stats(): TableStats {
    return {
      sessions: this.#open.size,
      streams: this.#openStreams.size,
      closingStreams: this.#closing.size,
      freeSessions: this.#freeSessions.length,
      freeStreams: this.#freeStreams.length,
      refused: this.#refused,
      indexRebuilds: this.#index.rebuilds,
    };
  }

  // ---- rows of sessions

  #freeSession(slot: number, row: number): void {
    const { session, rowState } = this.#layout;
    writeRow(this.region, row + session.sequence, () => this.region.storeU32(row + session.state, rowState.free));
    this.#freeSessions.push(slot);
  }

  *#indexEntries(): Generator<readonly [number, number]> {
    for (const [slot, { service, serverId }] of this.#open) yield [hashSession(service, serverId), this.#rowOf(slot)];
  }

  #remember(slot: number, service: number, serverId: string, clientIp: string): void {
    this.#open.set(slot, { service, serverId, clientIp, streams: new Set() });
    this.#byName.set(nameOf(service, serverId), slot);
  }

  #forget(slot: number, service: number, serverId: string): void {
    this.#open.delete(slot);
    const name = nameOf(service, serverId);
    if (this.#byName.get(name) === slot) this.#byName.delete(name);
  }

  #rowOf(slot: number): number {
    return slot - this.worker * this.region.geometry.sessionsPerWorker;
  }

  #own(slot: number): number {
    if (!this.#open.has(slot))
      throw new RangeError(`session ${slot} is not open in the slice of worker ${this.worker}`);
    return this.region.sessionAt(slot);
  }

  // ---- rows of streams

  /** Takes an open stream off its session; returns the row. */
  #detach(slot: number): number {
    const row = this.#ownStream(slot);
    const session = this.region.getU32(row + this.#layout.stream.session);
    this.#openStreams.delete(slot);
    if (this.#open.get(session)?.streams.delete(slot)) {
      this.region.addU32(this.region.sessionAt(session) + this.#layout.session.streams, -1);
    }
    return row;
  }

  #freeStream(slot: number): void {
    this.#setStreamState(this.region.streamAt(slot), this.#layout.rowState.free);
    this.#closing.delete(slot);
    this.#freeStreams.push(slot);
  }

  #setStreamState(row: number, state: number): void {
    const { stream } = this.#layout;
    writeRow(this.region, row + stream.sequence, () => this.region.storeU32(row + stream.state, state));
  }

  /** The engine has it: its media sockets, or the connections that its frames are in. */
  #isRelayed(row: number): boolean {
    const { stream, streamTransport } = this.#layout;
    const withSockets: number[] = [streamTransport.udp, streamTransport.bridged];
    return (
      withSockets.includes(this.region.getU8(row + stream.transport)) || wireThreadOf(this.region, row) !== undefined
    );
  }

  #isReleased(slot: number, closingSince: number): boolean {
    const row = this.region.streamAt(slot);
    const { generation } = this.streamRef(slot);
    const { stream } = this.#layout;
    if (this.region.loadU32(row + stream.releasedGeneration) === generation) return true;
    const attached = this.region.loadU32(row + stream.attachedGeneration) === generation;
    return !attached && this.#now() - closingSince > ORPHAN_GRACE_MS;
  }

  #opposite(leg: number): number {
    const legs = this.#layout.limits.legsPerStream;
    return (leg + legs / 2) % legs;
  }

  #ownStream(slot: number): number {
    if (this.#openStreams.has(slot)) return this.region.streamAt(slot);
    throw new RangeError(`stream ${slot} is not open in the slice of worker ${this.worker}`);
  }

  /** The engine thread of a stream with sockets is that of its slot. */
  #isOfThread(thread: number | undefined): (slot: number) => boolean {
    const { engineThreads } = this.region.geometry;
    return (slot) => thread === undefined || slot % engineThreads === thread;
  }

  #take(free: number[], what: string, fits: (slot: number) => boolean = () => true): number {
    const at = free.findLastIndex(fits);
    if (at >= 0) return free.splice(at, 1)[0] as number;
    this.#refused++;
    throw new PenstockError('PENSTOCK_ERR_TABLE_FULL', `no free ${what} row in the slice of worker ${this.worker}`);
  }

  // ---- adoption

  /** Rebuilds what lives in JavaScript from the rows, and mends what a predecessor left half-done. */
  #adopt(): Adoption {
    const { sessionsPerWorker, streamsPerWorker } = this.region.geometry;
    let reclaimed = 0;
    for (const slot of slice(this.worker, sessionsPerWorker)) if (this.#adoptSession(slot)) reclaimed++;
    this.#index.rebuild(this.#indexEntries());
    for (const slot of slice(this.worker, streamsPerWorker)) if (this.#adoptStream(slot)) reclaimed++;
    this.#recountStreams();
    // Lowest slot on top: the streams of one session then go to different engine threads.
    this.#freeSessions.reverse();
    this.#freeStreams.reverse();
    const closing = [...this.#closing.keys()].map((slot) => this.streamRef(slot));
    return { sessions: this.#open.size, streams: this.#openStreams.size, reclaimed, closing };
  }

  /** True where the row was half-written: what it holds cannot be trusted, so it is freed. */
  #adoptSession(slot: number): boolean {
    const { session } = this.#layout;
    const row = this.region.sessionAt(slot);
    const half = isHalfWritten(this.region.loadU32(row + session.sequence));
    const view = half ? undefined : this.read(slot);
    if (half) this.#freeSession(slot, row);
    else if (view) this.#remember(slot, view.service, view.serverId, view.client.ip);
    else this.#freeSessions.push(slot);
    return half;
  }

  /**
   * True where the row was half-written. A row is marked open last, so one that is still free is
   * unknown to the engine. An open one may be relayed: it closes in the ordinary way, and so does one
   * whose session is gone.
   */
  #adoptStream(slot: number): boolean {
    const { stream, rowState } = this.#layout;
    const row = this.region.streamAt(slot);
    const half = isHalfWritten(this.region.loadU32(row + stream.sequence));
    const state = this.region.loadU32(row + stream.state);
    const session = this.#open.get(this.region.getU32(row + stream.session));
    if (state === rowState.open && !half && session !== undefined) {
      session.streams.add(slot);
      this.#openStreams.add(slot);
    } else if (state === rowState.free || !this.#isRelayed(row)) {
      if (half || state !== rowState.free) this.#setStreamState(row, rowState.free);
      this.#freeStreams.push(slot);
    } else {
      if (half || state === rowState.open) this.#setStreamState(row, rowState.closing);
      this.#closing.set(slot, this.#now());
    }
    return half;
  }

  #recountStreams(): void {
    const { session } = this.#layout;
    for (const [slot, { streams }] of this.#open) {
      this.region.storeU32(this.region.sessionAt(slot) + session.streams, streams.size);
    }
  }
}

function nameOf(service: number, serverId: string): string {
  return `${service} ${serverId}`;
}

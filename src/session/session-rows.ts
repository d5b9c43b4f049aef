import { type Endpoint, readEndpoint } from '../engine/endpoint.js';
import type { Layout } from '../engine/layout.js';
import { readRow } from '../engine/row-sequence.js';
import type { SharedRegion } from '../engine/shared-region.js';
import type { ChannelPair } from './channel-map.js';
import { hashSession, SessionIndex } from './session-index.js';

/** A stream's row, and which opening of it. */
export interface StreamRef {
  slot: number;
  generation: number;
  /** The engine thread that has its wires, if its frames pass from wire to wire. */
  thread?: number;
  /** Its packets pass between sockets and a wire. */
  bridged?: true;
}

/** Where a session is: its row, and which opening of that row. */
export interface SessionRef {
  /** Global slot of the session table. */
  slot: number;
  /** Whose slice it is in. */
  worker: number;
  generation: number;
}

export interface SessionView extends SessionRef {
  state: 'open';
  vserver: number;
  service: number;
  serverId: string;
  /** What a TEARDOWN is sent to. */
  controlUrl: string;
  /** The server's own timeout, 0 = not said. */
  timeoutSec: number;
  playing: boolean;
  recording: boolean;
  interleaved: boolean;
  /** The RTSP peer. */
  client: Endpoint;
  /** Open streams of this entry. */
  streams: number;
  openedMs: number;
  clientControlMs: number;
  serverControlMs: number;
}

export type RowStateName = 'open' | 'closing';

/** One leg, control and data half. Data is what the engine said of this generation; zero before it attached. */
export interface LegView {
  local: Endpoint | undefined;
  declared: Endpoint | undefined;
  /** A value of `layout.latching`. */
  latching: number;
  /** Bits of `layout.legFlags`. */
  flags: number;
  /** A value of `layout.legState`. */
  state: number;
  latches: number;
  remote: Endpoint | undefined;
  lastRxMs: number;
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  refused: number;
  punches: number;
  /** Packets that found the receive buffer full. */
  overflowed: number;
  ssrc: number;
  highestSequence: number;
  expected: number;
  received: number;
  jitterX16: number;
  roundTripUs: number;
  /** A value of `layout.tier`: how what arrives here is moved. */
  tier: number;
  /** A value of `layout.tierReason`: why not better. */
  tierReason: number;
}

export interface StreamView {
  slot: number;
  worker: number;
  generation: number;
  state: RowStateName;
  /** Global slot of the session entry. */
  session: number;
  service: number;
  clockRate: number;
  /** A value of `layout.streamTransport`. */
  transport: number;
  /** An index into MEDIA_KINDS. */
  media: number;
  clientChannels: ChannelPair;
  serverChannels: ChannelPair;
  /** Row of the wire of the client's RTSP connection. */
  clientWire: number | undefined;
  serverWire: number | undefined;
  urlHash: number;
  openedMs: number;
  /** The engine relays this generation. */
  attached: boolean;
  /** In the order of `layout.legIndex`. */
  legs: LegView[];
}

/** Newest sign of life of each side, control and media together, in monotonic milliseconds; 0 = none. */
export interface Activity {
  clientMs: number;
  serverMs: number;
}

/** Reads the session and stream tables; any process may, beside the workers that write them. */
export class SessionRows {
  protected readonly region: SharedRegion;
  readonly #indexes: SessionIndex[];

  constructor(region: SharedRegion) {
    this.region = region;
    this.#indexes = Array.from({ length: region.geometry.workers }, (_, worker) => new SessionIndex(region, worker));
  }

  get transports(): Layout['streamTransport'] {
    return this.region.layout.streamTransport;
  }

  /** A consistent snapshot of an open session; undefined for any other row. */
  read(slot: number): SessionView | undefined {
    const row = this.region.sessionAt(slot);
    const { session, rowState } = this.region.layout;
    return readRow(this.region, row + session.sequence, () =>
      this.region.getU32(row + session.state) === rowState.open ? this.#sessionView(slot, row) : undefined,
    );
  }

  /** Open streams of a session entry, as its row has it. */
  streamCount(slot: number): number {
    return this.region.loadU32(this.region.sessionAt(slot) + this.region.layout.session.streams);
  }

  /** Every entry of a session. One that was used at several workers has an entry with each of them; `first`'s leads. */
  find(service: number, serverId: string, first = 0): SessionRef[] {
    const { workers } = this.region.geometry;
    const found: SessionRef[] = [];
    for (let i = 0; i < workers; i++) found.push(...this.findIn((first + i) % workers, service, serverId));
    return found;
  }

  /** Whether its media goes by UDP, and so by no RTSP connection. */
  isDatagrams({ transport }: StreamView): boolean {
    return transport === this.region.layout.streamTransport.udp;
  }

  /** An open or closing stream; undefined for a free row. */
  readStream(slot: number): StreamView | undefined {
    const row = this.region.streamAt(slot);
    return readRow(this.region, row + this.region.layout.stream.sequence, () => this.#streamView(slot, row));
  }

  /** Slots of the open sessions of one slice, by a scan. */
  *sessionsOf(worker: number): Generator<number> {
    const { session, rowState } = this.region.layout;
    for (const slot of slice(worker, this.region.geometry.sessionsPerWorker)) {
      if (this.region.loadU32(this.region.sessionAt(slot) + session.state) === rowState.open) yield slot;
    }
  }

  /** Slots of the open and closing streams of one slice, by a scan. */
  *streamSlotsOf(worker: number): Generator<number> {
    const { stream, rowState } = this.region.layout;
    for (const slot of slice(worker, this.region.geometry.streamsPerWorker)) {
      if (this.region.loadU32(this.region.streamAt(slot) + stream.state) !== rowState.free) yield slot;
    }
  }

  /** The open streams of a session entry; a scan of its slice. */
  streamsOf(session: number): StreamRef[] {
    const worker = Math.floor(session / this.region.geometry.sessionsPerWorker);
    const slots = [...this.streamSlotsOf(worker)].filter((slot) => this.#isStreamOf(slot, session));
    return slots.map((slot) => this.streamRef(slot));
  }

  /** The newest activity of one entry and its streams. A session has one entry per worker that it was used at. */
  activity(slot: number): Activity {
    const newest = this.#controlActivity(slot);
    for (const stream of this.streamsOf(slot)) merge(newest, this.#mediaActivity(stream.slot));
    return newest;
  }

  protected streamRef(slot: number): StreamRef {
    const row = this.region.streamAt(slot);
    const generation = this.region.loadU32(row + this.region.layout.stream.generation);
    const thread = wireThreadOf(this.region, row);
    if (thread !== undefined) return { slot, generation, thread };
    const { stream, streamTransport } = this.region.layout;
    const bridged = this.region.getU8(row + stream.transport) === streamTransport.bridged;
    return bridged ? { slot, generation, bridged } : { slot, generation };
  }

  protected sliceIndex(worker: number): SessionIndex {
    const index = this.#indexes[worker];
    if (index === undefined) throw new RangeError(`worker must be 0…${this.#indexes.length - 1}, got ${worker}`);
    return index;
  }

  /** Entries of a session in one slice. */
  protected findIn(worker: number, service: number, serverId: string): SessionRef[] {
    const id = Buffer.from(serverId);
    const first = worker * this.region.geometry.sessionsPerWorker;
    const rows = this.sliceIndex(worker).candidates(hashSession(service, serverId));
    // An index whose owner died in a rebuild stays unreadable until its successor is there: look at every row.
    const slots = rows?.map((row) => first + row) ?? this.sessionsOf(worker);
    const found: SessionRef[] = [];
    for (const slot of slots) {
      const generation = this.#generationIf(slot, service, id);
      if (generation !== undefined) found.push({ slot, worker, generation });
    }
    return found;
  }

  #generationIf(slot: number, service: number, id: Buffer): number | undefined {
    const row = this.region.sessionAt(slot);
    const { session, rowState } = this.region.layout;
    return readRow(this.region, row + session.sequence, () => {
      const same =
        this.region.getU32(row + session.state) === rowState.open &&
        this.region.getU32(row + session.service) === service &&
        this.region.getU32(row + session.serverIdBytes) === id.length &&
        this.region.bytes(row + session.serverId, id.length).equals(id);
      return same ? this.region.getU32(row + session.generation) : undefined;
    });
  }

  #isStreamOf(slot: number, session: number): boolean {
    const row = this.region.streamAt(slot);
    const { stream, rowState } = this.region.layout;
    return (
      this.region.loadU32(row + stream.state) === rowState.open && this.region.loadU32(row + stream.session) === session
    );
  }

  #sessionView(slot: number, row: number): SessionView {
    const { region } = this;
    const { session, limits } = region.layout;
    return {
      state: 'open',
      slot,
      worker: Math.floor(slot / region.geometry.sessionsPerWorker),
      generation: region.getU32(row + session.generation),
      vserver: region.getU32(row + session.vserver),
      service: region.getU32(row + session.service),
      serverId: this.#text(row + session.serverId, row + session.serverIdBytes, limits.maxServerId),
      controlUrl: this.#text(row + session.controlUrl, row + session.controlUrlBytes, limits.maxControlUrl),
      timeoutSec: region.getU32(row + session.timeoutSec),
      ...this.#flags(region.getU32(row + session.flags)),
      client: readEndpoint(region, row + session.client) ?? NO_CLIENT,
      streams: region.getU32(row + session.streams),
      openedMs: region.getF64(row + session.openedMs),
      clientControlMs: region.getF64(row + session.clientControlMs),
      serverControlMs: region.getF64(row + session.serverControlMs),
    };
  }

  #flags(bits: number): Pick<SessionView, 'playing' | 'recording' | 'interleaved'> {
    const { playing, recording, interleaved } = this.region.layout.sessionFlags;
    return {
      playing: (bits & playing) !== 0,
      recording: (bits & recording) !== 0,
      interleaved: (bits & interleaved) !== 0,
    };
  }

  #text(offset: number, length: number, max: number): string {
    return this.region.bytes(offset, Math.min(this.region.getU32(length), max)).toString('utf8');
  }

  #streamView(slot: number, row: number): StreamView | undefined {
    const { region } = this;
    const { stream, rowState, limits } = region.layout;
    const state = region.getU32(row + stream.state);
    if (state === rowState.free) return undefined;
    const attached = isAttached(region, row);
    return {
      slot,
      worker: Math.floor(slot / region.geometry.streamsPerWorker),
      generation: region.getU32(row + stream.generation),
      state: state === rowState.open ? 'open' : 'closing',
      session: region.getU32(row + stream.session),
      service: region.getU32(row + stream.service),
      clockRate: region.getU32(row + stream.clockRate),
      transport: region.getU8(row + stream.transport),
      media: region.getU8(row + stream.media),
      clientChannels: {
        rtp: region.getU8(row + stream.clientChannel),
        rtcp: region.getU8(row + stream.clientRtcpChannel),
      },
      serverChannels: {
        rtp: region.getU8(row + stream.serverChannel),
        rtcp: region.getU8(row + stream.serverRtcpChannel),
      },
      clientWire: wireAt(region, row + stream.clientWire),
      serverWire: wireAt(region, row + stream.serverWire),
      urlHash: region.getU32(row + stream.urlHash),
      openedMs: region.getF64(row + stream.openedMs),
      attached,
      legs: Array.from({ length: limits.legsPerStream }, (_, leg) => this.#legView(slot, leg, attached)),
    };
  }

  #legView(stream: number, leg: number, attached: boolean): LegView {
    const { region } = this;
    const control = region.legAt(stream, leg);
    return {
      local: readEndpoint(region, control + region.layout.leg.local),
      declared: readEndpoint(region, control + region.layout.leg.declared),
      latching: region.getU8(control + region.layout.leg.latching),
      flags: region.getU8(control + region.layout.leg.flags),
      ...(attached ? this.#legData(region.legDataAt(stream, leg)) : NO_DATA),
    };
  }

  #legData(data: number): LegData {
    const { region } = this;
    const { legData } = region.layout;
    return {
      state: region.getU32(data + legData.state),
      latches: region.getU32(data + legData.latches),
      remote: readEndpoint(region, data + legData.remote),
      lastRxMs: region.getF64(data + legData.lastRxMs),
      rxPackets: region.getU64(data + legData.rxPackets),
      rxBytes: region.getU64(data + legData.rxBytes),
      txPackets: region.getU64(data + legData.txPackets),
      txBytes: region.getU64(data + legData.txBytes),
      refused: region.getU64(data + legData.refused),
      punches: region.getU64(data + legData.punches),
      overflowed: region.getU64(data + legData.overflowed),
      ssrc: region.getU32(data + legData.ssrc),
      highestSequence: region.getU32(data + legData.highestSequence),
      expected: region.getU32(data + legData.expected),
      received: region.getU32(data + legData.received),
      jitterX16: region.getU32(data + legData.jitterX16),
      roundTripUs: region.getU32(data + legData.roundTripUs),
      tier: region.getU32(data + legData.tier),
      tierReason: region.getU32(data + legData.tierReason),
    };
  }

  #controlActivity(slot: number): Activity {
    const row = this.region.sessionAt(slot);
    const { session } = this.region.layout;
    return {
      clientMs: this.region.getF64(row + session.clientControlMs),
      serverMs: this.region.getF64(row + session.serverControlMs),
    };
  }

  #mediaActivity(stream: number): Activity {
    if (!isAttached(this.region, this.region.streamAt(stream))) return { clientMs: 0, serverMs: 0 };
    const { legIndex, legData } = this.region.layout;
    const lastRx = (leg: number) => this.region.getF64(this.region.legDataAt(stream, leg) + legData.lastRxMs);
    return {
      clientMs: Math.max(lastRx(legIndex.clientRtp), lastRx(legIndex.clientRtcp)),
      serverMs: Math.max(lastRx(legIndex.serverRtp), lastRx(legIndex.serverRtcp)),
    };
  }
}

const NO_CLIENT: Endpoint = { ip: '', port: 0 };

type LegData = Omit<LegView, 'local' | 'declared' | 'latching' | 'flags'>;

const NO_DATA: LegData = {
  state: 0,
  latches: 0,
  remote: undefined,
  lastRxMs: 0,
  rxPackets: 0,
  rxBytes: 0,
  txPackets: 0,
  txBytes: 0,
  refused: 0,
  punches: 0,
  overflowed: 0,
  ssrc: 0,
  highestSequence: 0,
  expected: 0,
  received: 0,
  jitterX16: 0,
  roundTripUs: 0,
  tier: 0,
  tierReason: 0,
};

function wireAt(region: SharedRegion, cell: number): number | undefined {
  const wire = region.getU32(cell);
  return wire === region.layout.limits.noWire ? undefined : wire;
}

/** The engine thread that relays the frames of an interleaved stream; undefined where none does. */
export function wireThreadOf(region: SharedRegion, row: number): number | undefined {
  const { stream, streamTransport } = region.layout;
  if (region.getU8(row + stream.transport) !== streamTransport.interleaved) return undefined;
  const wire = wireAt(region, row + stream.clientWire);
  return wire === undefined ? undefined : wire % region.geometry.engineThreads;
}

/** The data half speaks of the row's present opening. */
function isAttached(region: SharedRegion, row: number): boolean {
  const { stream } = region.layout;
  return region.loadU32(row + stream.attachedGeneration) === region.loadU32(row + stream.generation);
}

function merge(newest: Activity, other: Activity): void {
  newest.clientMs = Math.max(newest.clientMs, other.clientMs);
  newest.serverMs = Math.max(newest.serverMs, other.serverMs);
}

/** The global slots of a worker's slice. */
export function* slice(worker: number, perWorker: number): Generator<number> {
  for (let slot = worker * perWorker; slot < (worker + 1) * perWorker; slot++) yield slot;
}

import { once } from 'node:events';
import { Socket } from 'node:net';
import type { InboxRecord, OutboxRecord } from '../../src/engine/binding.js';
import type { SharedRegion } from '../../src/engine/shared-region.js';
import type { WiresOptions } from '../../src/engine/wires.js';
import { SessionRows } from '../../src/session/session-rows.js';

interface Held {
  wire: number;
  generation: number;
  seq: number;
}

interface Route {
  stream: number;
  wire: number;
  channel: number;
}

/** A connection as the engine has it. What it read stays in `input` until it is dealt with. */
interface FakeWire {
  slot: number;
  generation: number;
  socket: Socket;
  input: Buffer;
  started: boolean;
  taken: number;
  held: number | undefined;
  accepted: number;
  /** Accepted and not written. */
  unwritten: OutboxRecord[];
  ended: boolean;
  saidEnd: boolean;
  closed: boolean;
  routes: Map<number, Route>;
}

const HEAD_END = '\r\n\r\n';
const FRAME_HEADER = 4;

/** The engine's side of the wires of one worker, over real sockets; it outlives the worker, and can be replaced itself. */
export class FakeWireEngine {
  readonly binding: WiresOptions['binding'];
  readonly wires = new Map<number, FakeWire>();
  handedOver = 0;
  /** Set: rings have no room. */
  full = false;
  /** Set: sockets take no messages; what is accepted is lost with this engine. */
  stuck = false;
  /** Set: the vault is gone. */
  fault: Error | undefined;
  readonly #region: SharedRegion;
  readonly #inbox: InboxRecord[] = [];
  readonly #early: OutboxRecord[] = [];
  #wake: () => void = () => {};

  constructor(region: SharedRegion) {
    this.#region = region;
    this.binding = {
      handOverWire: (_vault, slot, generation, fd) => this.#take(slot, generation, fd),
      outboxPush: (_worker, _thread, record) => {
        if (this.full) return false;
        this.#hear(record);
        return true;
      },
      inboxRead: (_worker, _thread, max) => this.#inbox.splice(0, max),
      watchWake: (_fd, callback) => {
        this.#wake = callback;
      },
      wake: () => {},
    };
  }

  /** Messages that were accepted and not written. */
  get unwritten(): number {
    return [...this.wires.values()].reduce((sum, { unwritten }) => sum + unwritten.length, 0);
  }

  /** Records that the worker has yet to read. */
  get unheard(): number {
    return this.#inbox.length;
  }

  /** What it was told and did not read is lost with it. */
  workerDied(): void {
    this.#inbox.length = 0;
    this.#wake = () => {};
  }

  /** A new engine: it says where every wire stands. What its predecessor had not written is lost. */
  restart(): void {
    for (const wire of this.wires.values()) {
      wire.accepted -= wire.unwritten.length;
      wire.unwritten = [];
    }
    for (const wire of this.wires.values()) this.#stand(wire, 0);
  }

  async close(): Promise<void> {
    for (const { socket } of this.wires.values()) {
      socket.destroy();
      if (!socket.closed) await once(socket, 'close');
    }
  }

  #take(slot: number, generation: number, fd: number): void {
    if (this.fault) throw this.fault;
    this.handedOver++;
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    const state = { input: Buffer.alloc(0), started: false, taken: 0, held: undefined, accepted: 0, unwritten: [] };
    const ends = { ended: false, saidEnd: false, closed: false };
    const wire: FakeWire = { slot, generation, socket, ...state, ...ends, routes: new Map() };
    this.wires.set(slot, wire);
    this.#cell(wire, 'attachedGeneration', generation);
    this.#cell(wire, 'writtenSeq', 0);
    socket.on('data', (chunk: Buffer) => {
      wire.input = Buffer.concat([wire.input, chunk]);
      this.#pump(wire);
    });
    socket.on('end', () => {
      wire.ended = true;
      this.#pump(wire);
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#onClose(wire));
    for (const record of this.#early.splice(0)) this.#hear(record);
  }

  #onClose(wire: FakeWire): void {
    wire.closed = true;
    if (this.wires.get(wire.slot) === wire) this.#say(wire, 'closed', { value: this.#region.layout.wireEnd.both });
  }

  #hear(record: OutboxRecord): void {
    const { recordKind } = this.#region.layout;
    if (record.kind === recordKind.stream) {
      this.#route(record.wire, record.generation);
      return;
    }
    const wire = this.wires.get(record.wire);
    if (wire?.generation !== record.generation) return;
    switch (record.kind) {
      case recordKind.start:
        wire.started = true;
        this.#stand(wire, record.seq ?? 0);
        break;
      case recordKind.write:
        this.#write(wire, record);
        break;
      case recordKind.continue:
        this.#continue({ wire: record.wire, generation: record.generation, seq: record.seq ?? 0 });
        break;
      case recordKind.shutdown:
        wire.socket.end();
        wire.socket.resume();
        break;
      case recordKind.close:
        this.#release(wire);
    }
  }

  #stand(wire: FakeWire, token: number): void {
    const value = wire.accepted - wire.unwritten.length;
    this.#say(wire, 'attached', { seq: wire.accepted, value, continueSeq: wire.taken, token });
    wire.held = undefined;
    wire.saidEnd = false;
    if (wire.closed) this.#say(wire, 'closed', { value: this.#region.layout.wireEnd.both });
    else this.#pump(wire);
  }

  #write(wire: FakeWire, record: OutboxRecord): void {
    const { seq = 0, bytes, continues } = record;
    if (seq <= wire.accepted) return;
    // As the engine, which would wait for what lies between.
    if (seq !== wire.accepted + 1) throw new Error(`message ${seq} after ${wire.accepted}`);
    wire.accepted = seq;
    if (this.stuck) {
      wire.unwritten.push(record);
      return;
    }
    wire.socket.write(Buffer.from(bytes ?? []));
    this.#cell(wire, 'writtenSeq', seq);
    if (continues) this.#continue(continues);
  }

  /** Its answer waits to be written. */
  #answered(wire: FakeWire): boolean {
    const waiting = [...this.wires.values()].flatMap(({ unwritten }) => unwritten);
    return waiting.some(({ continues }) => continues?.wire === wire.slot && continues.seq === wire.taken + 1);
  }

  #continue({ wire: slot, generation, seq }: Held): void {
    const wire = this.wires.get(slot);
    if (wire?.generation !== generation || seq !== wire.taken + 1) return;
    wire.input = wire.input.subarray(messageBytes(wire.input));
    wire.taken = seq;
    wire.held = undefined;
    this.#pump(wire);
  }

  #release(wire: FakeWire): void {
    this.wires.delete(wire.slot);
    wire.socket.destroy();
    this.#cell(wire, 'releasedGeneration', wire.generation);
    this.#say(wire, 'released');
  }

  #pump(wire: FakeWire): void {
    while (wire.started && wire.held === undefined && wire.input.length > 0) {
      const bytes = wire.input[0] === 0x24 ? this.#passFrame(wire) : this.#holdMessage(wire);
      if (bytes === 0) return;
    }
    if (!wire.ended || wire.saidEnd || wire.held !== undefined) return;
    wire.saidEnd = true;
    this.#say(wire, 'end');
  }

  #passFrame(wire: FakeWire): number {
    const { input } = wire;
    const bytes = input.length < FRAME_HEADER ? Number.POSITIVE_INFINITY : FRAME_HEADER + input.readUInt16BE(2);
    if (input.length < bytes) return 0;
    const route = wire.routes.get(input[1] as number);
    const target = route && this.wires.get(route.wire);
    if (route && target) {
      const frame = Buffer.from(input.subarray(0, bytes));
      frame[1] = route.channel;
      target.socket.write(frame);
      const row = this.#region.wireAt(target.slot);
      this.#region.addU64(row + this.#region.layout.wire.txFrames, 1);
    }
    wire.input = input.subarray(bytes);
    return bytes;
  }

  #holdMessage(wire: FakeWire): number {
    const bytes = messageBytes(wire.input);
    if (bytes > 0 && !this.#answered(wire)) {
      wire.held = wire.taken + 1;
      this.#say(wire, 'message', { seq: wire.held, bytes: Buffer.from(wire.input.subarray(0, bytes)) });
    }
    return 0;
  }

  #route(slot: number, generation: number): void {
    const stream = new SessionRows(this.#region).readStream(slot);
    const { stream: cells } = this.#region.layout;
    if (stream?.generation !== generation || stream.clientWire === undefined || stream.serverWire === undefined) return;
    const client = this.wires.get(stream.clientWire);
    const server = this.wires.get(stream.serverWire);
    const row = this.#region.streamAt(slot);
    for (const wire of [client, server]) {
      for (const [channel, route] of wire?.routes ?? []) if (route.stream === slot) wire?.routes.delete(channel);
    }
    for (const part of stream.state === 'open' ? (['rtp', 'rtcp'] as const) : []) {
      const [near, far] = [stream.clientChannels[part], stream.serverChannels[part]];
      client?.routes.set(near, { stream: slot, wire: stream.serverWire, channel: far });
      server?.routes.set(far, { stream: slot, wire: stream.clientWire, channel: near });
    }
    this.#region.storeU32(
      row + (stream.state === 'open' ? cells.attachedGeneration : cells.releasedGeneration),
      generation,
    );
  }

  #say(wire: FakeWire, kind: keyof SharedRegion['layout']['recordKind'], rest: Partial<InboxRecord> = {}): void {
    const common = { kind: this.#region.layout.recordKind[kind], wire: wire.slot, generation: wire.generation };
    this.#inbox.push({ ...common, seq: 0, value: 0, continueSeq: 0, token: 0, bytes: Buffer.alloc(0), ...rest });
    setImmediate(() => this.#wake());
  }

  #cell(wire: FakeWire, cell: 'attachedGeneration' | 'releasedGeneration' | 'writtenSeq', value: number): void {
    this.#region.storeU32(this.#region.wireAt(wire.slot) + this.#region.layout.wire[cell], value);
  }
}

/** Of the message at the beginning; 0 = it is not complete. */
function messageBytes(input: Buffer): number {
  const text = input.toString('latin1');
  const head = text.indexOf(HEAD_END) + HEAD_END.length;
  if (head < HEAD_END.length) return 0;
  const total = head + Number(/^content-length: *(\d+)/im.exec(text.slice(0, head))?.[1] ?? 0);
  return total <= input.length ? total : 0;
}

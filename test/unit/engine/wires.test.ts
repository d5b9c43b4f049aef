import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { InboxRecord, OutboxRecord } from '../../../src/engine/binding.js';
import type { SharedRegion } from '../../../src/engine/shared-region.js';
import type { Wire, WireHandler } from '../../../src/engine/wire.js';
import { WireRow, type WireSpec } from '../../../src/engine/wire-rows.js';
import { Wires, type WiresOptions } from '../../../src/engine/wires.js';
import { freshRegion } from '../../support/fresh-region.js';

const FIRST = 8; // of the slice of worker 1
const spec: WireSpec = {
  kind: 'client',
  thread: 0,
  link: undefined,
  vserver: 1,
  service: 0,
  remote: { ip: '192.0.2.9', port: 40_000 },
  local: { ip: '192.0.2.1', port: 554 },
  proxied: { by: { ip: '192.0.2.5', port: 50_000 }, destination: { ip: '2001:db8::1', port: 554 } },
};

let region: SharedRegion;
let said: OutboxRecord[];
let inbox: InboxRecord[];
let full: boolean;
let binding: WiresOptions['binding'];
const handOverWire = vi.fn();

beforeEach(() => {
  region = freshRegion();
  said = [];
  inbox = [];
  full = false;
  handOverWire.mockReset();
  binding = {
    handOverWire,
    outboxPush: (_worker, _thread, record) => {
      if (!full) said.push(record);
      return !full;
    },
    inboxRead: (_worker, thread, max) => (thread === 0 ? inbox.splice(0, max) : []),
    watchWake: () => {},
    wake: () => {},
  };
});

const open = () => new Wires({ binding, region, worker: 1, vaultFd: 5, wakeFds: [6, 7], inboxFd: 8, now: () => 1_000 });

function handler() {
  const calls: unknown[][] = [];
  const note =
    (name: string) =>
    (...values: unknown[]) =>
      calls.push([name, ...values]);
  const made: WireHandler = {
    onAttached: note('attached'),
    onMessage: note('message'),
    onFault: note('fault'),
    onEnd: note('end'),
    onClosed: note('closed'),
  };
  return { ...made, calls };
}

/** What the engine says of a wire; heard at once. */
function hear(
  wires: Wires,
  wire: Wire,
  kind: keyof SharedRegion['layout']['recordKind'],
  rest: Partial<InboxRecord> = {},
) {
  const record = { kind: region.layout.recordKind[kind], wire: wire.slot, generation: wire.generation };
  inbox.push({ seq: 0, value: 0, continueSeq: 0, token: 0, bytes: Buffer.alloc(0), ...record, ...rest });
  wires.drain();
}

/** The engine has it, and wrote the messages up to `written`. */
function attach(wire: Wire, written: number): void {
  const at = region.wireAt(wire.slot);
  region.storeU32(at + region.layout.wire.attachedGeneration, wire.generation);
  region.storeU32(at + region.layout.wire.writtenSeq, written);
}

const names = () => {
  const kinds = Object.entries(region.layout.recordKind);
  return said.map(({ kind, seq }) => {
    const name = kinds.find(([, value]) => value === kind)?.[0];
    return seq === undefined || name === 'start' ? name : `${name} ${seq}`;
  });
};

describe('a wire', () => {
  it('is entered before its descriptor is given away, and started by whoever takes it', () => {
    handOverWire.mockImplementation((_vault, slot, generation) => {
      expect(new WireRow(region, slot).read()).toMatchObject({ ...spec, generation, state: 'open', worker: 1 });
    });
    const wires = open();
    const wire = wires.open(spec, 77);
    expect(handOverWire).toHaveBeenCalledWith(5, FIRST, 1, 77);
    wire.start(handler());
    expect(said).toMatchObject([{ seq: wires.token }]);
  });

  it('leaves no row where it cannot be given away', () => {
    const wires = open();
    handOverWire.mockImplementationOnce(() => {
      throw new Error('the vault is gone');
    });
    expect(() => wires.open(spec, 77)).toThrow('the vault is gone');
    expect(new WireRow(region, FIRST).read()).toBeUndefined();
    expect(wires.open(spec, 77).slot).toBe(FIRST);
  });

  it('is refused when the slice is full, and its row used again when the engine let go', () => {
    const wires = open();
    const all = Array.from({ length: 8 }, () => wires.open({ ...spec, thread: wires.nextThread() }, 77));
    expect(wires.hasRoom(1)).toBe(false);
    expect(() => wires.open(spec, 77)).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_TABLE_FULL' }));
    const [first, second] = all as [Wire, Wire];
    first.close();
    second.close();
    expect(wires.hasRoom(1)).toBe(false);
    hear(wires, first, 'released');
    // Nobody told of the other one: the row says so.
    region.storeU32(region.wireAt(second.slot) + region.layout.wire.releasedGeneration, second.generation);
    wires.tick();
    expect(wires.hasRoom(2)).toBe(true);
    expect(wires.open({ ...spec, thread: second.thread }, 77)).toMatchObject({ slot: second.slot, generation: 2 });
  });

  it("of a client has a row of its thread; one of a server follows its client's, in whatever row", () => {
    const wires = open();
    const { engineThreads } = region.geometry;
    for (let thread = 0; thread < engineThreads; thread++) {
      expect(wires.hasRoom(1, thread)).toBe(true);
      expect(wires.open({ ...spec, thread }, 77).slot % engineThreads).toBe(thread);
    }
    while (wires.hasRoom(1, 0)) wires.open(spec, 77);
    expect(wires.hasRoom(1)).toBe(engineThreads > 1);
    expect(() => wires.open(spec, 77)).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_TABLE_FULL' }));
    if (wires.hasRoom(1)) expect(wires.open({ ...spec, kind: 'upstream', link: 0 }, 77).thread).toBe(0);
  });

  it('tells its owner what the engine says, but nothing of a former generation', () => {
    const wires = open();
    const wire = wires.open(spec, 77);
    const owner = handler();
    wire.start(owner);
    hear(wires, wire, 'attached', { continueSeq: 3 });
    hear(wires, wire, 'message', { seq: 4, bytes: Buffer.from('m') });
    hear(wires, wire, 'message', { seq: 5, generation: 9 });
    hear(wires, wire, 'fault', { value: region.layout.wireFault.late });
    hear(wires, wire, 'end');
    hear(wires, wire, 'closed', { value: region.layout.wireEnd.error, seq: 104 });
    expect(owner.calls).toEqual([
      ['attached', 3, 0],
      ['message', 4, Buffer.from('m')],
      ['fault', 'late', Buffer.alloc(0)],
      ['end'],
      ['closed', 'error', 104],
    ]);
    expect(names()).toEqual(['start', 'close']);
    expect(new WireRow(region, wire.slot).read()).toMatchObject({ state: 'closing' });
  });

  it('says again to a new engine what has not left, and asks again for its end', () => {
    const wires = open();
    const wire = wires.open(spec, 77);
    wire.start(handler());
    for (const text of ['one', 'two', 'three']) wire.write(Buffer.from(text));
    attach(wire, 1);
    expect(wire.backlog).toBe('twothree'.length);
    wire.shutdown();
    said = [];
    hear(wires, wire, 'attached', { seq: 1, value: 1 });
    expect(names()).toEqual(['write 2', 'write 3', 'shutdown']);
    attach(wire, 3);
    expect(wire.backlog).toBe(0);
    wire.close();
    said = [];
    hear(wires, wire, 'attached');
    expect(names()).toEqual(['close']);
  });

  it('waits for a ring without room, keeps the order, and says no message twice', async () => {
    const wires = open();
    const wire = wires.open(spec, 77);
    wire.start(handler());
    full = true;
    wire.write(Buffer.from('one'), { wire: wire.ref, seq: 4 });
    wire.continue(5);
    full = false;
    wire.write(Buffer.from('two'));
    expect(names()).toEqual(['start']);
    hear(wires, wire, 'attached');
    await vi.waitFor(() => expect(said).toHaveLength(4));
    expect(names()).toEqual(['start', 'continue 5', 'write 1', 'write 2']);
    expect(said[2]?.continues).toEqual({ wire: FIRST, generation: 1, seq: 4 });
  });
});

describe('a successor', () => {
  it('finds the wires that are open, closes those that were closing, and frees those that never were', () => {
    const before = open();
    const [kept, closing, half] = [before.open(spec, 1), before.open(spec, 2), before.open(spec, 3)];
    closing.close();
    region.addU32(region.wireAt(half.slot) + region.layout.wire.sequence, 1);
    said = [];
    const after = open();
    expect(after.adopted.map(({ slot }) => slot)).toEqual([kept.slot]);
    expect(names()).toEqual(['close', 'close']);
  });

  it('numbers its messages behind those of its predecessor', () => {
    open().open(spec, 77);
    const wires = open();
    const [wire] = wires.adopted as [Wire];
    said = [];
    wire.start(handler());
    wire.write(Buffer.from('early'));
    expect(names()).toEqual(['start']);
    expect(wire.backlog).toBe('early'.length);
    hear(wires, wire, 'attached', { seq: 6, value: 6, token: wires.token });
    wire.write(Buffer.from('late'));
    expect(names()).toEqual(['start', 'write 7', 'write 8']);
  });

  it('hears nothing before the engine has told where a wire stands', () => {
    open().open(spec, 77);
    const wires = open();
    const [wire] = wires.adopted as [Wire];
    const owner = handler();
    wire.start(owner);
    hear(wires, wire, 'message', { seq: 3 });
    // To its predecessor, or by an engine that has not heard of it.
    hear(wires, wire, 'attached', { seq: 9, continueSeq: 8, token: wires.token ^ 1 });
    hear(wires, wire, 'attached', { seq: 4, continueSeq: 2 });
    hear(wires, wire, 'message', { seq: 3 });
    expect(owner.calls).toEqual([]);
    hear(wires, wire, 'attached', { seq: 5, continueSeq: 2, token: wires.token });
    hear(wires, wire, 'message', { seq: 3 });
    expect(owner.calls.map(([name]) => name)).toEqual(['attached', 'message']);
    expect(wire.nextSeq).toBe(6);
  });

  it('asks again where a wire stands as long as no engine has heard of it', () => {
    open().open(spec, 77);
    const wires = open();
    const [wire] = wires.adopted as [Wire];
    wires.tick();
    wire.start(handler());
    said = [];
    wires.tick();
    hear(wires, wire, 'attached', { seq: 4 });
    expect(names()).toEqual(['start', 'start']);
    hear(wires, wire, 'attached', { token: wires.token });
    said = [];
    wires.tick();
    hear(wires, wire, 'attached');
    expect(names()).toEqual([]);
  });

  it('fills the numbers of what its predecessor and an engine died with, and says again what it knows of it', () => {
    open().open(spec, 77);
    const wires = open();
    const [wire] = wires.adopted as [Wire];
    wire.start(handler());
    hear(wires, wire, 'attached', { seq: 6, value: 3, token: wires.token });
    wire.keep(5, Buffer.from('five'));
    wire.write(Buffer.from('seven'));
    attach(wire, 3);
    said = [];
    hear(wires, wire, 'attached', { seq: 3, value: 3 });
    expect(names()).toEqual(['write 4', 'write 5', 'write 6', 'write 7']);
    expect(said.map(({ bytes }) => String(bytes))).toEqual(['', 'five', '', 'seven']);
  });
});

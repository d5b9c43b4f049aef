import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { SharedRegion } from '../../../src/engine/shared-region.js';
import { hashSession, SessionIndex } from '../../../src/session/session-index.js';
import type { SessionSpec } from '../../../src/session/session-row-writer.js';
import { SessionRows } from '../../../src/session/session-rows.js';
import { SessionTable } from '../../../src/session/session-table.js';
import type { LegSpec, StreamSpec } from '../../../src/session/stream-row-writer.js';
import { freshRegion } from '../../support/fresh-region.js';

const SESSIONS = 8;
const STREAMS = 16;

let region: SharedRegion;
let now: number;
let table: SessionTable;
beforeEach(() => {
  region = freshRegion({ workers: 2, sessionsPerWorker: SESSIONS, streamsPerWorker: STREAMS });
  now = 1000;
  table = new SessionTable(region, 0, () => now);
});

const coded = (code: string) => expect.objectContaining({ code });

function session(serverId: string, service = 1): SessionSpec {
  return {
    vserver: 2,
    service,
    serverId,
    controlUrl: `rtsp://10.77.1.1/test/${serverId}`,
    client: { ip: '10.77.1.2', port: 40000 },
    timeoutSec: 60,
  };
}

function leg(port: number, declaredPort = 0): LegSpec {
  return {
    local: { ip: '10.77.1.1', port },
    declared: { ip: '10.77.1.2', port: declaredPort },
    latching: 'sameIp',
    expectsMedia: false,
  };
}

function udp(owner: number, legs = [leg(20000, 5000), leg(20001, 5001), leg(20002), leg(20003)]): StreamSpec {
  return { session: owner, service: 1, transport: 'udp', media: 'video', clockRate: 90000, legs };
}

function interleaved(owner: number): StreamSpec {
  return {
    session: owner,
    service: 1,
    transport: 'interleaved',
    media: 'audio',
    clockRate: 48000,
    legs: [],
    channels: { client: { rtp: 2, rtcp: 3 }, server: { rtp: 0, rtcp: 1 } },
  };
}

/** What the engine thread does with a stream: clear its data half, then say which generation it speaks of. */
function attach(slot: number, generation: number): void {
  const { stream, sizes, limits } = region.layout;
  region.clear(region.legDataAt(slot, 0), sizes.legData * limits.legsPerStream);
  region.storeU32(region.streamAt(slot) + stream.attachedGeneration, generation);
}

function release(slot: number, generation: number): void {
  region.storeU32(region.streamAt(slot) + region.layout.stream.releasedGeneration, generation);
}

function heard(slot: number, legIndex: number, at: number): void {
  region.setF64(region.legDataAt(slot, legIndex) + region.layout.legData.lastRxMs, at);
}

describe('session entries', () => {
  it('are read by every process as they were opened', () => {
    const slot = table.openSession({ ...session('L9F2t3UcU+eUgQ6D'), client: { ip: '2001:db8::7', port: 1 } });
    expect(new SessionRows(region).read(slot)).toEqual({
      state: 'open',
      slot,
      worker: 0,
      generation: 1,
      vserver: 2,
      service: 1,
      serverId: 'L9F2t3UcU+eUgQ6D',
      controlUrl: 'rtsp://10.77.1.1/test/L9F2t3UcU+eUgQ6D',
      timeoutSec: 60,
      playing: false,
      recording: false,
      interleaved: false,
      client: { ip: '2001:db8::7', port: 1 },
      streams: 0,
      openedMs: 1000,
      clientControlMs: 1000,
      serverControlMs: 1000,
    });
  });

  it('keep what changes', () => {
    const slot = table.openSession(session('a'));
    now = 2000;
    table.touchClient(slot);
    table.touchServer(slot, 3000);
    table.setFlags(slot, { playing: true, interleaved: true });
    table.setFlags(slot, { playing: false, recording: true });
    table.setTimeout(slot, 30);
    table.setControlUrl(slot, 'rtsp://x/');
    table.setClient(slot, { ip: '10.77.1.3', port: 2 });
    expect(table.read(slot)).toMatchObject({
      clientControlMs: 2000,
      serverControlMs: 3000,
      playing: false,
      recording: true,
      interleaved: true,
      timeoutSec: 30,
      controlUrl: 'rtsp://x/',
      client: { ip: '10.77.1.3', port: 2 },
    });
  });

  it('are found by service and server id, at whatever worker, the asking one first', () => {
    const other = new SessionTable(region, 1, () => now);
    const mine = table.openSession(session('same'));
    const theirs = other.openSession(session('same'));
    table.openSession(session('same', 2));
    other.openSession(session('another'));
    expect(table.find(1, 'same')).toEqual([
      { slot: mine, worker: 0, generation: 1 },
      { slot: theirs, worker: 1, generation: 1 },
    ]);
    expect(other.find(1, 'same', 1).map(({ worker }) => worker)).toEqual([1, 0]);
    expect([table.findOwn(1, 'same'), other.findOwn(1, 'same')]).toEqual([mine, theirs]);
    expect(table.findOwn(1, 'another')).toBeUndefined();
    expect(table.find(0, 'same')).toEqual([]);
    expect(theirs).toBeGreaterThanOrEqual(SESSIONS);
  });

  it('are gone when closed, and their row is another generation', () => {
    const slot = table.openSession(session('a'));
    expect(table.closeSession(slot)).toEqual([]);
    expect(table.read(slot)).toBeUndefined();
    expect(table.find(1, 'a')).toEqual([]);
    expect(table.openSession(session('b'))).toBe(slot);
    expect(table.read(slot)).toMatchObject({ serverId: 'b', generation: 2 });
    expect(table.find(1, 'a')).toEqual([]);
  });

  it('fill the slice and no more, and can then be closed and opened again', () => {
    const slots = Array.from({ length: SESSIONS }, (_, i) => table.openSession(session(`id${i}`)));
    expect(new Set(slots).size).toBe(SESSIONS);
    expect(() => table.openSession(session('more'))).toThrow(coded('PENSTOCK_ERR_TABLE_FULL'));
    expect(table.stats()).toMatchObject({ sessions: SESSIONS, freeSessions: 0, refused: 1 });
    expect(table.find(1, 'more')).toEqual([]);
    expect(table.find(1, 'id3')).toHaveLength(1);
    table.closeSession(slots[3] ?? -1);
    expect(table.read(table.openSession(session('more')))?.serverId).toBe('more');
  });

  it('hold the longest strings, and refuse longer ones without a trace', () => {
    const { maxServerId, maxControlUrl } = region.layout.limits;
    const id = 'x'.repeat(maxServerId);
    const controlUrl = `rtsp://${'u'.repeat(maxControlUrl - 7)}`;
    const slot = table.openSession({ ...session(id), controlUrl });
    expect(table.read(slot)).toMatchObject({ serverId: id, controlUrl });
    const before = table.stats();
    expect(() => table.openSession(session(`${id}x`))).toThrow(coded('PENSTOCK_ERR_SESSION_ID_TOO_LONG'));
    expect(() => table.openSession(session('\u00e9'.repeat(maxServerId / 2 + 1)))).toThrow(
      coded('PENSTOCK_ERR_SESSION_ID_TOO_LONG'),
    );
    expect(() => table.openSession({ ...session('b'), controlUrl: `${controlUrl}u` })).toThrow(
      coded('PENSTOCK_ERR_URL_TOO_LONG'),
    );
    expect(() => table.setControlUrl(slot, `${controlUrl}u`)).toThrow(coded('PENSTOCK_ERR_URL_TOO_LONG'));
    expect(table.stats()).toEqual(before);
    expect(table.read(slot)).toMatchObject({ serverId: id, controlUrl });
  });

  it('leave nothing of a longer predecessor', () => {
    table.closeSession(table.openSession(session('a-rather-long-session-id')));
    const slot = table.openSession({ ...session('é'), controlUrl: 'u' });
    expect(table.read(slot)).toMatchObject({ serverId: 'é', controlUrl: 'u' });
  });

  it('are written by their own worker alone', () => {
    const other = new SessionTable(region, 1, () => now);
    const slot = table.openSession(session('a'));
    expect(() => other.touchClient(slot)).toThrow(RangeError);
    expect(() => other.closeSession(slot)).toThrow(RangeError);
    expect(() => other.openStream(udp(slot))).toThrow(RangeError);
    table.closeSession(slot);
    expect(() => table.setTimeout(slot, 1)).toThrow(RangeError);
    expect(() => table.closeSession(slot)).toThrow(RangeError);
  });
});

describe('the index', () => {
  it('agrees with a model over 100,000 random openings and closings', () => {
    region = freshRegion({ workers: 2, sessionsPerWorker: 64, streamsPerWorker: 1 });
    const tables = [new SessionTable(region, 0), new SessionTable(region, 1)];
    const model = [new Map<string, number>(), new Map<string, number>()];
    const random = lcg(7);
    for (let step = 0; step < 100_000; step++) {
      const worker = random() < 0.5 ? 0 : 1;
      const [own, open] = [tables[worker] as SessionTable, model[worker] as Map<string, number>];
      // Mostly full, and mostly ids that were never seen: that is what wears an index out.
      const serverId = random() < 0.1 ? `id${Math.floor(random() * 90)}` : `id${step}`;
      const victim = [...open.keys()][Math.floor(random() * open.size)];
      if (victim !== undefined && (open.size === 64 || random() < 0.1)) {
        own.closeSession(open.get(victim) ?? -1);
        open.delete(victim);
        expect(own.findOwn(1, victim)).toBeUndefined();
      } else if (!open.has(serverId)) open.set(serverId, own.openSession(session(serverId)));
      expect(own.findOwn(1, serverId)).toBe(open.get(serverId));
      if (step % 1000 === 0) expectAll(tables[0] as SessionTable, model);
    }
    expect(tables[0]?.stats().indexRebuilds).toBeGreaterThan(10);
    expect([...(tables[1]?.ownSessions() ?? [])].sort()).toEqual([...(model[1]?.values() ?? [])].sort());
  }, 120_000);

  function expectAll(reader: SessionRows, model: Map<string, number>[]): void {
    for (const serverId of new Set(model.flatMap((open) => [...open.keys()]))) {
      const expected = model.flatMap((open) => open.get(serverId) ?? []);
      expect(reader.find(1, serverId).map(({ slot }) => slot)).toEqual(expected);
    }
  }

  it('works in the smallest slice', () => {
    region = freshRegion({ workers: 1, sessionsPerWorker: 1, streamsPerWorker: 1 });
    const small = new SessionTable(region, 0);
    for (let i = 0; i < 50; i++) {
      const slot = small.openSession(session(`id${i}`));
      expect(small.findOwn(1, `id${i}`)).toBe(slot);
      expect(small.findOwn(1, `id${i + 1}`)).toBeUndefined();
      small.closeSession(slot);
      expect(small.findOwn(1, `id${i}`)).toBeUndefined();
    }
  });

  it('spreads usual ids well', () => {
    const buckets = new Array<number>(64).fill(0);
    for (let i = 0; i < 6400; i++) {
      const bucket = hashSession(1, i.toString(16).padStart(8, '0').toUpperCase()) % 64;
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    expect(Math.max(...buckets)).toBeLessThan(170);
    expect(Math.min(...buckets)).toBeGreaterThan(50);
  });

  it('is searched again where it was rebuilt meanwhile, and misses nothing', () => {
    const slot = table.openSession(session('a'));
    const index = new SessionIndex(region, 0);
    const hash = hashSession(1, 'a');
    const load = region.loadU32.bind(region);
    const spy = vi.spyOn(region, 'loadU32').mockImplementationOnce(load);
    // The reader's first look at a word, in the middle of a rebuild.
    spy.mockImplementationOnce((offset) => {
      index.rebuild([]);
      const word = load(offset);
      index.rebuild([[hash, slot]]);
      return word;
    });
    expect(index.candidates(hash)).toEqual([slot]);
    spy.mockRestore();
  });

  it('is not needed to find a session while a dead worker left it half-built', () => {
    const slot = table.openSession(session('a'));
    region.storeU32(region.indexAt(0), 1);
    expect(new SessionRows(region).find(1, 'a')).toEqual([{ slot, worker: 0, generation: 1 }]);
    expect(new SessionRows(region).find(1, 'b')).toEqual([]);
  });
});

describe('streams', () => {
  it('are read by every process as they were opened', () => {
    const owner = table.openSession(session('a'));
    const { slot, generation } = table.openStream(udp(owner));
    const view = new SessionRows(region).readStream(slot);
    expect(view).toMatchObject({
      slot,
      worker: 0,
      generation,
      state: 'open',
      session: owner,
      service: 1,
      clockRate: 90000,
      transport: region.layout.streamTransport.udp,
      media: 1,
      openedMs: 1000,
      attached: false,
    });
    expect(view?.legs.map(({ local, declared }) => [local?.port, declared?.port])).toEqual([
      [20000, 5000],
      [20001, 5001],
      [20002, 0],
      [20003, 0],
    ]);
    expect(table.read(owner)?.streams).toBe(1);
    expect(table.streamsOf(owner)).toEqual([{ slot, generation }]);
    expect(new SessionRows(region).streamsOf(owner)).toEqual([{ slot, generation }]);
  });

  it('carry what the engine should know of each leg', () => {
    const owner = table.openSession(session('a'));
    const rewrite = {
      flags: 15,
      ssrcFrom: 1,
      ssrcTo: 0xffffffff,
      timestampDelta: 3,
      sequenceDelta: 65535,
      payloadType: 96,
    };
    const { slot } = table.openStream(udp(owner, [{ ...leg(1), expectsMedia: true, latching: 'any', rewrite }]));
    const at = region.legAt(slot, 0);
    const cells = region.layout.rewrite;
    expect(table.readStream(slot)?.legs[0]).toMatchObject({
      latching: region.layout.latching.any,
      flags: region.layout.legFlags.expectsMedia,
    });
    expect(region.getU32(at + region.layout.leg.rewrite + cells.ssrcTo)).toBe(0xffffffff);
    expect(region.getU16(at + region.layout.leg.rewrite + cells.sequenceDelta)).toBe(65535);
    expect(region.getU8(at + region.layout.leg.rewrite + cells.payloadType)).toBe(96);
    expect(table.readStream(slot)?.legs[1]).toMatchObject({ local: undefined, declared: undefined });
  });

  it('name their wires by generation too, so that whoever has the row later is nobody', () => {
    const { wire, stream, limits } = region.layout;
    const owner = table.openSession(session('a'));
    const { slot } = table.openStream(udp(owner));
    const row = region.streamAt(slot);
    const named = () =>
      [stream.clientWire, stream.clientWireGeneration, stream.serverWire, stream.serverWireGeneration].map((cell) =>
        region.getU32(row + cell),
      );
    expect(named()).toEqual([limits.noWire, 0, limits.noWire, 0]);
    region.storeU32(region.wireAt(0) + wire.generation, 7);
    region.storeU32(region.wireAt(1) + wire.generation, 9);
    const before = region.loadU32(row + stream.sequence);
    table.setWires(slot, { client: 0, server: 1 });
    expect(named()).toEqual([0, 7, 1, 9]);
    expect(region.loadU32(row + stream.sequence)).toBe(before + 2);
    table.setWires(slot, undefined);
    expect(named()).toEqual([limits.noWire, 0, limits.noWire, 0]);
  });

  it('wait for the engine before their row is used again', () => {
    const owner = table.openSession(session('a'));
    const ref = table.openStream(udp(owner));
    expect(table.closeStream(ref.slot)).toEqual(ref);
    expect(table.closeStream(ref.slot)).toBeUndefined();
    expect(table.readStream(ref.slot)?.state).toBe('closing');
    expect(table.streamsOf(owner)).toEqual([]);
    expect(table.read(owner)?.streams).toBe(0);
    expect([...table.ownStreams()]).toEqual([{ ...ref, closing: true }]);
    expect(table.freeReleased()).toBe(0);
    release(ref.slot, ref.generation - 1);
    expect(table.freeReleased()).toBe(0);
    release(ref.slot, ref.generation);
    expect(table.freeReleased()).toBe(1);
    expect(table.readStream(ref.slot)).toBeUndefined();
    expect(table.stats()).toMatchObject({ streams: 0, closingStreams: 0, freeStreams: STREAMS });
    expect(table.openStream(udp(owner))).toEqual({ slot: ref.slot, generation: ref.generation + 1 });
  });

  it('that the engine never had are given up after a while, those that it has are not', () => {
    const owner = table.openSession(session('a'));
    const [unknown, known] = [table.openStream(udp(owner)), table.openStream(udp(owner))];
    attach(known.slot, known.generation);
    table.closeSession(owner);
    now += 30_000;
    expect(table.freeReleased()).toBe(0);
    now += 1;
    expect(table.freeReleased()).toBe(1);
    expect(table.readStream(unknown.slot)).toBeUndefined();
    expect(table.readStream(known.slot)?.state).toBe('closing');
  });

  it('end with their session', () => {
    const owner = table.openSession(session('a'));
    const refs = [table.openStream(udp(owner)), table.openStream(udp(owner))];
    table.openStream(interleaved(owner));
    expect(table.closeSession(owner)).toEqual(refs);
    expect(table.stats()).toMatchObject({ sessions: 0, streams: 0, closingStreams: 2, freeStreams: STREAMS - 2 });
  });

  it('that never went to the engine are free at once', () => {
    const owner = table.openSession(session('a'));
    const { slot } = table.openStream(udp(owner));
    table.abandonStream(slot);
    table.abandonStream(slot);
    expect(table.readStream(slot)).toBeUndefined();
    expect(table.stats()).toMatchObject({ streams: 0, closingStreams: 0, freeStreams: STREAMS });
  });

  it('fill the slice and no more; a released one is found before one is refused', () => {
    const owner = table.openSession(session('a'));
    const refs = Array.from({ length: STREAMS }, () => table.openStream(udp(owner)));
    expect(() => table.openStream(udp(owner))).toThrow(coded('PENSTOCK_ERR_TABLE_FULL'));
    const [first] = refs;
    if (first === undefined) throw new Error('no stream');
    table.closeStream(first.slot);
    release(first.slot, first.generation);
    expect(table.openStream(udp(owner))).toEqual({ slot: first.slot, generation: 2 });
  });

  it('lie on consecutive rows, so that the engine threads share the work', () => {
    const owner = table.openSession(session('a'));
    expect([0, 1, 2].map(() => table.openStream(udp(owner)).slot)).toEqual([0, 1, 2]);
  });

  it('show no data of the row’s former opening', () => {
    const owner = table.openSession(session('a'));
    const old = table.openStream(udp(owner));
    attach(old.slot, old.generation);
    heard(old.slot, 0, 5000);
    expect(table.readStream(old.slot)).toMatchObject({ attached: true });
    expect(table.readStream(old.slot)?.legs[0]?.lastRxMs).toBe(5000);
    table.closeStream(old.slot);
    release(old.slot, old.generation);
    table.freeReleased();
    const fresh = table.openStream(udp(owner));
    expect(fresh.slot).toBe(old.slot);
    expect(table.readStream(fresh.slot)?.legs[0]?.lastRxMs).toBe(0);
    expect(table.activity(owner)).toEqual({ clientMs: 1000, serverMs: 1000 });
  });

  it('interleaved are counted here, and free at once', () => {
    const owner = table.openSession(session('a'));
    const { clientRtp, clientRtcp, serverRtp } = region.layout.legIndex;
    const { slot } = table.openStream(interleaved(owner));
    now = 4000;
    table.countFrame(slot, serverRtp, 1400);
    table.countFrame(slot, serverRtp, 100);
    now = 5000;
    table.countFrame(slot, clientRtcp, 52);
    table.countDroppedFrame(slot, serverRtp);
    const view = table.readStream(slot);
    expect(view).toMatchObject({
      attached: true,
      clientChannels: { rtp: 2, rtcp: 3 },
      serverChannels: { rtp: 0, rtcp: 1 },
    });
    expect(view?.legs[serverRtp]).toMatchObject({ rxPackets: 2, rxBytes: 1500, refused: 1, lastRxMs: 5000 });
    expect(view?.legs[clientRtp]).toMatchObject({ txPackets: 2, txBytes: 1500, rxPackets: 0 });
    expect(table.activity(owner)).toEqual({ clientMs: 5000, serverMs: 5000 });
    expect(table.closeStream(slot)).toBeUndefined();
    const again = table.openStream(interleaved(owner));
    expect(table.readStream(again.slot)?.legs[serverRtp]).toMatchObject({ rxPackets: 0, refused: 0, lastRxMs: 0 });
    expect(again.slot).toBe(slot);
  });
});

describe('activity', () => {
  it('is the newest of control and media, side by side', () => {
    const owner = table.openSession(session('a'));
    const [one, two] = [table.openStream(udp(owner)), table.openStream(udp(owner))];
    const { clientRtp, clientRtcp, serverRtp, serverRtcp } = region.layout.legIndex;
    expect(table.activity(owner)).toEqual({ clientMs: 1000, serverMs: 1000 });
    for (const { slot, generation } of [one, two]) attach(slot, generation);
    heard(one.slot, clientRtcp, 2000);
    heard(two.slot, clientRtp, 1500);
    heard(two.slot, serverRtp, 3000);
    heard(one.slot, serverRtcp, 3500);
    expect(table.activity(owner)).toEqual({ clientMs: 2000, serverMs: 3500 });
    expect(new SessionTable(region, 1).activity(owner)).toEqual({ clientMs: 2000, serverMs: 3500 });
    table.touchClient(owner, 9000);
    expect(table.activity(owner)).toEqual({ clientMs: 9000, serverMs: 3500 });
  });
});

describe('a successor', () => {
  it('of nobody adopts nothing', () => {
    expect(table.adopted).toEqual({ sessions: 0, streams: 0, reclaimed: 0, closing: [] });
  });

  it('finds sessions and streams, and goes on with them', () => {
    const owner = table.openSession(session('a'));
    const gone = table.openSession(session('gone'));
    const [open, closing] = [table.openStream(udp(owner)), table.openStream(udp(owner))];
    attach(open.slot, open.generation);
    table.closeStream(closing.slot);
    table.closeSession(gone);
    const next = new SessionTable(region, 0, () => now);
    expect(next.adopted).toEqual({ sessions: 1, streams: 1, reclaimed: 0, closing: [closing] });
    expect(next.findOwn(1, 'a')).toBe(owner);
    expect(next.findOwn(1, 'gone')).toBeUndefined();
    expect([...next.ownSessions()]).toEqual([owner]);
    expect(next.streamsOf(owner)).toEqual([open]);
    expect([...next.ownStreams()]).toEqual([
      { ...open, closing: false },
      { ...closing, closing: true },
    ]);
    expect(next.stats()).toMatchObject({ freeSessions: SESSIONS - 1, freeStreams: STREAMS - 2 });
    expect(next.openSession(session('b'))).not.toBe(owner);
    expect(next.closeSession(owner)).toEqual([open]);
    for (const { slot, generation } of [open, closing]) release(slot, generation);
    expect(next.freeReleased()).toBe(2);
  });

  it('reclaims a session that was being written, and closes its streams', () => {
    const owner = table.openSession(session('a'));
    const kept = table.openSession(session('kept'));
    const stream = table.openStream(udp(owner));
    const row = region.sessionAt(owner) + region.layout.session.sequence;
    region.storeU32(row, region.loadU32(row) + 1);
    const next = new SessionTable(region, 0);
    expect(next.adopted).toEqual({ sessions: 1, streams: 0, reclaimed: 1, closing: [stream] });
    expect(next.findOwn(1, 'a')).toBeUndefined();
    expect(next.findOwn(1, 'kept')).toBe(kept);
    expect(next.readStream(stream.slot)?.state).toBe('closing');
    expect(next.stats().freeSessions).toBe(SESSIONS - 1);
  });

  it('frees a stream row that was being opened, and closes one that was being changed', () => {
    const owner = table.openSession(session('a'));
    const changed = table.openStream(udp(owner));
    const { stream } = region.layout;
    const opening = region.streamAt(5);
    region.storeU32(opening + stream.sequence, 1);
    region.storeU32(opening + stream.generation, 1);
    const row = region.streamAt(changed.slot) + stream.sequence;
    region.storeU32(row, region.loadU32(row) + 1);
    const next = new SessionTable(region, 0);
    expect(next.adopted).toEqual({ sessions: 1, streams: 0, reclaimed: 2, closing: [changed] });
    expect(next.readStream(5)).toBeUndefined();
    expect(next.read(owner)?.streams).toBe(0);
    expect(next.stats().freeStreams).toBe(STREAMS - 1);
  });

  it('mends the index and the number of streams, whatever it finds', () => {
    const owner = table.openSession(session('a'));
    table.openStream(udp(owner));
    region.storeU32(region.sessionAt(owner) + region.layout.session.streams, 9);
    region.bytes(region.indexAt(0), 4 * region.geometry.indexPerWorker).fill(0xff);
    const next = new SessionTable(region, 0);
    expect(next.findOwn(1, 'a')).toBe(owner);
    expect(next.read(owner)?.streams).toBe(1);
    expect(next.findOwn(1, 'b')).toBeUndefined();
  });

  it('does not touch the slices of others', () => {
    const other = new SessionTable(region, 1);
    const slot = other.openSession(session('a'));
    const sequence = region.sessionAt(slot) + region.layout.session.sequence;
    region.storeU32(sequence, region.loadU32(sequence) + 1);
    expect(new SessionTable(region, 0).adopted.reclaimed).toBe(0);
    expect(region.loadU32(sequence) % 2).toBe(1);
    expect(table.read(slot)).toBeUndefined();
  });

  it('finds a whole slice, wherever its predecessor stopped', () => {
    const steps = fc.array(fc.constantFrom('session', 'stream', 'close', 'end', 'die'), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (script) => {
        region = freshRegion({ workers: 1, sessionsPerWorker: 4, streamsPerWorker: 6 });
        let current = new SessionTable(region, 0);
        for (const [i, step] of script.entries()) current = play(current, step, `id${i}`);
        const { sessions, freeSessions, streams, closingStreams, freeStreams } = current.stats();
        expect(sessions + freeSessions).toBe(4);
        expect(streams + closingStreams + freeStreams).toBe(6);
        for (const slot of current.ownSessions()) {
          const view = current.read(slot);
          expect(current.findOwn(1, view?.serverId ?? '')).toBe(slot);
          expect(current.streamsOf(slot)).toHaveLength(view?.streams ?? -1);
        }
      }),
      { numRuns: 60 },
    );
  });

  function play(current: SessionTable, step: string, id: string): SessionTable {
    const [owner] = current.ownSessions();
    const [stream] = current.ownStreams();
    const { freeSessions, freeStreams } = current.stats();
    if (step === 'session' && freeSessions > 0) current.openSession(session(id));
    if (step === 'stream' && freeStreams > 0 && owner !== undefined) current.openStream(udp(owner));
    if (step === 'close' && stream !== undefined) current.closeStream(stream.slot);
    if (step === 'end' && owner !== undefined) current.closeSession(owner);
    return step === 'die' ? new SessionTable(region, 0) : current;
  }
});

describe('a reader beside a writer in another thread', () => {
  // Writes the row as its owner would, each time all fields alike, as fast as it can.
  const WRITER = `
    const { workerData: { memory, at, idBytes, urlBytes } } = require('node:worker_threads');
    const u32 = new Uint32Array(memory);
    const bytes = Buffer.from(memory);
    for (let round = 1; Atomics.load(u32, at.stop / 4) === 0; round++) {
      const mark = 97 + (round % 26);
      const odd = Atomics.load(u32, at.sequence / 4) | 1;
      Atomics.store(u32, at.sequence / 4, odd);
      u32[at.vserver / 4] = mark;
      bytes.fill(mark, at.serverId, at.serverId + idBytes);
      bytes.fill(mark, at.controlUrl, at.controlUrl + urlBytes);
      u32[at.timeoutSec / 4] = mark;
      Atomics.store(u32, at.sequence / 4, odd + 1);
    }`;

  it('never sees a row half old and half new', async () => {
    const { maxServerId, maxControlUrl } = region.layout.limits;
    const slot = table.openSession({ ...session('x'.repeat(maxServerId)), controlUrl: 'u'.repeat(maxControlUrl) });
    const { sequence, vserver, serverId, controlUrl, timeoutSec } = region.layout.session;
    const row = region.sessionAt(slot);
    const at = {
      sequence: row + sequence,
      vserver: row + vserver,
      serverId: row + serverId,
      controlUrl: row + controlUrl,
      timeoutSec: row + timeoutSec,
      stop: region.countersAt(0),
    };
    const workerData = { memory: region.memory, at, idBytes: maxServerId, urlBytes: maxControlUrl };
    const writer = new Worker(WRITER, { eval: true, workerData });
    const ended = new Promise((resolve, reject) => writer.once('exit', resolve).once('error', reject));
    const rows = new SessionRows(region);
    const seen = new Set<number>();
    while (seen.size < 20) {
      const view = rows.read(slot);
      if (view === undefined) continue;
      const mark = String.fromCharCode(view.vserver);
      if (view.vserver === 2) continue; // the row as it was opened: the writer has not begun
      expect(view.timeoutSec).toBe(view.vserver);
      expect(view.serverId).toBe(mark.repeat(maxServerId));
      expect(view.controlUrl).toBe(mark.repeat(maxControlUrl));
      seen.add(view.vserver);
    }
    region.storeU32(at.stop, 1);
    await ended;
  }, 120_000);
});

/** A small reproducible generator, 0 ≤ x < 1. */
function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

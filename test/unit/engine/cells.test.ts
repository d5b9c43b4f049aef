import { beforeEach, describe, expect, it } from 'vitest';
import { readCounters, readCounterValues } from '../../../src/engine/counters.js';
import { writeEndpoint } from '../../../src/engine/endpoint.js';
import { type EngineEvent, EventRings } from '../../../src/engine/event-ring.js';
import { ProcessSlot, readProcess, readProcesses } from '../../../src/engine/process-slots.js';
import { RegionServiceCells, ServiceRows } from '../../../src/engine/service-cells.js';
import { ENGINE_SLOT, PRIMARY_SLOT, type SharedRegion, workerSlot } from '../../../src/engine/shared-region.js';
import { freshRegion } from '../../support/fresh-region.js';

let region: SharedRegion;
beforeEach(() => {
  region = freshRegion();
});

describe('service cells', () => {
  it('show each worker the same sums, and each writes its own column', () => {
    const one = new RegionServiceCells(region, 0);
    const two = new RegionServiceCells(region, 1);
    one.setOwn(2, 'sessions', 5);
    one.setOwn(2, 'pending', 1);
    two.setOwn(2, 'sessions', 7);
    one.setOwn(2, 'turns', 0.5);
    two.setOwn(2, 'turns', 1 / 3);
    for (const cells of [one, two]) {
      expect(cells.load(2)).toBe(13);
      expect(cells.turns(2)).toBeCloseTo(5 / 6, 12);
      expect(cells.load(1)).toBe(0);
    }
    expect(one.own(2, 'sessions')).toBe(5);
    expect(two.own(2, 'pending')).toBe(0);
  });

  it('count past 2^32 where they have 64 bits', () => {
    const cells = new RegionServiceCells(region, 0);
    cells.setOwn(0, 'requestsTotal', 2 ** 40 + 1);
    expect(cells.own(0, 'requestsTotal')).toBe(2 ** 40 + 1);
    expect(new ServiceRows(region).total(0, 'requestsTotal')).toBe(2 ** 40 + 1);
  });

  it('show the workers what the primary says', () => {
    let now = 100;
    const rows = new ServiceRows(region, () => now);
    const cells = new RegionServiceCells(region, 1);
    rows.setWeight(1, 3);
    rows.setMaxSessions(1, 20);
    for (const state of ['down', 'draining', 'disabled', 'unknown', 'up'] as const) {
      now++;
      rows.setState(1, state);
      rows.setState(1, state);
      expect(cells.state(1)).toBe(state);
    }
    expect([cells.weight(1), cells.maxSessions(1)]).toEqual([3, 20]);
    expect(rows.read(1)).toEqual({ state: 'up', weight: 3, maxSessions: 20, changes: 5, changedMs: 105 });
    expect(cells.weight(0)).toBe(0);
  });
});

describe('process slots', () => {
  it('tell who lives, since when, and how often it started', () => {
    let now = 1000;
    const slot = new ProcessSlot(region, workerSlot(1), () => now);
    slot.setConnections(4);
    now = 2000;
    slot.setState('ready');
    slot.beat();
    expect(readProcess(region, workerSlot(1))).toMatchObject({
      name: 'worker 1',
      pid: process.pid,
      state: 'ready',
      epoch: 1,
      connections: 4,
      startedMs: 1000,
      heartbeatMs: 2000,
    });
    expect(readProcess(region, workerSlot(1)).rssBytes).toBeGreaterThan(1e6);
    expect(readProcess(region, workerSlot(1)).cpuUs).toBeGreaterThan(0);
    new ProcessSlot(region, workerSlot(1), () => now);
    expect(readProcess(region, workerSlot(1))).toMatchObject({ state: 'starting', epoch: 2, connections: 0 });
  });

  it('are listed with the empty ones', () => {
    new ProcessSlot(region, PRIMARY_SLOT);
    new ProcessSlot(region, ENGINE_SLOT);
    expect(readProcesses(region).map(({ name, state }) => `${name} ${state}`)).toEqual([
      'primary starting',
      'engine starting',
      'worker 0 empty',
      'worker 1 empty',
    ]);
  });
});

describe('engine counters', () => {
  it('are summed over the threads', () => {
    const [first, second] = region.layout.counters;
    if (first === undefined || second === undefined) throw new Error('the engine has no counters');
    region.setU64(region.countersAt(0) + first.offset, 2 ** 33);
    region.setU64(region.countersAt(1) + first.offset, 5);
    region.setU64(region.countersAt(1) + second.offset, 7);
    const counters = readCounters(region);
    expect(counters).toHaveLength(region.layout.counters.length);
    const { offset: _, ...about } = first;
    expect(counters[0]).toEqual({ ...about, value: 2 ** 33 + 5, threads: [2 ** 33, 5] });
    expect(readCounterValues(region)[second.name]).toBe(7);
    expect(readCounters(freshRegion({ engineThreads: 1 }))[0]).not.toHaveProperty('threads');
  });
});

describe('event rings', () => {
  /** What an engine thread does: fill the slot, then publish the head. */
  function push(thread: number, kind: number, stream: number, worker = 1): void {
    const ring = region.eventRingAt(worker, thread);
    const { ring: cells, event, sizes } = region.layout;
    const head = region.loadU32(ring + cells.head);
    const slot = ring + cells.slots + (head % region.geometry.ringSlots) * sizes.event;
    region.setU32(slot + event.kind, kind);
    region.setU32(slot + event.stream, stream);
    region.setU32(slot + event.generation, stream + 100);
    region.setU32(slot + event.leg, 2);
    writeEndpoint(region, slot + event.remote, { ip: '10.77.2.2', port: 6970 });
    region.storeU32(ring + cells.head, (head + 1) >>> 0);
  }

  function drain(rings: EventRings): EngineEvent[] {
    const events: EngineEvent[] = [];
    expect(rings.drain((event) => events.push(event))).toBeGreaterThanOrEqual(events.length);
    return events;
  }

  it('give each event once, in order, to their worker alone', () => {
    const { latched, relearned, released } = region.layout.eventKind;
    push(0, latched, 1);
    push(1, relearned, 2);
    push(0, released, 3);
    const rings = new EventRings(region, 1);
    expect(drain(new EventRings(region, 0))).toEqual([]);
    expect(drain(rings)).toEqual([
      { kind: 'latched', stream: 1, generation: 101, leg: 2, remote: { ip: '10.77.2.2', port: 6970 } },
      expect.objectContaining({ kind: 'released', stream: 3 }),
      expect.objectContaining({ kind: 'relearned', stream: 2 }),
    ]);
    expect(drain(rings)).toEqual([]);
  });

  it('go round, also where the counts go round', () => {
    const { ring: cells, eventKind } = region.layout;
    const ring = region.eventRingAt(1, 0);
    region.storeU32(ring + cells.head, 0xfffffffd);
    region.storeU32(ring + cells.tail, 0xfffffffd);
    const rings = new EventRings(region, 1);
    for (let i = 0; i < 30; i++) {
      push(0, eventKind.latched, i);
      push(0, eventKind.latched, i + 1000);
      expect(drain(rings).map(({ stream }) => stream)).toEqual([i, i + 1000]);
    }
  });

  it('count what found no room, leave out what is unknown, and survive a damaged header', () => {
    const { ring: cells, eventKind } = region.layout;
    const ring = region.eventRingAt(1, 1);
    const rings = new EventRings(region, 1);
    region.storeU32(ring + cells.dropped, 3);
    region.storeU32(region.eventRingAt(1, 0) + cells.dropped, 4);
    expect(rings.dropped).toBe(7);
    push(1, 99, 1);
    push(1, eventKind.latched, 2);
    expect(drain(rings).map(({ stream }) => stream)).toEqual([2]);
    region.storeU32(ring + cells.head, 1_000_000);
    expect(drain(rings)).toEqual([]);
    push(1, eventKind.latched, 5);
    expect(drain(rings).map(({ stream }) => stream)).toEqual([5]);
  });

  it('go on with the next event after one that could not be handled', () => {
    const { latched } = region.layout.eventKind;
    push(0, latched, 1);
    push(0, latched, 2);
    const rings = new EventRings(region, 1);
    const refuse = () => {
      throw new Error('not now');
    };
    expect(() => rings.drain(refuse)).toThrow('not now');
    expect(drain(rings).map(({ stream }) => stream)).toEqual([2]);
  });
});

import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { writeEndpoint } from '../../../src/engine/endpoint.js';
import type { SharedRegion } from '../../../src/engine/shared-region.js';
import { WireRow } from '../../../src/engine/wire-rows.js';
import { SessionTable } from '../../../src/session/session-table.js';
import { TaskPool } from '../../../src/tasks/pool.js';
import { snapshotListeners, snapshotSessions, snapshotTiers } from '../../../src/tasks/snapshot.js';
import { snapshotWires } from '../../../src/tasks/wire-reports.js';
import { freshRegion } from '../../support/fresh-region.js';

const names = { vservers: ['cams', 'archive'], services: ['one', 'two', 'three'] };
const client = { ip: '192.0.2.9', port: 40_000 };
/** Monotonic milliseconds at which everything in these tests happens. */
const NOW = 100_000;

let region: SharedRegion;
let table: SessionTable;
beforeEach(() => {
  region = freshRegion();
  table = new SessionTable(region, 0, () => NOW);
});

function open(serverId: string, of = table): number {
  return of.openSession({
    vserver: 1,
    service: 2,
    serverId,
    controlUrl: 'rtsp://192.0.2.1/cam',
    client,
    timeoutSec: 60,
  });
}

function openUdp(session: number, of = table): number {
  const leg = (port: number, expectsMedia = false) => ({
    local: { ip: '192.0.2.1', port },
    latching: 'sameIp' as const,
    expectsMedia,
  });
  const legs = [leg(20_000), leg(20_001), leg(30_000, true), leg(30_001)];
  const spec = { session, service: 2, transport: 'udp' as const, media: 'video' as const, clockRate: 90_000, legs };
  return of.openStream(spec).slot;
}

/** Plays the engine: what arrived and left on a leg. */
function relay(
  stream: number,
  leg: number,
  values: { tx?: number; rxMs?: number; jitter?: number; lost?: number; refused?: number },
): void {
  const { stream: row, legData, legState } = region.layout;
  const at = region.streamAt(stream);
  region.storeU32(at + row.attachedGeneration, region.loadU32(at + row.generation));
  const data = region.legDataAt(stream, leg);
  region.setU64(data + legData.txPackets, values.tx ?? 0);
  region.setU64(data + legData.txBytes, (values.tx ?? 0) * 100);
  region.setF64(data + legData.lastRxMs, values.rxMs ?? 0);
  region.setU64(data + legData.refused, values.refused ?? 0);
  region.setU32(data + legData.jitterX16, values.jitter ?? 0);
  region.setU32(data + legData.expected, 10);
  region.setU32(data + legData.received, 10 - (values.lost ?? 0));
  region.setU32(data + legData.state, legState.latched);
  writeEndpoint(region, data + legData.remote, { ip: '2001:db8::9', port: 5000 });
}

describe('snapshotSessions', () => {
  it('shows what the table holds', () => {
    const slot = open('abc');
    table.setFlags(slot, { playing: true });
    const stream = openUdp(slot);
    relay(stream, region.layout.legIndex.clientRtp, { tx: 7, rxMs: NOW + 2000 });
    relay(stream, region.layout.legIndex.serverRtcp, { tx: 2, refused: 3 });
    expect(snapshotSessions(region, names, NOW + 5000)).toEqual([
      {
        slot,
        worker: 0,
        vserver: 'archive',
        service: 'three',
        client: '192.0.2.9:40000',
        serverId: 'abc',
        controlUrl: 'rtsp://192.0.2.1/cam',
        state: 'playing',
        transport: 'udp',
        streams: 1,
        ageSec: 5,
        clientIdleSec: 3,
        serverIdleSec: expect.any(Number),
        toClient: { packets: 7, bytes: 700 },
        toServer: { packets: 2, bytes: 200 },
        dropped: 3,
      },
    ]);
  });

  it('shows a session that several workers know as one', () => {
    const other = new SessionTable(region, 1, () => NOW + 1000);
    const slot = open('abc');
    const second = open('abc', other);
    openUdp(slot);
    openUdp(second, other);
    other.setFlags(second, { recording: true });
    const [session, ...rest] = snapshotSessions(region, names, NOW + 5000);
    expect(rest).toEqual([]);
    expect(session).toMatchObject({ slot, streams: 2, state: 'recording', ageSec: 5, clientIdleSec: 4 });
  });

  it('lists the oldest first, and none that was closed', () => {
    const newer = new SessionTable(region, 1, () => NOW + 1000);
    open('new', newer);
    open('old');
    table.closeSession(open('gone'));
    expect(snapshotSessions(region, names, NOW + 2000).map(({ serverId }) => serverId)).toEqual(['old', 'new']);
    expect(snapshotSessions(region, names, NOW + 2000)[0]).toMatchObject({
      transport: 'none',
      streams: 0,
      state: 'ready',
    });
  });
});

describe('snapshotListeners', () => {
  it('shows the ports of a stream with what arrives there', () => {
    const session = open('abc');
    const stream = openUdp(session);
    relay(stream, region.layout.legIndex.serverRtp, { jitter: 16 * 900, lost: 3 });
    const listeners = snapshotListeners(region);
    expect(listeners.map(({ side, part, address }) => [side, part, address])).toEqual([
      ['client', 'rtp', '192.0.2.1:20000'],
      ['client', 'rtcp', '192.0.2.1:20001'],
      ['server', 'rtp', '192.0.2.1:30000'],
      ['server', 'rtcp', '192.0.2.1:30001'],
    ]);
    expect(listeners[2]).toMatchObject({
      kind: 'media',
      stream,
      session,
      media: 'video',
      state: 'latched',
      remote: '[2001:db8::9]:5000',
      lost: 3,
      jitterMs: 10,
    });
    expect(listeners[2]).not.toHaveProperty('roundTripMs');
  });

  it('shows none of a stream that is closing', () => {
    const session = open('abc');
    table.closeStream(openUdp(session));
    expect(snapshotListeners(region)).toEqual([]);
  });
});

describe('tiers', () => {
  function setTier(stream: number, tier: 'gso' | 'offload', reason: 'none' | 'unfit' | 'noMedia'): void {
    const { legIndex, legData, tier: tiers, tierReason } = region.layout;
    for (const leg of [legIndex.serverRtp, legIndex.clientRtp]) {
      relay(stream, leg, {});
      const data = region.legDataAt(stream, leg);
      region.setU32(data + legData.tier, tiers[tier]);
      region.setU32(data + legData.tierReason, tierReason[reason]);
    }
  }

  it('are counted where media is expected, with what keeps it from a better one', () => {
    for (const server of ['a', 'b']) setTier(openUdp(open(server)), 'offload', 'none');
    setTier(openUdp(open('c')), 'gso', 'unfit');
    openUdp(open('d')); // the engine has not seen it
    const { tiers, reasons } = snapshotTiers(region);
    expect(tiers).toEqual({ mmsg: 0, gso: 1, offload: 2 });
    expect(reasons).toMatchObject({ unfit: 1, loopback: 0 });
    expect(Object.keys(reasons)).not.toContain('reports');
  });

  it('of a session are one, or mixed, with the first reason', () => {
    const session = open('abc');
    setTier(openUdp(session), 'offload', 'none');
    expect(snapshotSessions(region, names, NOW)[0]).toMatchObject({ tier: 'offload' });
    setTier(openUdp(session), 'gso', 'unfit');
    expect(snapshotSessions(region, names, NOW)[0]).toMatchObject({
      tier: 'mixed',
      tierReason: 'too many packets are for sockets',
    });
  });
});

describe('wires', () => {
  const open = (slot: number, kind: 'client' | 'upstream', link?: number) => {
    const row = new WireRow(region, slot);
    const ends = { remote: client, local: { ip: '2001:db8::1', port: 554 } };
    row.open({ kind, thread: 0, link, vserver: 1, service: 2, ...ends }, NOW);
    return region.wireAt(slot);
  };

  it('are told with what they carry once the engine has them', () => {
    const { wire } = region.layout;
    const at = open(0, 'client');
    open(1, 'upstream', 0);
    region.setU64(at + wire.txFrames, 7);
    expect(snapshotWires(region, names)).toEqual([
      expect.objectContaining({
        wire: 0,
        side: 'client',
        of: 'archive',
        state: 'moving',
        tx: { packets: 0, bytes: 0 },
      }),
      expect.objectContaining({ wire: 1, side: 'server', of: 'three', client: 0, state: 'moving' }),
    ]);
    region.storeU32(at + wire.attachedGeneration, 1);
    expect(snapshotWires(region, names)[0]).toEqual({
      ...{ kind: 'wire', wire: 0, side: 'client', of: 'archive', state: 'open' },
      ...{ address: '[2001:db8::1]:554', remote: '192.0.2.9:40000' },
      ...{ rx: { packets: 0, bytes: 0 }, tx: { packets: 7, bytes: 0 }, refused: 0, unrouted: 0 },
    });
    new WireRow(region, 0).setState('closing');
    expect(snapshotWires(region, names)[0]).toMatchObject({ state: 'closing' });
    new WireRow(region, 0).setState('free');
    expect(snapshotWires(region, names)).toHaveLength(1);
  });
});

describe('TaskPool', () => {
  const script = new URL('../../../dist/tasks/sessions-snapshot.js', import.meta.url);

  it('reads the living region on a thread, without a copy', async () => {
    expect(existsSync(script)).toBe(true); // npm run build
    const pool = new TaskPool(region, () => names, script.href);
    try {
      expect(await pool.sessions()).toEqual([]);
      openUdp(open('abc'));
      expect((await pool.sessions()).map(({ serverId }) => serverId)).toEqual(['abc']);
      expect(await pool.listeners()).toHaveLength(4);
      expect((await pool.tiers()).tiers).toEqual({ mmsg: 0, gso: 0, offload: 0 });
    } finally {
      await pool.close();
    }
  });
});

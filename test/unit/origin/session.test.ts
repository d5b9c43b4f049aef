import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Clip, loadClip } from '../../../src/origin/clip.js';
import { newCounters } from '../../../src/origin/counters.js';
import type { MediaPath } from '../../../src/origin/media-path.js';
import { Pacer, TICK_MS } from '../../../src/origin/pacer.js';
import { packetTypes } from '../../../src/origin/rtcp.js';
import { Session } from '../../../src/origin/session.js';
import { Stream } from '../../../src/origin/stream.js';

interface SentRtp {
  atMs: number;
  sequence: number;
  timestamp: number;
}

class RecordingPath implements MediaPath {
  readonly transport = '';
  readonly rtp: SentRtp[] = [];
  readonly rtcp: { atMs: number; packet: Buffer }[] = [];
  closed = false;
  sendRtp(header: Buffer): boolean {
    this.rtp.push({ atMs: nowMs, sequence: header.readUInt16BE(2), timestamp: header.readUInt32BE(4) });
    return true;
  }
  sendRtcp(packet: Buffer): boolean {
    this.rtcp.push({ atMs: nowMs, packet });
    return true;
  }
  close(): void {
    this.closed = true;
  }
}

let nowMs: number;
let pacer: Pacer;
let clip: Clip;
let counters: ReturnType<typeof newCounters>;

beforeEach(async () => {
  nowMs = 1000;
  pacer = new Pacer(() => nowMs);
  clip = await loadClip();
  counters = newCounters();
});
afterEach(() => pacer.close());

function runFor(ms: number): void {
  for (const endMs = nowMs + ms; nowMs < endMs; ) {
    nowMs += TICK_MS;
    pacer.advance();
  }
}

function open(kind: 'play' | 'record' = 'play', tracks = [0, 1]): { session: Session; paths: RecordingPath[] } {
  const session = new Session({ id: 's', mount: '/m', kind, clip, pacer, counters });
  const paths = tracks.map((track) => {
    const path = new RecordingPath();
    const stream = new Stream(counters, 'test');
    stream.path = path;
    session.setStream(track, stream);
    return path;
  });
  return { session, paths };
}

const distinct = (sent: SentRtp[]): number[] => [...new Set(sent.map(({ timestamp }) => timestamp))];
/** Distances between neighbours, modulo the width of the field. */
const steps = (values: number[], modulus: number): number[] =>
  values.slice(1).map((value, index) => (value - (values[index] ?? 0) + modulus) % modulus);

describe('Session', () => {
  it('sends 25 pictures and 47 audio frames a second', () => {
    const { session, paths } = open();
    session.play();
    runFor(1000);
    expect(paths.map((path) => distinct(path.rtp).length)).toEqual([25 + 1, 47]);
  });

  it('loops without a jump in sequence numbers or timestamps', () => {
    const { session, paths } = open();
    session.play();
    runFor(20_000);
    for (const [index, ticks] of [
      [0, 3600],
      [1, 1024],
    ] as const) {
      const sent = paths[index]?.rtp ?? [];
      expect(
        new Set(
          steps(
            sent.map(({ sequence }) => sequence),
            2 ** 16,
          ),
        ),
      ).toEqual(new Set([1]));
      expect(new Set(steps(distinct(sent), 2 ** 32))).toEqual(new Set([ticks]));
    }
  });

  it('sends only the tracks that were set up', () => {
    const { session, paths } = open('play', [1]);
    session.play();
    runFor(1000);
    expect(distinct(paths[0]?.rtp ?? [])).toHaveLength(47);
    expect(counters.packetsSent).toBe(47);
  });

  it.each([0, 1003, 7998])('tells in PLAY which packets come next, after %i ms too', (playedMs) => {
    const { session, paths } = open();
    if (playedMs > 0) {
      session.play();
      runFor(playedMs);
      session.pause();
    }
    const before = paths.map((path) => path.rtp.length);
    const points = session.play();
    runFor(100);
    expect(points).toHaveLength(2);
    for (const { track, sequence, timestamp } of points) {
      expect(paths[track]?.rtp[before[track] ?? 0]).toMatchObject({ sequence, timestamp });
    }
  });

  it('is silent while paused and goes on where it stopped', () => {
    const { session, paths } = open();
    session.play();
    runFor(1000);
    session.pause();
    const before = paths[0]?.rtp.length;
    runFor(30_000);
    expect(paths[0]?.rtp).toHaveLength(before ?? -1);
    session.play();
    runFor(1000);
    expect(new Set(steps(distinct(paths[0]?.rtp ?? []), 2 ** 32))).toEqual(new Set([3600]));
    expect(counters.stalls).toBe(0);
  });

  it('reports at once and every 5 s, with the RTP time of the same instant', () => {
    const { session, paths } = open();
    const start = session.play().map(({ timestamp }) => timestamp);
    const playedAtMs = nowMs;
    runFor(10_100);
    for (const [index, clock] of [90_000, 48_000].entries()) {
      const reports = paths[index]?.rtcp ?? [];
      expect(reports).toHaveLength(3);
      for (const { atMs, packet } of reports) {
        expect(packetTypes(packet)).toEqual([200, 202]);
        const elapsed = steps([start[index] ?? 0, packet.readUInt32BE(16)], 2 ** 32)[0];
        expect(elapsed).toBe(((atMs - playedAtMs) * clock) / 1000);
      }
    }
  });

  it('skips ahead after a stall instead of bursting', () => {
    const { session, paths } = open();
    session.play();
    runFor(1000);
    const before = distinct(paths[0]?.rtp ?? []).length;
    nowMs += 60_000;
    runFor(1000);
    expect(distinct(paths[0]?.rtp ?? []).length - before).toBeLessThanOrEqual(26);
    expect(counters.stalls).toBe(1);
  });

  it('says BYE and frees its paths when it closes', () => {
    const { session, paths } = open();
    session.play();
    runFor(100);
    session.close();
    for (const path of paths) {
      expect(packetTypes(path.rtcp.at(-1)?.packet ?? Buffer.alloc(0))).toEqual([200, 202, 203]);
      expect(path.closed).toBe(true);
    }
    expect(pacer.size).toBe(0);
  });

  it('says nothing when it never sent', () => {
    const { session, paths } = open();
    session.close();
    expect(paths.map((path) => path.rtcp.length)).toEqual([0, 0]);
  });

  it('reports as a receiver while it records, and lives by what it hears', () => {
    const { session, paths } = open('record', [0]);
    session.record();
    runFor(10_100);
    expect(paths[0]?.rtcp.map(({ packet }) => packetTypes(packet))).toEqual(Array(3).fill([201, 202]));
    expect(session.silentMs).toBeGreaterThan(10_000);
    session.streams.get(0)?.onRtp(Buffer.from('806000010000000000000000ff', 'hex'));
    expect(session.silentMs).toBe(0);
    expect(counters).toMatchObject({ packetsReceived: 1, bytesReceived: 13 });
  });
});

describe('what players send before PLAY', () => {
  it.each(['cefaedfe', 'cefaedfecefaedfe', 'ff'.repeat(200)])('counts %j as a punch', (hex) => {
    const stream = new Stream(counters, 'test');
    stream.onRtp(Buffer.from(hex, 'hex'));
    stream.onRtcp(Buffer.from(hex, 'hex'));
    expect(counters).toMatchObject({ punchesReceived: 2, packetsReceived: 0, reportsReceived: 0 });
  });
  it('counts an empty RR as a report, on either port', () => {
    const stream = new Stream(counters, 'test');
    stream.onRtp(Buffer.from('80c9000100000000', 'hex'));
    stream.onRtcp(Buffer.from('80c9000100000000', 'hex'));
    expect(stream.received).toEqual({ packets: 0, reports: 2 });
  });
});

import type { Clip, MediaUnit } from './clip.js';
import type { OriginCounters } from './counters.js';
import type { Paced, Pacer } from './pacer.js';
import { timestampOf } from './rtp.js';
import type { Stream } from './stream.js';

const REPORT_MS = 5000;
/** A session that is later than this (the process was stopped, or cannot keep up) goes on from now instead of bursting. */
const MAX_LAG_MS = 500;

export type SessionState = 'ready' | 'playing' | 'recording';

/** Where a track stands when PLAY is answered: the content of RTP-Info. */
export interface PlayPoint {
  track: number;
  sequence: number;
  timestamp: number;
}

/**
 * One RTSP session: its streams, and its position in the endless loop of the clip. Media time runs from the first PLAY,
 * stands still while paused, and never jumps back: loops only add to it.
 */
export class Session implements Paced {
  readonly id: string;
  readonly mount: string;
  readonly kind: 'play' | 'record';
  readonly streams = new Map<number, Stream>();
  state: SessionState = 'ready';

  readonly #clip: Clip;
  readonly #pacer: Pacer;
  readonly #counters: OriginCounters;
  /** Pacer time at which media time was 0; meaningful while playing. */
  #originMs = 0;
  #positionMs = 0;
  #nextUnit = 0;
  #loops = 0;
  #nextReportMs = 0;
  #heardMs: number;

  constructor(options: {
    id: string;
    mount: string;
    kind: 'play' | 'record';
    clip: Clip;
    pacer: Pacer;
    counters: OriginCounters;
  }) {
    this.id = options.id;
    this.mount = options.mount;
    this.kind = options.kind;
    this.#clip = options.clip;
    this.#pacer = options.pacer;
    this.#counters = options.counters;
    this.#heardMs = options.pacer.nowMs;
  }

  /** The client gave a sign of life by RTSP, RTP or RTCP. */
  touch(): void {
    this.#heardMs = this.#pacer.nowMs;
  }

  get silentMs(): number {
    return this.#pacer.nowMs - this.#heardMs;
  }

  setStream(key: number, stream: Stream): void {
    this.closeStream(key);
    stream.onHeard = () => this.touch();
    this.streams.set(key, stream);
  }

  closeStream(key: number): void {
    this.streams.get(key)?.close(Date.now(), this.#ticks(key));
    this.streams.delete(key);
  }

  /** Starts, or goes on after a pause. The first packets leave with the next tick, so after the answer to PLAY. */
  play(): PlayPoint[] {
    if (this.state !== 'playing') {
      this.#originMs = this.#pacer.nowMs - this.#positionMs;
      this.#nextReportMs = 0;
      this.state = 'playing';
      this.#pacer.add(this, this.#pacer.nowMs);
    }
    return [...this.streams].map(([track, stream]) => ({
      track,
      sequence: stream.source.sequence,
      timestamp: timestampOf(stream.source, this.#nextTicks(track)),
    }));
  }

  pause(): void {
    this.#positionMs = this.#mediaMs();
    this.state = 'ready';
    this.#pacer.remove(this);
  }

  record(): void {
    if (this.state === 'recording') return;
    this.state = 'recording';
    this.#pacer.add(this, this.#pacer.nowMs);
  }

  close(): void {
    this.#pacer.remove(this);
    for (const key of [...this.streams.keys()]) this.closeStream(key);
  }

  onTick(nowMs: number): number {
    if (this.state === 'recording') {
      for (const stream of this.streams.values()) stream.sendReceiverReport();
      return nowMs + REPORT_MS;
    }
    const dueMs = this.#sendDueUnits(nowMs);
    if (nowMs >= this.#nextReportMs) this.#sendReports(nowMs);
    return dueMs;
  }

  #sendDueUnits(nowMs: number): number {
    let dueMs = this.#dueMs();
    if (nowMs - dueMs > MAX_LAG_MS) {
      this.#counters.stalls++;
      this.#originMs += nowMs - dueMs;
      dueMs = nowMs;
    }
    for (; dueMs <= nowMs; dueMs = this.#dueMs()) this.#sendNextUnit();
    return dueMs;
  }

  #sendNextUnit(): void {
    const unit = this.#clip.units[this.#nextUnit];
    const track = unit && this.#clip.tracks[unit.track];
    if (unit && track) this.streams.get(unit.track)?.sendUnit(unit, track, this.#loops * track.loopTicks + unit.ticks);
    this.#nextUnit++;
    if (this.#nextUnit < this.#clip.units.length) return;
    this.#nextUnit = 0;
    this.#loops++;
  }

  #dueMs(): number {
    return this.#originMs + this.#loops * this.#clip.durationMs + (this.#clip.units[this.#nextUnit]?.atMs ?? 0);
  }

  #sendReports(nowMs: number): void {
    for (const [key, stream] of this.streams) stream.sendSenderReport(Date.now(), this.#ticks(key));
    this.#nextReportMs = nowMs + REPORT_MS;
  }

  /** Media time of the track's next unit: exactly what its next packet will carry. */
  #nextTicks(track: number): number {
    const { units, tracks } = this.#clip;
    const loopTicks = tracks[track]?.loopTicks ?? 0;
    const isOfTrack = (unit: MediaUnit) => unit.track === track;
    const inThisLoop = units.slice(this.#nextUnit).find(isOfTrack);
    if (inThisLoop) return this.#loops * loopTicks + inThisLoop.ticks;
    return (this.#loops + 1) * loopTicks + (units.find(isOfTrack)?.ticks ?? 0);
  }

  #mediaMs(): number {
    return this.state === 'playing' ? this.#pacer.nowMs - this.#originMs : this.#positionMs;
  }

  #ticks(key: number): number {
    return Math.round((this.#mediaMs() * (this.#clip.tracks[key]?.clockRate ?? 0)) / 1000);
  }
}

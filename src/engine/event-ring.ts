import { type Endpoint, readEndpoint } from './endpoint.js';
import type { Layout } from './layout.js';
import type { SharedRegion } from './shared-region.js';

export interface EngineEvent {
  kind: keyof Layout['eventKind'];
  stream: number;
  generation: number;
  /** A value of `layout.legIndex`. */
  leg: number;
  /** The source that was learned. */
  remote: Endpoint | undefined;
}

/** Events taken from one ring in a turn, so that a flood cannot hold a worker. */
const MAX_PER_RING = 4096;

/** A worker's end of the event rings, one per engine thread. Drained on a timer; never blocks. */
export class EventRings {
  readonly #region: SharedRegion;
  readonly #rings: number[];

  constructor(region: SharedRegion, worker: number) {
    this.#region = region;
    this.#rings = Array.from({ length: region.geometry.engineThreads }, (_, thread) =>
      region.eventRingAt(worker, thread),
    );
  }

  /** Hands what waits to `handle`, in order per thread; returns how many. What `handle` throws ends the turn. */
  drain(handle: (event: EngineEvent) => void): number {
    let drained = 0;
    for (const ring of this.#rings) drained += this.#drainRing(ring, handle);
    return drained;
  }

  /** Events that the engine could not place because a ring was full. */
  get dropped(): number {
    const { dropped } = this.#region.layout.ring;
    return this.#rings.reduce((sum, ring) => sum + this.#region.loadU32(ring + dropped), 0);
  }

  #drainRing(ring: number, handle: (event: EngineEvent) => void): number {
    const cells = this.#region.layout.ring;
    let tail = this.#region.loadU32(ring + cells.tail);
    const waiting = (this.#region.loadU32(ring + cells.head) - tail) >>> 0;
    // More waiting than fits means that the header was damaged: what it counts is not there to be read.
    if (waiting > this.#region.geometry.ringSlots) {
      this.#region.storeU32(ring + cells.tail, (tail + waiting) >>> 0);
      return 0;
    }
    const taken = Math.min(waiting, MAX_PER_RING);
    for (let i = 0; i < taken; i++) {
      const event = this.#read(ring, tail);
      tail = (tail + 1) >>> 0;
      this.#region.storeU32(ring + cells.tail, tail);
      if (event !== undefined) handle(event);
    }
    return taken;
  }

  /** Undefined for a kind that this version does not know. */
  #read(ring: number, at: number): EngineEvent | undefined {
    const region = this.#region;
    const { ring: cells, sizes, event, eventKind } = region.layout;
    const slot = ring + cells.slots + (at & (region.geometry.ringSlots - 1)) * sizes.event;
    const found = region.getU32(slot + event.kind);
    const kind = (Object.keys(eventKind) as (keyof Layout['eventKind'])[]).find((name) => eventKind[name] === found);
    if (kind === undefined) return undefined;
    return {
      kind,
      stream: region.getU32(slot + event.stream),
      generation: region.getU32(slot + event.generation),
      leg: region.getU32(slot + event.leg),
      remote: readEndpoint(region, slot + event.remote),
    };
  }
}

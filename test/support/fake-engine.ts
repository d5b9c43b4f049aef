import type { SharedRegion } from '../../src/engine/shared-region.js';
import type { Wires } from '../../src/engine/wires.js';
import type { PortPair } from '../../src/session/port-allocator.js';
import type { StreamRef } from '../../src/session/session-rows.js';

/** A side that is in its connection has none. */
type Pairs = Partial<Record<'client' | 'server', PortPair>>;

/** Takes the sockets of streams as vault and engine do, and lets go of them at once when told. */
export class FakeEngine {
  /** What is relayed now, by stream row. */
  readonly streams: Map<number, Pairs>;
  handedOver = 0;
  /** Rows of bridged streams that it was told of since they were handed over. */
  readonly told: number[] = [];
  /** Thrown by the next `handOver`. */
  fault: Error | undefined;
  readonly #region: SharedRegion;
  readonly #closeFd: (fd: number) => void;

  readonly #wires: Wires | undefined;

  constructor(region: SharedRegion, closeFd: (fd: number) => void, wires?: Wires, streams = new Map<number, Pairs>()) {
    this.streams = streams;
    this.#region = region;
    this.#closeFd = closeFd;
    this.#wires = wires;
  }

  handOver(stream: number, _generation: number, pairs: Pairs): void {
    const { fault } = this;
    this.fault = undefined;
    if (fault) throw fault;
    if (this.streams.has(stream)) throw new Error(`stream ${stream} was handed over twice`);
    this.handedOver++;
    this.streams.set(stream, pairs);
  }

  holds(fd: number): boolean {
    const pairs = [...this.streams.values()].flatMap(({ client, server }) => [client, server]);
    return pairs.some((pair) => pair?.rtp.fd === fd || pair?.rtcp.fd === fd);
  }

  update(): void {}

  streamChanged({ slot, generation, thread, bridged }: StreamRef): void {
    if (bridged) this.told.push(slot);
    if (thread !== undefined) this.#wires?.streamChanged(thread, slot, generation);
  }

  close(ref: StreamRef): void {
    if (ref.thread !== undefined) {
      this.streamChanged(ref);
      return;
    }
    const { slot: stream, generation } = ref;
    const pairs = this.streams.get(stream);
    if (!pairs) throw new Error(`stream ${stream} was never handed over`);
    this.streams.delete(stream);
    for (const pair of [pairs.client, pairs.server])
      for (const fd of pair ? [pair.rtp.fd, pair.rtcp.fd] : []) this.#closeFd(fd);
    const { releasedGeneration } = this.#region.layout.stream;
    this.#region.storeU32(this.#region.streamAt(stream) + releasedGeneration, generation);
  }

  flush(): void {}
}

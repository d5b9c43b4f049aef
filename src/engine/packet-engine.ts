import type { PortPair } from '../session/port-allocator.js';
import type { StreamRef } from '../session/session-rows.js';
import type { NativeBinding } from './binding.js';
import type { Wires } from './wires.js';

const CLIENT_LEGS = 0b0011;
const SERVER_LEGS = 0b1100;
/** No command is in a hurry, and a wake-up costs two changes of process: under load many commands share one. */
const WAKE_DELAY_MS = 10;

export interface PacketEngineOptions {
  binding: NativeBinding;
  worker: number;
  vaultFd: number;
  /** One eventfd per engine thread. */
  wakeFds: readonly number[];
  wires: Wires;
}

/**
 * A worker's way to the engine: sockets go through the vault, which keeps them for the
 * engine's successors, commands through a ring. All calls return at once.
 */
export class PacketEngine {
  readonly #options: PacketEngineOptions;
  /** Commands that found their ring full; sent again by `flush`. */
  readonly #late: { op: number; stream: number; generation: number }[] = [];
  /** Threads that have commands and were not woken yet. */
  readonly #asleep = new Set<number>();

  constructor(options: PacketEngineOptions) {
    this.#options = options;
  }

  /** Hands the sockets of a stream over; the descriptors belong to vault and engine then. Throws if the vault is gone. */
  handOver(stream: number, generation: number, { client, server }: { client?: PortPair; server?: PortPair }): void {
    const legs = (client ? CLIENT_LEGS : 0) | (server ? SERVER_LEGS : 0);
    const fds = [client, server].flatMap((pair) => (pair ? [pair.rtp.fd, pair.rtcp.fd] : []));
    this.#options.binding.handOver(this.#options.vaultFd, stream, generation, legs, fds);
  }

  /** The control half of the row changed. */
  update(stream: number, generation: number): void {
    this.#command(this.#options.binding.layout.commandOp.update, stream, generation);
  }

  /** The row of a stream whose frames pass over wires was written; nothing is done for any other. */
  streamChanged({ slot, generation, thread, bridged }: StreamRef): void {
    if (thread !== undefined) this.#options.wires.streamChanged(thread, slot, generation);
    if (bridged) this.update(slot, generation);
  }

  /** The row is closing: the engine lets go of the sockets when they have been silent for a while, of channels at once. */
  close(stream: StreamRef): void {
    if (stream.thread !== undefined) this.streamChanged(stream);
    else this.#command(this.#options.binding.layout.commandOp.close, stream.slot, stream.generation);
  }

  /** Sends the commands that found no room. Called on a timer. */
  flush(): void {
    for (const { op, stream, generation } of this.#late.splice(0)) this.#command(op, stream, generation);
  }

  #command(op: number, stream: number, generation: number): void {
    const { binding, worker, wakeFds } = this.#options;
    const thread = stream % wakeFds.length;
    if (!binding.commandPush(worker, thread, op, stream, generation)) this.#late.push({ op, stream, generation });
    if (this.#asleep.size === 0) setTimeout(() => this.#wake(), WAKE_DELAY_MS);
    this.#asleep.add(thread);
  }

  #wake(): void {
    const { binding, wakeFds } = this.#options;
    for (const thread of this.#asleep) binding.wake(wakeFds[thread] as number);
    this.#asleep.clear();
  }
}

import type { Service } from '../router/service.js';
import type { RtspRequest } from '../rtsp/message.js';
import { serialize } from '../rtsp/serializer.js';
import type { Upstream } from './upstream.js';
import type { WireTransport } from './wire-transport.js';

export interface InheritedUpstream {
  transport: WireTransport;
  service: Service;
}

/**
 * What a predecessor may have left half done on a client connection: a request that it passed on, whose answer is
 * still to come. Nothing of the servers is looked at before it is clear whose answer that is, and nothing of the
 * client before the engine has said where every wire stands.
 */
export class Inheritance {
  readonly #client: WireTransport;
  readonly #upstreams: readonly Upstream[];
  /** Of each that was told to stand somewhere: the last message of ours that the engine has. */
  readonly #accepted = new Map<WireTransport, number>();
  #dealtWith = 0;
  #asked: Upstream | undefined;

  /** All their transports are wires and paused. */
  constructor(client: WireTransport, upstreams: readonly Upstream[]) {
    this.#client = client;
    this.#upstreams = upstreams;
    for (const transport of [client, ...upstreams.map(wireOf)])
      transport.onStanding = (dealtWith, accepted) => this.#stands(transport, dealtWith, accepted);
  }

  /** Whether the request that is being dealt with was passed on to that server. */
  expects(upstream: Upstream): boolean {
    return this.#asked === upstream && this.#client.heldSeq === this.#client.wire.row.forwarded;
  }

  /** Whoever waits for the answer is known. `again`: what the server is sent should the request not reach it after all. */
  awaited(again: RtspRequest): void {
    const upstream = this.#asked;
    if (upstream) {
      const { wire } = wireOf(upstream);
      wire.keep(
        wire.row.forwarded,
        upstream.numbered(again, () => serialize(again)),
      );
    }
    this.settle();
  }

  /** There is nothing to wait for. */
  settle(): void {
    this.#asked = undefined;
    for (const upstream of this.#upstreams) upstream.connection.resume();
  }

  #stands(transport: WireTransport, dealtWith: number, accepted: number): void {
    const stood = this.#accepted.has(transport);
    this.#accepted.set(transport, accepted);
    if (stood) {
      // An engine died with the request before it left: it is passed on like any other.
      if (this.#asked && !this.#wasSent(this.#asked)) this.settle();
      return;
    }
    if (transport === this.#client) this.#dealtWith = dealtWith;
    if (this.#accepted.size === 1 + this.#upstreams.length) this.#begin();
  }

  #begin(): void {
    const asked = this.#upstreams.find((upstream) => this.#wasSent(upstream));
    if (this.#client.wire.row.forwarded === this.#dealtWith + 1) this.#asked = asked;
    if (!this.#asked) this.settle();
    this.#client.resume();
  }

  /** The message that carried a client's request reached the engine before our predecessor died. */
  #wasSent(upstream: Upstream): boolean {
    const transport = wireOf(upstream);
    const { forwarded } = transport.wire.row;
    return forwarded !== 0 && forwarded <= (this.#accepted.get(transport) ?? 0);
  }
}

function wireOf(upstream: Upstream): WireTransport {
  return upstream.connection.transport as WireTransport;
}

import type { Service } from '../router/service.js';
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
  #standing = 0;
  #dealtWith = 0;
  #asked: Upstream | undefined;

  /** All their transports are wires and paused. */
  constructor(client: WireTransport, upstreams: readonly Upstream[]) {
    this.#client = client;
    this.#upstreams = upstreams;
    client.onStanding = (dealtWith) => this.#stands(dealtWith);
    for (const upstream of upstreams) wireOf(upstream).onStanding = () => this.#stands(undefined);
  }

  /** Whether the request that is being dealt with was passed on to that server. */
  expects(upstream: Upstream): boolean {
    return this.#asked === upstream && this.#client.heldSeq === this.#client.wire.row.forwarded;
  }

  /** Whoever waits for the answer is known. */
  settle(): void {
    this.#asked = undefined;
    for (const upstream of this.#upstreams) upstream.connection.resume();
  }

  #stands(dealtWith: number | undefined): void {
    this.#standing++;
    if (dealtWith !== undefined) this.#dealtWith = dealtWith;
    if (this.#standing < 1 + this.#upstreams.length) return;
    this.#asked = this.#upstreams.find((upstream) => wasSent(wireOf(upstream)));
    if (this.#client.wire.row.forwarded !== this.#dealtWith + 1) this.#asked = undefined;
    if (!this.#asked) this.settle();
    this.#client.resume();
  }
}

/** The message that carried a client's request reached the engine before our predecessor died. */
function wasSent({ wire }: WireTransport): boolean {
  const { forwarded } = wire.row;
  return forwarded !== 0 && wire.nextSeq !== undefined && forwarded < wire.nextSeq;
}

function wireOf(upstream: Upstream): WireTransport {
  return upstream.connection.transport as WireTransport;
}

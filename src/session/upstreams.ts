import type { Service } from '../router/service.js';
import { type Dial, Upstream, type UpstreamHandler } from './upstream.js';

/** The connections of one client connection to servers: at most one to each. */
export class Upstreams {
  readonly #handler: UpstreamHandler;
  readonly #dial: Dial;
  readonly #onOpen: (upstream: Upstream) => void;
  readonly #open = new Map<Service, Upstream>();

  /** `onOpen`: called for each new one before anything is asked of it; if it throws, the connection is closed. */
  constructor(handler: UpstreamHandler, dial: Dial, onOpen: (upstream: Upstream) => void) {
    this.#handler = handler;
    this.#dial = dial;
    this.#onOpen = onOpen;
  }

  [Symbol.iterator](): Iterator<Upstream> {
    return this.#open.values();
  }

  /** The connection to that service, unless it is closed or about to be. */
  connected(service: Service): Upstream | undefined {
    const upstream = this.#open.get(service);
    return upstream?.closed === false ? upstream : undefined;
  }

  /** The connection there is, or a new one; rejects with PENSTOCK_ERR_SERVICE_UNREACHABLE. */
  async connect(service: Service): Promise<Upstream> {
    const known = this.connected(service);
    if (known) return known;
    const upstream = await Upstream.open(service, this.#handler, this.#dial);
    try {
      this.#onOpen(upstream);
    } catch (error) {
      upstream.close();
      throw error;
    }
    this.add(upstream);
    return upstream;
  }

  add(upstream: Upstream): void {
    this.#open.set(upstream.service, upstream);
  }

  closed(upstream: Upstream): void {
    if (this.#open.get(upstream.service) === upstream) this.#open.delete(upstream.service);
  }

  checkDeadlines(nowMs: number): void {
    for (const { connection } of this) connection.checkDeadline(nowMs);
  }

  closeWhenIdle(): void {
    for (const upstream of this) upstream.closeWhenIdle();
  }
}

import type { Config } from '../config/types.js';
import type { Logger } from '../log/logger.js';
import type { Service } from '../router/service.js';
import { makeRequest } from '../rtsp/status.js';
import type { Dialer } from './dialer.js';
import { Upstream } from './upstream.js';

/** TEARDOWNs on connections of their own at a time; more wait. A farm that went away must not cost thousands of sockets. */
const MAX_CONCURRENT = 64;

interface Pending {
  service: Service;
  url: string;
  serverId: string;
}

/**
 * Tells servers of sessions that ended without their client's TEARDOWN. It is a courtesy: a server
 * that cannot be told ends the session by its own timeout.
 */
export class TeardownSender {
  sent = 0;
  failed = 0;
  readonly #queue: Pending[] = [];
  #running = 0;

  constructor(
    private readonly config: Pick<Config, 'replyTimeoutMs'>,
    private readonly dialer: Dialer,
    private readonly log: Logger,
  ) {}

  /** TEARDOWNs that are not done. */
  get pending(): number {
    return this.#queue.length + this.#running;
  }

  send(service: Service, url: string, serverId: string): void {
    this.#queue.push({ service, url, serverId });
    this.#next();
  }

  #next(): void {
    while (this.#running < MAX_CONCURRENT) {
      const pending = this.#queue.shift();
      if (!pending) return;
      this.#running++;
      void this.#run(pending).finally(() => {
        this.#running--;
        this.#next();
      });
    }
  }

  async #run({ service, url, serverId }: Pending): Promise<void> {
    try {
      const upstream = await Upstream.open(service, IGNORE, (to) => this.dialer.dial(to));
      const request = makeRequest('TEARDOWN', url, { CSeq: '1', Session: serverId });
      const reply = await upstream.request(request, this.config.replyTimeoutMs);
      upstream.close();
      this.sent++;
      this.log.debug({ service: service.name, status: reply.status }, 'TEARDOWN answered');
    } catch (error) {
      this.failed++;
      this.log.debug({ service: service.name }, `TEARDOWN failed: ${(error as Error).message}`);
    }
  }
}

const IGNORE = { onServerRequest() {}, onFrame() {}, onUpstreamClose() {} };

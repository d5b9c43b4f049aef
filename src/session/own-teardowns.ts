import { makeRequest } from '../rtsp/status.js';
import type { RtspProxy } from './proxy.js';
import { isUnreachable, type Upstream } from './upstream.js';

/** RFC 2326 §11.3.10: the request has to be made for each stream. */
const AGGREGATE_NOT_ALLOWED = 459;

/** TEARDOWNs that we send of ourselves over connections that clients' requests take too. */
export class OwnTeardowns {
  readonly #proxy: RtspProxy;
  #nextCseq = 1;

  constructor(proxy: RtspProxy) {
    this.#proxy = proxy;
  }

  /** Behind whatever the server is being asked. `streams`: their URLs, where `url` is of them all. */
  send(upstream: Upstream, url: string, serverId: string, streams: readonly string[] = []): void {
    const { log, config, keeper } = this.#proxy;
    const request = makeRequest('TEARDOWN', url, { CSeq: String(this.#nextCseq++), Session: serverId });
    upstream.request(request, config.replyTimeoutMs).then(
      ({ status }) => {
        log.debug({ service: upstream.service.name, status }, 'TEARDOWN answered');
        if (status === AGGREGATE_NOT_ALLOWED) for (const each of streams) this.send(upstream, each, serverId);
      },
      (error: unknown) => {
        // The connection went away under it; the server may still hold the session.
        if (isUnreachable(error)) keeper.sendTeardown(upstream.service, url, serverId);
        else log.debug({ service: upstream.service.name, err: error }, 'TEARDOWN failed');
      },
    );
  }
}

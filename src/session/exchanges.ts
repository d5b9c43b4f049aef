import type { RtspConnection } from '../rtsp/connection.js';
import type { RtspRequest, RtspResponse } from '../rtsp/message.js';
import { isSuccess, makeRequest } from '../rtsp/status.js';
import { AnswerGate } from './answer-gate.js';
import { UNSUPPORTED_TRANSPORT } from './bridging.js';
import type { ClientConnection } from './client-connection.js';
import type { ClientFaces } from './client-faces.js';
import type { Inheritance } from './inheritance.js';
import type { Presentation } from './presentation.js';
import type { RtspProxy } from './proxy.js';
import { rewriteReply } from './rewriter.js';
import { Setup } from './setup.js';
import type { AnswerListener, Upstream } from './upstream.js';
import type { Wiring } from './wiring.js';

/** The client has to know of these, whatever was asked: its next SETUP is asked the same way. */
const CHALLENGES = new Set([401, 407]);

export interface ExchangesOptions {
  proxy: RtspProxy;
  client: ClientConnection;
  connection: RtspConnection;
  faces: ClientFaces;
  wiring: Wiring;
}

/** The requests of one client at its servers, one at a time, and what a predecessor had begun of them. */
export class Exchanges {
  /** What servers send behind an answer waits here until `settle`. */
  readonly gate = new AnswerGate();
  readonly #options: ExchangesOptions;
  #inheritance: Inheritance | undefined;

  constructor(options: ExchangesOptions) {
    this.#options = options;
  }

  inherit(inheritance: Inheritance): void {
    this.#inheritance = inheritance;
  }

  /**
   * The final answer, as the server wrote it; provisional ones go to the client. `again`: what is asked if the request
   * of a predecessor turns out to be lost.
   */
  ask(upstream: Upstream, request: RtspRequest, again = request): Promise<RtspResponse> {
    const { replyTimeoutMs } = this.#options.proxy.config;
    const listener = this.#listener(upstream);
    if (!this.#inheritance?.expects(upstream)) return upstream.request(request, replyTimeoutMs, listener);
    const answer = upstream.answerOf(request, replyTimeoutMs, listener);
    this.#inheritance.awaited(again);
    return answer;
  }

  /** The same for a SETUP; its stream is live then. */
  async setUp(
    upstream: Upstream,
    request: RtspRequest,
    serverId: string | undefined,
    presentation: Presentation,
  ): Promise<RtspResponse> {
    const { proxy, client } = this.#options;
    const setup = new Setup(proxy, client, upstream, request, serverId, presentation);
    let reply: RtspResponse | undefined;
    try {
      await this.#forgetInherited(upstream, request);
      setup.prepare();
      reply = await this.ask(upstream, request);
      if (reply.status === UNSUPPORTED_TRANSPORT && setup.turn())
        reply = await this.#askTurned(upstream, request, reply);
      setup.complete(reply);
      return reply;
    } catch (error) {
      if (reply) setup.undo(reply);
      throw error;
    } finally {
      setup.release();
      if (reply && reply.status >= 500 && serverId === undefined) this.#setupRefused(upstream, reply);
    }
  }

  /** The answer was sent on, or is of no use. */
  settle(): void {
    if (this.gate.answered) this.#options.wiring.answered(this.gate.answered);
    this.gate.open();
  }

  /** The client got its answer, whoever gave it: nothing of a predecessor is left to wait for. */
  finish(): void {
    this.settle();
    this.#inheritance?.settle();
  }

  /** Behind the client's back: the server counts one more request than the client. */
  async #askTurned(upstream: Upstream, request: RtspRequest, refused: RtspResponse): Promise<RtspResponse> {
    this.settle();
    upstream.cseqAhead++;
    const reply = await this.ask(upstream, request);
    return isSuccess(reply) || CHALLENGES.has(reply.status) ? reply : refused;
  }

  #listener(upstream: Upstream): AnswerListener {
    const { connection, faces, wiring } = this.#options;
    return {
      onSend: () => wiring.forwarding(upstream, faces.name),
      onProvisional: (provisional) => {
        rewriteReply(provisional, faces.of(upstream.service));
        connection.send(provisional, upstream.connection);
      },
      onFinal: () => this.gate.close(upstream),
    };
  }

  /** What a predecessor had prepared for its SETUP is gone with it: the answer is of no use, the server is asked anew. */
  async #forgetInherited(upstream: Upstream, request: RtspRequest): Promise<void> {
    if (!this.#inheritance?.expects(upstream)) return;
    const cseq = request.headers.get('CSeq');
    await this.ask(upstream, request, makeRequest('OPTIONS', '*', cseq === undefined ? {} : { CSeq: cseq }));
    this.settle();
  }

  #setupRefused({ service }: Upstream, reply: RtspResponse): void {
    service.setupRefused();
    this.#options.proxy.serviceFailed(service, `SETUP answered ${reply.status} ${reply.reason}`);
  }
}

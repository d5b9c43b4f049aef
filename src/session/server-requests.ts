import { cseqOf } from '../rtsp/headers/cseq.js';
import { mapSessionId } from '../rtsp/headers/session.js';
import type { RtspRequest, RtspResponse } from '../rtsp/message.js';
import type { Upstream } from './upstream.js';

/** Requests of servers that a client has not answered; the oldest is forgotten for one more. */
const MAX_UNANSWERED = 16;

interface Asked {
  upstream: Upstream;
  cseq: number | undefined;
}

/** Requests that travel from server to client, and the way back for their answers. */
export class ServerRequests {
  readonly #asked: Asked[] = [];

  ask(upstream: Upstream, request: RtspRequest): void {
    this.#asked.push({ upstream, cseq: cseqOf(request) });
    if (this.#asked.length > MAX_UNANSWERED) this.#asked.shift();
  }

  /**
   * Passes the client's answer to the server that asked; one that nobody waits for is dropped. An id that is not
   * one of that server's sessions stays as the client wrote it.
   */
  answer(response: RtspResponse, serverIdOf: (publicId: string, upstream: Upstream) => string | undefined): void {
    const cseq = cseqOf(response);
    const at = cseq === undefined ? 0 : this.#asked.findIndex((asked) => asked.cseq === cseq);
    const [asked] = at < 0 ? [] : this.#asked.splice(at, 1);
    if (!asked) return;
    response.headers.map('Session', (value) => mapSessionId(value, (id) => serverIdOf(id, asked.upstream) ?? id));
    asked.upstream.respond(response);
  }

  forget(upstream: Upstream): void {
    for (let i = this.#asked.length - 1; i >= 0; i--)
      if (this.#asked[i]?.upstream === upstream) this.#asked.splice(i, 1);
  }
}

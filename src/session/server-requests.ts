import { cseqOf } from '../rtsp/headers/cseq.js';
import type { RtspRequest, RtspResponse } from '../rtsp/message.js';
import type { Upstream } from './upstream.js';

/** Requests of servers that a client has not answered; the oldest is forgotten for one more. */
const MAX_UNANSWERED = 16;

interface Asked {
  upstream: Upstream;
  /** The server's own number, as it wrote it. */
  written: string | undefined;
  /** The number by which the client knows the request. */
  cseq: number | undefined;
}

/**
 * Requests that travel from server to client, and the way back for their answers. Each server counts for itself
 * (RFC 2326 §12.17), and a client may have several: a number that waits for its answer already is replaced by another.
 */
export class ServerRequests {
  readonly #asked: Asked[] = [];
  /** Whom a predecessor may have asked the client for. */
  #predecessors: Upstream | undefined;

  /** Notes the request, and gives it a number of its own where it needs one. */
  ask(upstream: Upstream, request: RtspRequest): void {
    const written = request.headers.get('CSeq');
    const cseq = this.#free(cseqOf(request));
    if (cseq !== cseqOf(request)) request.headers.set('CSeq', String(cseq));
    this.#asked.push({ upstream, written, cseq });
    if (this.#asked.length > MAX_UNANSWERED) this.#asked.shift();
  }

  /** Who asked for this answer of the client, which gets that server's own number; undefined if nobody waits for it. */
  take(response: RtspResponse): Upstream | undefined {
    const at = this.#placeOf(response);
    const asked = this.#asked[at];
    if (!asked) return this.#predecessors;
    // A provisional answer is not the last one.
    if (response.status >= 200) this.#asked.splice(at, 1);
    if (asked.written !== undefined) restoreCSeq(response, asked.written);
    return asked.upstream;
  }

  /** What a predecessor asked is not known; with one server there is no doubt whose question an answer answers. */
  inherit(upstreams: readonly Upstream[]): void {
    this.#predecessors = upstreams.length === 1 ? upstreams[0] : undefined;
  }

  forget(upstream: Upstream): void {
    if (this.#predecessors === upstream) this.#predecessors = undefined;
    for (let i = this.#asked.length - 1; i >= 0; i--)
      if (this.#asked[i]?.upstream === upstream) this.#asked.splice(i, 1);
  }

  /** An answer without a number is that to the oldest request. */
  #placeOf(response: RtspResponse): number {
    const cseq = cseqOf(response);
    return cseq === undefined ? 0 : this.#asked.findIndex((asked) => asked.cseq === cseq);
  }

  #free(wanted: number | undefined): number | undefined {
    const taken = this.#asked.flatMap(({ cseq }) => cseq ?? []);
    return wanted !== undefined && taken.includes(wanted) ? Math.max(...taken) + 1 : wanted;
  }
}

function restoreCSeq(response: RtspResponse, written: string): void {
  if (cseqOf(response) !== undefined && cseqOf(response) !== Number(written)) response.headers.set('CSeq', written);
}

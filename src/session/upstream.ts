import { PenstockError } from '../errors.js';
import type { Service } from '../router/service.js';
import { type PeerAddress, RtspConnection } from '../rtsp/connection.js';
import { cseqOf } from '../rtsp/headers/cseq.js';
import type { ConnectionLimits } from '../rtsp/limits.js';
import type { RtspMessage, RtspRequest, RtspResponse } from '../rtsp/message.js';
import { type ByteStream, StreamTransport } from '../rtsp/stream-transport.js';
import type { Transport } from '../rtsp/transport.js';
import { unreachable } from './dialer.js';

/** Opens a connection; rejects with PENSTOCK_ERR_SERVICE_UNREACHABLE. */
export type Dial = (service: Service) => Promise<ByteStream>;

export interface UpstreamHandler {
  /** Of what the server writes. */
  readonly limits?: ConnectionLimits;
  onServerRequest(upstream: Upstream, request: RtspRequest): void;
  onFrame(upstream: Upstream, channel: number, frame: Buffer): void;
  onUpstreamClose(upstream: Upstream): void;
}

/**
 * Called while the answer is being read: what the server sent behind it has not been looked at. A listener says when
 * it has dealt with the answer: `connection.done()`.
 */
export interface AnswerListener {
  /** The request leaves next. */
  onSend?(): void;
  /** A provisional (1xx) answer. */
  onProvisional?(response: RtspResponse): void;
  /** The promise resolves next. */
  onFinal?(): void;
}

interface Exchange {
  request: RtspRequest;
  cseq: number | undefined;
  timeoutMs: number;
  resolve(response: RtspResponse): void;
  reject(error: Error): void;
  listener: AnswerListener;
  /** Once it was sent. */
  timer: NodeJS.Timeout | undefined;
  /** What the server had sent before. */
  bytesBefore: number;
}

/**
 * The connection to one service on behalf of one client connection. Requests are sent
 * one at a time, so an answer belongs to the request that waits, with or without a CSeq.
 */
export class Upstream {
  readonly service: Service;
  /** Answers that belonged to no request. */
  strayReplies = 0;
  /** The client's interleaved channel by the server's; kept by ChannelMap. */
  readonly clientChannels: (number | undefined)[] = [];
  /**
   * By how much the numbers of its requests are ahead of the client's (RFC 2326 §12.17), for those that we made of
   * ourselves. The client sees its own.
   */
  cseqAhead = 0;

  #connection!: RtspConnection;
  readonly #handler: UpstreamHandler;
  readonly #queue: Exchange[] = [];
  #running: Exchange | undefined;
  #closing = false;

  private constructor(service: Service, handler: UpstreamHandler) {
    this.service = service;
    this.#handler = handler;
  }

  /** Over a connection that there is. */
  static over(transport: Transport, service: Service, handler: UpstreamHandler): Upstream {
    const upstream = new Upstream(service, handler);
    const events = {
      onMessage: (message: RtspMessage) => upstream.#receive(message),
      onFrame: (channel: number, frame: Buffer) => handler.onFrame(upstream, channel, frame),
      onEnd: () => upstream.close(),
      onFault: (error: Error) => upstream.#onFault(error),
      onClose: (error: Error | undefined) => upstream.#onClose(error),
    };
    upstream.#connection = new RtspConnection(transport, events, handler.limits);
    return upstream;
  }

  /** Rejects with PENSTOCK_ERR_SERVICE_UNREACHABLE. */
  static async open(service: Service, handler: UpstreamHandler, dial: Dial): Promise<Upstream> {
    return Upstream.over(new StreamTransport(await dial(service)), service, handler);
  }

  get local(): PeerAddress {
    return this.#connection.local;
  }

  /** Closed, or about to be: it takes no more requests. */
  get closed(): boolean {
    return this.#connection.over;
  }

  /** Nothing is being asked, or waits to be. */
  get idle(): boolean {
    return this.#running === undefined && this.#queue.length === 0;
  }

  get connection(): RtspConnection {
    return this.#connection;
  }

  /**
   * Sends a request, as soon as those before it are answered, and resolves with its final answer. Rejects with PENSTOCK_ERR_SERVICE_UNREACHABLE (the connection closed and
   * nothing of an answer had come), PENSTOCK_ERR_SERVICE_REPLY or PENSTOCK_ERR_SERVICE_TIMEOUT.
   */
  request(request: RtspRequest, timeoutMs: number, listener: AnswerListener = {}): Promise<RtspResponse> {
    return new Promise((resolve, reject) => {
      this.#queue.push(exchangeOf(request, timeoutMs, resolve, reject, listener));
      if (!this.#running) this.#next();
    });
  }

  /** As `request`, for one that a predecessor has sent. */
  answerOf(request: RtspRequest, timeoutMs: number, listener: AnswerListener): Promise<RtspResponse> {
    return new Promise((resolve, reject) => {
      this.#run(exchangeOf(request, timeoutMs, resolve, reject, listener));
    });
  }

  /** While `use` runs, the request has the number by which the server knows it. */
  numbered<T>(request: RtspRequest, use: () => T): T {
    const written = request.headers.get('CSeq');
    const cseq = cseqOf(request);
    if (cseq === undefined || written === undefined || this.cseqAhead === 0) return use();
    request.headers.set('CSeq', String(cseq + this.cseqAhead));
    const result = use();
    request.headers.set('CSeq', written);
    return result;
  }

  close(): void {
    this.#connection.end();
  }

  /** Ends the connection once its requests have their answers, or their time is over. */
  closeWhenIdle(): void {
    this.#closing = true;
    if (!this.#running) this.close();
  }

  #next(): void {
    if (this.closed) {
      this.#rejectAll('the connection is closed');
      return;
    }
    const next = this.#queue.shift();
    if (next) {
      this.#run(next);
      next.listener.onSend?.();
      this.numbered(next.request, () => this.#connection.send(next.request));
    } else if (this.#closing) this.close();
  }

  #run(exchange: Exchange): void {
    exchange.timer = setTimeout(() => this.#expire(exchange.timeoutMs), exchange.timeoutMs);
    exchange.bytesBefore = this.#connection.bytesRead;
    this.#running = exchange;
  }

  #receive(message: RtspMessage): void {
    if (message.kind === 'request') {
      this.#handler.onServerRequest(this, message);
      return;
    }
    const running = this.#running;
    if (!running || !belongs(message, running.cseq, this.cseqAhead)) {
      this.strayReplies++;
      this.#connection.done();
      return;
    }
    if (this.cseqAhead !== 0) restoreCSeq(message, running.request);
    if (message.status < 200) {
      if (running.listener.onProvisional) running.listener.onProvisional(message);
      else this.#connection.done();
      return;
    }
    if (running.listener.onFinal) running.listener.onFinal();
    else this.#connection.done();
    this.#take()?.resolve(message);
    this.#next();
  }

  #expire(timeoutMs: number): void {
    this.#take()?.reject(
      new PenstockError('PENSTOCK_ERR_SERVICE_TIMEOUT', `${this.service.name} gave no answer within ${timeoutMs} ms`),
    );
    // A late answer would be taken for the next request's.
    this.#connection.destroy();
  }

  #onFault(error: Error): void {
    this.#take()?.reject(badReply(this.service, error.message));
    this.#connection.destroy();
  }

  #onClose(error: Error | undefined): void {
    const why = error?.message ?? 'the connection was closed';
    const running = this.#take();
    const begun = running && this.#connection.bytesRead !== running.bytesBefore;
    running?.reject(begun ? badReply(this.service, `an answer broke off: ${why}`) : unreachable(this.service, why));
    this.#rejectAll(why);
    this.#handler.onUpstreamClose(this);
  }

  #rejectAll(why: string): void {
    for (const { reject } of this.#queue.splice(0)) reject(unreachable(this.service, why));
  }

  #take(): Exchange | undefined {
    const running = this.#running;
    this.#running = undefined;
    if (running) clearTimeout(running.timer);
    return running;
  }
}

function exchangeOf(
  request: RtspRequest,
  timeoutMs: number,
  resolve: (response: RtspResponse) => void,
  reject: (error: Error) => void,
  listener: AnswerListener,
): Exchange {
  const cseq = cseqOf(request);
  return { request, cseq, timeoutMs, resolve, reject, listener, timer: undefined, bytesBefore: 0 };
}

/** Several servers leave CSeq out of error answers: such an answer belongs to the request that waits. */
function belongs(response: RtspResponse, cseq: number | undefined, ahead: number): boolean {
  const answered = cseqOf(response);
  return answered === undefined || cseq === undefined || answered === cseq + ahead;
}

function restoreCSeq({ headers }: RtspResponse, request: RtspRequest): void {
  const written = request.headers.get('CSeq');
  if (headers.has('CSeq') && written !== undefined) headers.set('CSeq', written);
}

function badReply(service: Service, why: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_SERVICE_REPLY', `${service.name} (${service.ip}:${service.port}): ${why}`);
}

/** The connection could not be made, or went away before anything of an answer came. */
export function isUnreachable(error: unknown): error is PenstockError {
  return error instanceof PenstockError && error.code === 'PENSTOCK_ERR_SERVICE_UNREACHABLE';
}

import { connect, type Socket } from 'node:net';
import { PenstockError } from '../errors.js';
import type { Service } from '../router/service.js';
import { type PeerAddress, RtspConnection } from '../rtsp/connection.js';
import { cseqOf } from '../rtsp/headers/cseq.js';
import type { RtspMessage, RtspRequest, RtspResponse } from '../rtsp/message.js';
import { noChannels } from './channel-map.js';

export interface UpstreamHandler {
  onServerRequest(upstream: Upstream, request: RtspRequest): void;
  onFrame(upstream: Upstream, channel: number, frame: Buffer): void;
  onUpstreamClose(upstream: Upstream): void;
}

interface Waiting {
  cseq: number | undefined;
  resolve(response: RtspResponse): void;
  reject(error: Error): void;
  onProvisional(response: RtspResponse): void;
  timer: NodeJS.Timeout;
}

/**
 * The connection to one service on behalf of one client connection. Requests are sent
 * one at a time, so an answer belongs to the request that waits, with or without a CSeq.
 */
export class Upstream {
  readonly service: Service;
  /** Answers that belonged to no request. */
  strayReplies = 0;
  /** Whether the server has sent anything on this connection yet. */
  answered = false;
  /** The client's interleaved channel by the server's; kept by ChannelMap. */
  readonly clientChannels = noChannels();

  #connection!: RtspConnection;
  readonly #handler: UpstreamHandler;
  #waiting: Waiting | undefined;
  #closing = false;

  private constructor(service: Service, handler: UpstreamHandler) {
    this.service = service;
    this.#handler = handler;
  }

  /** Connects within `timeoutMs`; rejects with PENSTOCK_ERR_SERVICE_UNREACHABLE. */
  static async open(service: Service, handler: UpstreamHandler, timeoutMs: number): Promise<Upstream> {
    const upstream = new Upstream(service, handler);
    const socket = await connectWithin(service, timeoutMs);
    upstream.#connection = new RtspConnection(socket, {
      onMessage: (message) => upstream.#receive(message),
      onFrame: (channel, frame) => handler.onFrame(upstream, channel, frame),
      onEnd: () => upstream.close(),
      onClose: (error) => upstream.#onClose(error),
    });
    return upstream;
  }

  get local(): PeerAddress {
    return this.#connection.local;
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  get connection(): RtspConnection {
    return this.#connection;
  }

  /** Whether a request has not been answered yet. */
  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** Sends a request and resolves with its final answer; provisional (1xx) answers go to `onProvisional`. */
  request(
    request: RtspRequest,
    timeoutMs: number,
    onProvisional: (r: RtspResponse) => void = () => {},
  ): Promise<RtspResponse> {
    if (this.#waiting) throw new Error('one request at a time');
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#expire(timeoutMs), timeoutMs);
      this.#waiting = { cseq: cseqOf(request), resolve, reject, onProvisional, timer };
      this.#connection.send(request);
      if (this.#connection.closed) this.#fail(unreachable(this.service, 'the connection is closed'));
    });
  }

  /** Passes a client's answer to one of the server's own requests. */
  respond(response: RtspResponse): void {
    this.#connection.send(response);
  }

  sendFrame(channel: number, frame: Buffer): boolean {
    return this.#connection.sendFrame(channel, frame);
  }

  close(): void {
    this.#connection.end();
  }

  /** Ends the connection once the request that waits has its answer, or its time is over. */
  closeWhenIdle(): void {
    this.#closing = true;
    if (!this.#waiting) this.close();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  #receive(message: RtspMessage): void {
    this.answered = true;
    if (message.kind === 'request') {
      this.#handler.onServerRequest(this, message);
      return;
    }
    const waiting = this.#waiting;
    if (!waiting || !belongs(message, waiting.cseq)) {
      this.strayReplies++;
      return;
    }
    if (message.status < 200) {
      waiting.onProvisional(message);
      return;
    }
    this.#take()?.resolve(message);
  }

  #expire(timeoutMs: number): void {
    this.#fail(
      new PenstockError('PENSTOCK_ERR_SERVICE_TIMEOUT', `${this.service.name} gave no answer within ${timeoutMs} ms`),
    );
    // A late answer would be taken for the next request's.
    this.#connection.destroy();
  }

  #onClose(error: Error | undefined): void {
    if (error instanceof PenstockError && this.#waiting) {
      this.#fail(new PenstockError('PENSTOCK_ERR_SERVICE_REPLY', `${this.service.name}: ${error.message}`));
    } else {
      this.#fail(unreachable(this.service, error?.message ?? 'the connection was closed'));
    }
    this.#handler.onUpstreamClose(this);
  }

  #fail(error: Error): void {
    this.#take()?.reject(error);
  }

  #take(): Waiting | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) clearTimeout(waiting.timer);
    if (this.#closing) this.close();
    return waiting;
  }
}

/** Several servers leave CSeq out of error answers: such an answer belongs to the request that waits. */
function belongs(response: RtspResponse, cseq: number | undefined): boolean {
  const answered = cseqOf(response);
  return answered === undefined || cseq === undefined || answered === cseq;
}

function connectWithin(service: Service, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: service.ip, port: service.port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    const onError = (error: Error) => {
      clearTimeout(timer);
      reject(unreachable(service, error.message));
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeListener('error', onError);
      resolve(socket);
    });
  });
}

function unreachable(service: Service, why: string): PenstockError {
  return new PenstockError(
    'PENSTOCK_ERR_SERVICE_UNREACHABLE',
    `${service.name} (${service.ip}:${service.port}): ${why}`,
  );
}

import type { Socket } from 'node:net';
import { type ConnectionHandler, RtspConnection } from '../rtsp/connection.js';
import type { RtspMessage, RtspRequest } from '../rtsp/message.js';
import { StreamTransport } from '../rtsp/stream-transport.js';
import { Channels } from './interleaved-path.js';
import type { MediaPath, MediaReceiver } from './media-path.js';
import { answer } from './methods.js';
import type { OriginState } from './origin.js';
import type { Session } from './session.js';

/** Requests of one connection that may wait for their answer; a client that pipelines more is cut off. */
export const MAX_PENDING_REQUESTS = 64;

/** One RTSP connection to the origin. Requests are answered in order, however long one of them takes. */
export class OriginConnection implements ConnectionHandler {
  /** The mount this client announced and may now SETUP for recording. */
  announced: string | undefined;

  readonly #origin: OriginState;
  readonly #rtsp: RtspConnection;
  readonly #channels: Channels;
  /** Streams on this connection's channels, and their sessions: they end with it. */
  readonly #carried = new Map<MediaReceiver, Session>();
  #queue: Promise<void> = Promise.resolve();
  #pending = 0;

  constructor(socket: Socket, origin: OriginState) {
    this.#origin = origin;
    this.#rtsp = new RtspConnection(new StreamTransport(socket), this);
    this.#channels = new Channels(this.#rtsp, origin.counters);
  }

  get localIp(): string {
    return this.#rtsp.local.ip;
  }

  get remoteIp(): string {
    return this.#rtsp.remote.ip;
  }

  openChannels(
    wanted: { rtp: number; rtcp: number } | undefined,
    receiver: MediaReceiver,
    session: Session,
  ): MediaPath | undefined {
    if (this.#rtsp.closed) return undefined;
    const path = this.#channels.attach(wanted, receiver, () => this.#carried.delete(receiver));
    if (path) this.#carried.set(receiver, session);
    return path;
  }

  checkDeadline(nowMs: number): void {
    this.#rtsp.checkDeadline(nowMs);
  }

  destroy(): void {
    this.#rtsp.destroy();
  }

  onMessage(message: RtspMessage): void {
    if (message.kind !== 'request') return; // we ask clients nothing
    this.#origin.counters.requests++;
    if (++this.#pending > MAX_PENDING_REQUESTS) this.#rtsp.destroy(new Error('too many requests in a row'));
    this.#queue = this.#queue.then(() => this.#answer(message));
  }

  onFrame(channel: number, frame: Buffer): void {
    this.#channels.onFrame(channel, frame);
  }

  /** The client's half is shut. Its last requests (TEARDOWN with FIN in one go) still get their answers. */
  onEnd(): void {
    this.#queue = this.#queue.then(() => this.#rtsp.end());
  }

  onClose(): void {
    for (const session of [...this.#carried.values()]) this.#origin.sessions.end(session, 'disconnected');
    this.#origin.connections.delete(this);
  }

  async #answer(request: RtspRequest): Promise<void> {
    if (this.#rtsp.closed) return;
    try {
      this.#rtsp.send(await answer(this.#origin, this, request));
    } catch (error) {
      this.#origin.log?.info({ method: request.method, error: String(error) }, 'request failed');
      this.#rtsp.destroy(error instanceof Error ? error : new Error(String(error)));
    }
    this.#pending--;
  }
}

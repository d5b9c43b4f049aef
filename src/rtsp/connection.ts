import type { Socket } from 'node:net';
import { PenstockError } from '../errors.js';
import type { RtspMessage } from './message.js';
import { RtspParser } from './parser.js';
import { serialize } from './serializer.js';

/** A peer that has begun a message must finish it within this time. */
export const MESSAGE_DEADLINE_MS = 10_000;
/** Bytes that may wait in a socket before whole interleaved frames are dropped. */
export const MAX_FRAME_BACKLOG = 1 << 20;
/** Bytes of messages that may wait before the peer counts as gone: it asks and never reads. */
export const MAX_MESSAGE_BACKLOG = 4 << 20;

const KEEPALIVE_PROBE_MS = 30_000;
/** After our FIN the peer has this long to take what is left and to send its own. */
const LINGER_MS = 5_000;

export interface PeerAddress {
  ip: string;
  port: number;
}

export interface ConnectionHandler {
  onMessage(message: RtspMessage): void;
  /** `frame` is whole, with its 4-byte header, and belongs to the handler. */
  onFrame(channel: number, frame: Buffer): void;
  /** The peer will send nothing more; we may still write. */
  onEnd(): void;
  /**
   * The bytes are not RTSP, or a message was not complete in time: nothing more is read, and we may still write.
   * A handler without it gets `onEnd`. Either way the handler ends the connection.
   */
  onFault?(error: Error): void;
  /** Called once, last. `error` is set when the end was not orderly. */
  onClose(error: Error | undefined): void;
}

/** One RTSP connection: bytes in, messages and interleaved frames out, and the other way. */
export class RtspConnection {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  framesDropped = 0;
  bytesRead = 0;

  readonly #socket: Socket;
  readonly #handler: ConnectionHandler;
  readonly #parser: RtspParser;
  #corked = false;
  #ended = false;
  #closed = false;
  #linger: NodeJS.Timeout | undefined;
  #error: Error | undefined;
  #partialSince = 0;
  #completedThen = 0;

  constructor(socket: Socket, handler: ConnectionHandler) {
    this.#socket = socket;
    this.#handler = handler;
    this.#parser = new RtspParser({
      // A chunk may hold more after the message that made its handler end the connection.
      onMessage: (message) => (this.over ? undefined : handler.onMessage(message)),
      onFrame: (channel, frame) => (this.over ? undefined : handler.onFrame(channel, frame)),
    });
    this.remote = { ip: canonicalIp(socket.remoteAddress), port: socket.remotePort ?? 0 };
    this.local = { ip: canonicalIp(socket.localAddress), port: socket.localPort ?? 0 };
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_PROBE_MS);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('end', () => handler.onEnd());
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('close', () => {
      this.#closed = true;
      clearTimeout(this.#linger);
      handler.onClose(this.#error);
    });
  }

  get closed(): boolean {
    return this.#closed || this.#socket.destroyed;
  }

  /** Ended by us, or closed: nothing can be sent, and nothing that comes is looked at. */
  get over(): boolean {
    return this.#ended || this.closed;
  }

  send(message: RtspMessage): void {
    if (this.over) return;
    this.#write(serialize(message));
    if (this.#socket.writableLength > MAX_MESSAGE_BACKLOG) this.destroy(new Error('peer does not read'));
  }

  /** Sends one whole frame, or drops it whole and counts it when the peer reads too slowly. */
  sendFrame(channel: number, frame: Buffer): boolean {
    if (this.over) return false;
    if (this.#socket.writableLength > MAX_FRAME_BACKLOG) {
      this.framesDropped++;
      return false;
    }
    frame[1] = channel;
    this.#write(frame);
    return true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends what waits, then FIN. What the peer still sends is not looked at. */
  end(): void {
    if (this.over) return;
    this.#ended = true;
    // A paused socket would never see the peer's FIN.
    this.#socket.resume();
    this.#socket.end();
    this.#linger = setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
  }

  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  /** Finds a peer that stopped in the middle of a message. Called now and then with the time in ms. */
  checkDeadline(nowMs: number): void {
    if (this.over || this.#error) return;
    const { midMessage, completed } = this.#parser;
    // A stream of frames is nearly always in the middle of one; what counts is whether any comes to its end.
    // While we read nothing ourselves, the peer cannot be late.
    if (!midMessage || completed !== this.#completedThen || this.#socket.isPaused()) {
      this.#completedThen = completed;
      this.#partialSince = nowMs;
    } else if (nowMs - this.#partialSince > MESSAGE_DEADLINE_MS) {
      this.#fault(new PenstockError('PENSTOCK_ERR_REQUEST_TIMEOUT', 'a message was not complete in time'));
    }
  }

  #read(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    if (this.#ended) return;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#fault(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Nothing more can be understood. Reading goes on, into nothing: bytes left unread would turn our FIN into a reset. */
  #fault(error: Error): void {
    this.#error ??= error;
    this.#socket.removeAllListeners('data');
    this.#socket.resume();
    if (this.#handler.onFault) this.#handler.onFault(error);
    else this.#handler.onEnd();
  }

  /** All that is written in one turn of the event loop leaves in one system call. */
  #write(bytes: Buffer): void {
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }
}

/** `::ffff:192.0.2.1` is `192.0.2.1`: one address has one spelling everywhere. */
export function canonicalIp(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

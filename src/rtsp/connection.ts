import { PenstockError } from '../errors.js';
import { type ConnectionLimits, DEFAULT_CONNECTION_LIMITS } from './limits.js';
import type { RtspMessage } from './message.js';
import { RtspParser } from './parser.js';
import { serialize } from './serializer.js';
import type { PeerAddress, Transport } from './transport.js';

export type { PeerAddress } from './transport.js';

/** Bytes that may wait in a socket before whole interleaved frames are dropped. */
export const MAX_FRAME_BACKLOG = 1 << 20;

/** After our FIN the peer has this long to take what is left and to send its own. */
const LINGER_MS = 5_000;

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

  #transport: Transport;
  readonly #handler: ConnectionHandler;
  readonly #parser: RtspParser;
  readonly #limits: ConnectionLimits;
  #reading = false;
  #ended = false;
  #linger: NodeJS.Timeout | undefined;
  #error: Error | undefined;
  /** When nothing was known to be late; undefined before the first look. */
  #partialSince: number | undefined;
  #completedThen = 0;

  constructor(transport: Transport, handler: ConnectionHandler, limits: ConnectionLimits = DEFAULT_CONNECTION_LIMITS) {
    this.#transport = transport;
    this.#handler = handler;
    this.#limits = limits;
    // A chunk may hold more after the message that made its handler end the connection.
    const whileOpen = {
      onMessage: (message: RtspMessage) => (this.over ? undefined : handler.onMessage(message)),
      onFrame: (channel: number, frame: Buffer) => (this.over ? undefined : handler.onFrame(channel, frame)),
    };
    this.#parser = new RtspParser(whileOpen, this.#limits);
    this.remote = transport.remote;
    this.local = transport.local;
    this.#open(transport);
  }

  get transport(): Transport {
    return this.#transport;
  }

  /** No message or frame is half read: the next byte of the transport is the first of one. */
  get betweenMessages(): boolean {
    return !this.#reading && !this.#parser.midMessage && !this.#error;
  }

  get closed(): boolean {
    return this.#transport.closed;
  }

  /** Ended by us, or closed: nothing can be sent, and nothing that comes is looked at. */
  get over(): boolean {
    return this.#ended || this.closed;
  }

  /** Goes on over another transport, at the byte where the former one stopped: see `betweenMessages`. */
  moveTo(transport: Transport): void {
    this.#transport = transport;
    this.#open(transport);
  }

  /** `completes`: where the message came from that is dealt with by this one. */
  send(message: RtspMessage, completes?: RtspConnection): void {
    if (this.over) return;
    this.#transport.write(serialize(message), completes?.transport);
    if (this.#transport.backlog > this.#limits.messageBacklog) this.destroy(new Error('peer does not read'));
  }

  /** The message that came last is dealt with, and no other leaves for it. */
  done(): void {
    if (!this.over) this.#transport.done();
  }

  /** Sends one whole frame, or drops it whole and counts it when more than `backlog` bytes wait for the peer to read. */
  sendFrame(channel: number, frame: Buffer, backlog = MAX_FRAME_BACKLOG): boolean {
    if (this.over) return false;
    if (this.#transport.backlog > backlog) {
      this.framesDropped++;
      return false;
    }
    frame[1] = channel;
    this.#transport.writeFrame(frame);
    return true;
  }

  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  /** Sends what waits, then FIN. What the peer still sends is not looked at. */
  end(): void {
    if (this.over) return;
    this.#ended = true;
    this.#transport.end();
    this.#linger = setTimeout(() => this.#transport.destroy(), LINGER_MS).unref();
  }

  destroy(error?: Error): void {
    this.#error ??= error;
    this.#transport.destroy();
  }

  /** Finds a peer that stopped in the middle of a message. Called now and then with the time in ms. */
  checkDeadline(nowMs: number): void {
    if (this.over || this.#error) return;
    const { midMessage, completed } = this.#parser;
    // A stream of frames is nearly always in the middle of one; what counts is whether any comes to its end.
    // While we read nothing ourselves, the peer cannot be late.
    const isFirstLook = this.#partialSince === undefined;
    if (isFirstLook || !midMessage || completed !== this.#completedThen || this.#transport.paused) {
      this.#completedThen = completed;
      this.#partialSince = nowMs;
    } else if (nowMs - (this.#partialSince ?? nowMs) > this.#limits.messageMs) {
      this.#fault(new PenstockError('PENSTOCK_ERR_REQUEST_TIMEOUT', 'a message was not complete in time'));
    }
  }

  #open(transport: Transport): void {
    transport.open({
      onBytes: (chunk) => this.#read(chunk),
      onEnd: () => this.#handler.onEnd(),
      onFault: (error) => this.#fault(error),
      onClose: (error) => {
        clearTimeout(this.#linger);
        this.#handler.onClose(this.#error ?? error);
      },
    });
  }

  #read(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    if (this.#ended) return;
    this.#reading = true;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#fault(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#reading = false;
    }
  }

  /** Nothing more can be understood. */
  #fault(error: Error): void {
    this.#error ??= error;
    this.#transport.discard();
    if (this.#handler.onFault) this.#handler.onFault(error);
    else this.#handler.onEnd();
  }
}

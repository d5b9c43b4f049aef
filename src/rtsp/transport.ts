export interface PeerAddress {
  ip: string;
  port: number;
}

/** Who forwards a client's connection, and what the client connected to there. */
export interface Proxied {
  by: PeerAddress;
  destination: PeerAddress;
}

export interface TransportEvents {
  /** What the peer sent, in order; `chunk` belongs to the receiver. */
  onBytes(chunk: Buffer): void;
  /** The peer will send nothing more; we may still write. */
  onEnd(): void;
  /** What the peer sent was read elsewhere and is not RTSP, or a message was not complete in time. */
  onFault(error: Error): void;
  /** Called once, last. `error` is set when the end was not orderly. */
  onClose(error: Error | undefined): void;
}

/**
 * What carries the bytes of an RTSP connection: a socket of this process, or a wire of the engine, which reads the
 * socket itself and brings only whole messages. A connection may change from the one to the other during its life.
 */
export interface Transport {
  readonly remote: PeerAddress;
  readonly local: PeerAddress;
  /** Undefined for a connection that comes from `remote` itself. */
  readonly proxied: Proxied | undefined;
  /** Nothing can be written any more. */
  readonly closed: boolean;
  /** Bytes written that the kernel has not taken. */
  readonly backlog: number;
  /** We do not read: the peer cannot be late. */
  readonly paused: boolean;
  /** Begins to read. Called once. */
  open(events: TransportEvents): void;
  /** `completes`: the message that came last over that transport is dealt with by these bytes, in one step. */
  write(bytes: Buffer, completes?: Transport): void;
  /** A frame, which seldom comes alone. In order with the messages. */
  writeFrame(bytes: Buffer): void;
  /**
   * The message that came last is dealt with. A wire keeps each until then, so that it comes again if this process
   * dies before, and brings nothing else meanwhile.
   */
  done(): void;
  pause(): void;
  resume(): void;
  /** Goes on reading, into nothing: bytes left unread would turn our FIN into a reset. */
  discard(): void;
  /** Sends what waits, then FIN. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
}

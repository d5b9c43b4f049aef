/**
 * What one RTSP message may cost where nothing else is said. Exceeding a limit is a coded error and the end of the
 * connection. A frame needs none: its length field has 16 bits.
 */

/** Characters of a method name. */
export const MAX_METHOD = 32;
/** Bytes of a Request-URI. */
export const MAX_URI = 2048;
/** Bytes of one line of the head, without its line end. A folded field is several lines. */
export const MAX_LINE = 8192;
/** Header lines of one message; a continuation line counts as one. */
export const MAX_HEADERS = 128;
/** Bytes of the whole head: start line, header lines and blank line. */
export const MAX_HEAD = 32 * 1024;
/** Bytes of a body. */
export const MAX_BODY = 256 * 1024;

export interface RtspLimits {
  readonly uri: number;
  readonly line: number;
  readonly headers: number;
  readonly head: number;
  readonly body: number;
}

export const DEFAULT_LIMITS: RtspLimits = {
  uri: MAX_URI,
  line: MAX_LINE,
  headers: MAX_HEADERS,
  head: MAX_HEAD,
  body: MAX_BODY,
};

/** A peer that has begun a message must finish it within this time. */
const MESSAGE_DEADLINE_MS = 10_000;
/** Bytes of messages that may wait before the peer counts as gone: it asks and never reads. */
const MAX_MESSAGE_BACKLOG = 4 << 20;

export interface ConnectionLimits extends RtspLimits {
  readonly messageMs: number;
  readonly messageBacklog: number;
}

export const DEFAULT_CONNECTION_LIMITS: ConnectionLimits = {
  ...DEFAULT_LIMITS,
  messageMs: MESSAGE_DEADLINE_MS,
  messageBacklog: MAX_MESSAGE_BACKLOG,
};

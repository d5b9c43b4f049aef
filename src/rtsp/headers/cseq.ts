import type { RtspMessage } from '../message.js';

/**
 * CSeq = 1*DIGIT (RFC 2326 §12.17). Undefined for anything else: VLC answers some requests without the field,
 * rtsp-streaming-server echoes a missing one as `undefined`.
 */
export function parseCSeq(value: string): number | undefined {
  return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** The number of a message, under any spelling of the name (VLC writes `Cseq`). */
export function cseqOf(message: RtspMessage): number | undefined {
  const value = message.headers.get('CSeq');
  return value === undefined ? undefined : parseCSeq(value);
}

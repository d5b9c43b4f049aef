import { PenstockError } from '../errors.js';

/** `$` channel length payload: binary data between RTSP messages (RFC 2326 §10.12). */
export const FRAME_MARK = 0x24;
/** Bytes before the payload: `$`, channel, length as 16-bit big endian. */
export const FRAME_HEADER = 4;
export const MAX_FRAME_PAYLOAD = 0xffff;
export const MAX_FRAME = FRAME_HEADER + MAX_FRAME_PAYLOAD;

/** A whole frame. `channel` is 0…255, `payload` at most MAX_FRAME_PAYLOAD bytes. */
export function frame(channel: number, payload: Uint8Array): Buffer {
  checkChannel(channel);
  if (payload.length > MAX_FRAME_PAYLOAD) {
    throw new PenstockError(
      'PENSTOCK_ERR_BAD_MESSAGE',
      `a frame holds at most ${MAX_FRAME_PAYLOAD} bytes, not ${payload.length}`,
    );
  }
  const bytes = Buffer.allocUnsafe(FRAME_HEADER + payload.length);
  bytes[0] = FRAME_MARK;
  bytes[1] = channel;
  bytes.writeUInt16BE(payload.length, 2);
  bytes.set(payload, FRAME_HEADER);
  return bytes;
}

/** The payload of a whole frame, as a view. */
export function framePayload(whole: Buffer): Buffer {
  return whole.subarray(FRAME_HEADER);
}

/** Writes another channel into a whole frame, in place. */
export function setFrameChannel(whole: Buffer, channel: number): void {
  checkChannel(channel);
  whole[1] = channel;
}

function checkChannel(channel: number): void {
  if (Number.isInteger(channel) && channel >= 0 && channel <= 0xff) return;
  throw new PenstockError('PENSTOCK_ERR_BAD_MESSAGE', `a channel is 0 to 255, not ${channel}`);
}

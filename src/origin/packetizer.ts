/**
 * Media frames to RTP payloads. Payloads are made once when the clip is loaded and shared by all sessions;
 * only the 12-byte RTP header differs from session to session (rtp.ts).
 */

/** Longest RTP payload in bytes: with RTP, UDP and IPv6 headers it stays below 1500. */
export const MAX_PAYLOAD = 1400;

const FU_A = 28;
const FU_START = 0x80;
const FU_END = 0x40;

export interface RtpPayload {
  data: Buffer;
  /** Set on the last packet of a picture (RFC 6184 §5.1) or of an audio frame (RFC 3640 §3.1). */
  marker: boolean;
}

/** One picture: single NAL unit packets, and FU-A fragments for longer units (RFC 6184 §5.6, §5.8). */
export function packetizeH264(nalUnits: readonly Buffer[], maxPayload = MAX_PAYLOAD): RtpPayload[] {
  const payloads = nalUnits.flatMap((unit) => (unit.length <= maxPayload ? [unit] : fragmentNal(unit, maxPayload)));
  return payloads.map((data, index) => ({ data, marker: index === payloads.length - 1 }));
}

/** One AAC frame in AAC-hbr mode: 13 bits of size, 3 of index; fragmented when too long (RFC 3640 §3.2, §3.3.6). */
export function packetizeAac(frame: Buffer, maxPayload = MAX_PAYLOAD): RtpPayload[] {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(16, 0); // AU-headers-length, in bits
  header.writeUInt16BE(frame.length << 3, 2); // the size of the whole frame, in every fragment
  const pieces = slices(frame, maxPayload - header.length);
  return pieces.map((piece, index) => ({
    data: Buffer.concat([header, piece]),
    marker: index === pieces.length - 1,
  }));
}

function fragmentNal(unit: Buffer, maxPayload: number): Buffer[] {
  const header = unit.readUInt8(0);
  const pieces = slices(unit.subarray(1), maxPayload - 2);
  return pieces.map((piece, index) => {
    const edge = (index === 0 ? FU_START : 0) | (index === pieces.length - 1 ? FU_END : 0);
    return Buffer.concat([Buffer.from([(header & 0xe0) | FU_A, edge | (header & 0x1f)]), piece]);
  });
}

function slices(data: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) pieces.push(data.subarray(at, at + size));
  return pieces;
}

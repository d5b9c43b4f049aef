import { randomBytes } from 'node:crypto';

export const RTP_HEADER = 12;

/** What one sender of one session varies (RFC 3550 §5.1): all three begin at random. */
export interface RtpSource {
  ssrc: number;
  sequence: number;
  timestampBase: number;
}

export function randomSource(): RtpSource {
  const random = randomBytes(10);
  return { ssrc: random.readUInt32BE(0), timestampBase: random.readUInt32BE(4), sequence: random.readUInt16BE(8) };
}

/** `ticks` on the media timeline as a 32-bit RTP timestamp of this source. */
export function timestampOf(source: RtpSource, ticks: number): number {
  return (source.timestampBase + (ticks % 2 ** 32)) % 2 ** 32;
}

/** The next RTP header of the source; steps its sequence number. */
export function nextHeader(source: RtpSource, payloadType: number, marker: boolean, timestamp: number): Buffer {
  const header = Buffer.allocUnsafe(RTP_HEADER);
  header[0] = 0x80;
  header[1] = (marker ? 0x80 : 0) | payloadType;
  header.writeUInt16BE(source.sequence, 2);
  header.writeUInt32BE(timestamp, 4);
  header.writeUInt32BE(source.ssrc, 8);
  source.sequence = (source.sequence + 1) & 0xffff;
  return header;
}

/** Version 2 and a whole header: enough to count a packet as RTP. */
export function isRtp(packet: Buffer): boolean {
  return packet.length >= RTP_HEADER && (packet[0] ?? 0) >> 6 === 2;
}

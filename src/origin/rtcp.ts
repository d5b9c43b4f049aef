/** RTCP packets of the origin (RFC 3550 §6). Everything it sends is a compound that begins with SR or RR. */

const SR = 200;
const RR = 201;
const SDES = 202;
const BYE = 203;
const CNAME = 1;
const NTP_UNIX_OFFSET_SEC = 2208988800;

export interface SenderInfo {
  ssrc: number;
  /** Wall clock, milliseconds since 1970. */
  wallMs: number;
  /** The RTP timestamp of the same instant. */
  timestamp: number;
  packets: number;
  /** Payload bytes. */
  bytes: number;
}

export function senderReport(info: SenderInfo): Buffer {
  const report = Buffer.alloc(28);
  writeHeader(report, 0, SR, info.ssrc);
  const seconds = Math.floor(info.wallMs / 1000);
  report.writeUInt32BE((seconds + NTP_UNIX_OFFSET_SEC) % 2 ** 32, 8);
  report.writeUInt32BE(Math.floor(((info.wallMs - seconds * 1000) / 1000) * 2 ** 32), 12);
  report.writeUInt32BE(info.timestamp, 16);
  report.writeUInt32BE(info.packets % 2 ** 32, 20);
  report.writeUInt32BE(info.bytes % 2 ** 32, 24);
  return report;
}

/** A receiver report without report blocks: tells the sender only that we are alive. */
export function emptyReceiverReport(ssrc: number): Buffer {
  const report = Buffer.alloc(8);
  writeHeader(report, 0, RR, ssrc);
  return report;
}

export function sourceDescription(ssrc: number, cname: string): Buffer {
  const name = Buffer.from(cname);
  const item = 2 + name.length + 1; // type, length, name, and at least one zero to end the list
  const sdes = Buffer.alloc(8 + Math.ceil(item / 4) * 4);
  writeHeader(sdes, 1, SDES, ssrc);
  sdes[8] = CNAME;
  sdes[9] = name.length;
  name.copy(sdes, 10);
  return sdes;
}

export function goodbye(ssrc: number): Buffer {
  const bye = Buffer.alloc(8);
  writeHeader(bye, 1, BYE, ssrc);
  return bye;
}

/** Packet types in a compound, in order; undefined when it is not valid RTCP (RFC 3550 A.2). */
export function packetTypes(compound: Buffer): number[] | undefined {
  const types: number[] = [];
  let at = 0;
  while (at + 4 <= compound.length) {
    const type = compound.readUInt8(at + 1);
    if (compound.readUInt8(at) >> 6 !== 2 || type < SR || type > 207) return undefined;
    types.push(type);
    at += (compound.readUInt16BE(at + 2) + 1) * 4;
  }
  return at === compound.length && types.length > 0 ? types : undefined;
}

export function isReport(type: number): boolean {
  return type === SR || type === RR;
}

function writeHeader(packet: Buffer, count: number, type: number, ssrc: number): void {
  packet[0] = 0x80 | count;
  packet[1] = type;
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
  packet.writeUInt32BE(ssrc, 4);
}

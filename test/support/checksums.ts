import type { Packet } from './pcap.js';

const IPPROTO_UDP = 17;

/** Whether a captured UDP packet has a right checksum in its header (IPv4) and over its data (RFC 768, 8200 §8.1). */
export function checksumsRight({ ip }: Packet): boolean {
  const v4 = (ip[0] ?? 0) >> 4 === 4;
  const header = v4 ? ((ip[0] ?? 0) & 0x0f) * 4 : 40;
  if (v4 && sum(ip.subarray(0, header)) !== 0xffff) return false;
  const datagram = ip.subarray(header);
  if (datagram.readUInt16BE(6) === 0) return false; // none at all
  const addresses = v4 ? ip.subarray(12, 20) : ip.subarray(8, 40);
  return sum(datagram, sum(addresses) + IPPROTO_UDP + datagram.length) === 0xffff;
}

/** One's complement sum of 16-bit words. */
function sum(bytes: Buffer, start = 0): number {
  let total = start;
  for (let at = 0; at < bytes.length; at++) total += at % 2 === 0 ? (bytes[at] ?? 0) << 8 : (bytes[at] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

/** Reads capture files of tcpdump: classic pcap, Ethernet, IPv4 and IPv6 without extension headers. */

export interface Packet {
  protocol: 'udp' | 'tcp';
  /** Seconds since the epoch. */
  time: number;
  src: string;
  sport: number;
  dst: string;
  dport: number;
  payload: Buffer;
  /** The whole IP packet. */
  ip: Buffer;
}

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const ETHERNET_HEADER = 14;
const LINKTYPE_ETHERNET = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

/** All UDP and TCP packets; a record that is cut off at the end (the capture was just ended) is left out. */
export function readPcap(file: Buffer): Packet[] {
  if (file.readUInt32LE(0) !== MAGIC_MICROSECONDS) throw new Error('not a little-endian pcap file');
  if (file.readUInt32LE(20) !== LINKTYPE_ETHERNET) throw new Error('not an Ethernet capture');
  const packets: Packet[] = [];
  for (let at = FILE_HEADER; at + RECORD_HEADER <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const time = file.readUInt32LE(at) + file.readUInt32LE(at + 4) / 1e6;
    const frame = file.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    if (frame.length < length) break;
    const packet = readFrame(frame, time);
    if (packet) packets.push(packet);
    at += RECORD_HEADER + length;
  }
  return packets;
}

function readFrame(frame: Buffer, time: number): Packet | undefined {
  const etherType = frame.readUInt16BE(12);
  const ip = frame.subarray(ETHERNET_HEADER);
  if (etherType === 0x0800) {
    const header = ((ip[0] ?? 0) & 0x0f) * 4;
    const address = (at: number): string => [...ip.subarray(at, at + 4)].join('.');
    const whole = ip.subarray(0, ip.readUInt16BE(2) || undefined); // length 0: segmented later by the kernel
    return readTransport(ip[9], whole.subarray(header), { time, src: address(12), dst: address(16), ip: whole });
  }
  if (etherType === 0x86dd) {
    const payloadLength = ip.readUInt16BE(4);
    const whole = ip.subarray(0, payloadLength ? 40 + payloadLength : undefined);
    const ends = { src: ipv6(ip.subarray(8, 24)), dst: ipv6(ip.subarray(24, 40)) };
    return readTransport(ip[6], whole.subarray(40), { time, ...ends, ip: whole });
  }
  return undefined;
}

type Ends = Pick<Packet, 'time' | 'src' | 'dst' | 'ip'>;

function readTransport(protocol: number | undefined, body: Buffer, ends: Ends): Packet | undefined {
  if (protocol !== IPPROTO_UDP && protocol !== IPPROTO_TCP) return undefined;
  const header = protocol === IPPROTO_UDP ? 8 : ((body[12] ?? 0) >> 4) * 4;
  return {
    ...ends,
    protocol: protocol === IPPROTO_UDP ? 'udp' : 'tcp',
    sport: body.readUInt16BE(0),
    dport: body.readUInt16BE(2),
    payload: body.subarray(header),
  };
}

/** RFC 5952 text: the longest run of zero groups becomes "::". */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  const text = groups.join(':');
  const runs = text.match(/\b0(?::0)+\b/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (!longest) return text;
  const at = text.search(new RegExp(`(?<![0-9a-f])${longest}(?![0-9a-f])`));
  return `${text.slice(0, at).replace(/:$/, '')}::${text.slice(at + longest.length).replace(/^:/, '')}`;
}

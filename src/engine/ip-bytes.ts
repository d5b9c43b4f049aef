import { isIPv6 } from 'node:net';

/** An IP address as it lies in memory: 4 bytes for IPv4, 16 for IPv6, network order. */
export interface IpBytes {
  family: 4 | 6;
  bytes: Uint8Array;
}

const V4_BYTES = 4;
const V4_SHORTEST = '0.0.0.0'.length;
const V4_LONGEST = '255.255.255.255'.length;
const DOT = 0x2e;
const ZERO = 0x30;
const V6_GROUPS = 8;

/**
 * Reads a numeric address; undefined for anything else, host names included.
 * An IPv6 zone (`%eth0`) is dropped: it names an interface of this machine, not an address.
 */
export function parseIp(text: string): IpBytes | undefined {
  const v4 = parseV4(text);
  if (v4) return { family: 4, bytes: v4 };
  const zone = text.indexOf('%');
  const bare = zone < 0 ? text : text.slice(0, zone);
  return isIPv6(bare) ? { family: 6, bytes: parseV6(bare) } : undefined;
}

/** The canonical text: dotted IPv4, or RFC 5952 IPv6 with IPv4-mapped addresses written `::ffff:a.b.c.d`. */
export function formatIp(ip: IpBytes): string {
  return ip.family === 4 ? ip.bytes.join('.') : formatV6(ip.bytes);
}

/** The canonical text of an address, or undefined where it is none. */
export function canonicalIp(text: string): string | undefined {
  const ip = parseIp(text);
  return ip === undefined ? undefined : formatIp(ip);
}

/** As inet_pton reads it: four decimal numbers, none with a leading zero. By hand, for every message has some. */
function parseV4(text: string): Uint8Array | undefined {
  if (text.length < V4_SHORTEST || text.length > V4_LONGEST) return undefined;
  const bytes = new Uint8Array(V4_BYTES);
  let part = 0;
  let value = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (value < 0 || part === V4_BYTES - 1) return undefined;
      bytes[part++] = value;
      value = -1;
    } else {
      const digit = code - ZERO;
      if (digit < 0 || digit > 9 || value === 0) return undefined;
      value = value < 0 ? digit : value * 10 + digit;
      if (value > 255) return undefined;
    }
  }
  if (value < 0 || part !== V4_BYTES - 1) return undefined;
  bytes[part] = value;
  return bytes;
}

/** Bytes of an IPv6 address that are one client: whoever has one address there has them all (RFC 6177). */
const V6_CLIENT_BYTES = 8;

/** What of an address tells clients apart: an IPv4 address, the first half of an IPv6 one. Other text as it is. */
export function clientKey(ip: string): string {
  const address = parseIp(ip);
  if (address?.family !== 6) return ip;
  return formatIp({
    family: 6,
    bytes: Uint8Array.from([...address.bytes.subarray(0, V6_CLIENT_BYTES), ...new Uint8Array(8)]),
  });
}

function parseV6(text: string): Uint8Array {
  const [head = '', tail] = dottedTailAsGroups(text).split('::');
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const groups = [...front, ...new Array<number>(V6_GROUPS - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
}

function dottedTailAsGroups(text: string): string {
  const start = text.lastIndexOf(':') + 1;
  const last = text.slice(start);
  const v4 = parseV4(last);
  if (!v4) return text;
  const [a = 0, b = 0, c = 0, d = 0] = v4;
  return `${text.slice(0, start)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function formatV6(bytes: Uint8Array): string {
  if (isMapped(bytes)) return `::ffff:${bytes.slice(12).join('.')}`;
  const groups: number[] = [];
  for (let i = 0; i < V6_GROUPS; i++) groups.push(((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return hexGroups(groups);
  return `${hexGroups(groups.slice(0, start))}::${hexGroups(groups.slice(start + length))}`;
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 255 && bytes[11] === 255 && bytes.subarray(0, 10).every((byte) => byte === 0);
}

function hexGroups(groups: number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

function longestZeroRun(groups: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}

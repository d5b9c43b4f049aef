// The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): who the client of a forwarded connection is.

import { isIPv4, isIPv6 } from 'node:net';
import { formatIp, parseIp } from '../engine/ip-bytes.js';
import { PenstockError } from '../errors.js';
import type { PeerAddress } from '../rtsp/transport.js';
import { crc32c } from './crc32c.js';

/** Bytes of a version 2 header with all that it tells beside the addresses (TLVs). */
export const MAX_HEADER = 4096;
/** Bytes of a version 1 line with its end; fixed by the protocol. */
export const MAX_LINE = 107;

/** Both ends of a connection as its client sees them. */
export interface ProxiedEnds {
  source: PeerAddress;
  destination: PeerAddress;
}

/** `ends` undefined: the proxy speaks for itself (LOCAL, UNKNOWN), as when it checks us. */
export interface ProxyHeader {
  ends: ProxiedEnds | undefined;
}

type Judged = { value: ProxyHeader; taken: number } | undefined;

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const LINE_BEGIN = Buffer.from('PROXY ');
/** Signature, command, family, length. */
const FIXED = 16;
const LOCAL = 0x20;
const PROXY = 0x21;
const TLV_HEAD = 3;
const TLV_CRC32C = 3;
const CRC32C_BYTES = 4;
const TCP4 = 0x11;
const TCP6 = 0x21;
/** Family and transport, and how many bytes their addresses and ports take; no other can come by TCP. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = { 0: 0, [TCP4]: 12, [TCP6]: 36, 49: 216 };
const LINE = /^PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|(TCP[46]) ([\da-fA-F.:]+) ([\da-fA-F.:]+) (\d{1,5}) (\d{1,5}))$/;

/** Whether the bytes begin a header; undefined where they still may. */
export function beginsProxyHeader(bytes: Buffer): boolean | undefined {
  const begins = [SIGNATURE, LINE_BEGIN].map((begin) => beginsWith(bytes, begin));
  return begins.includes(true) || (begins.includes(undefined) ? undefined : false);
}

/** Undefined while more is needed. Throws PENSTOCK_ERR_PROXY_HEADER for anything but a header that can be understood. */
export function readProxyHeader(bytes: Buffer): Judged {
  if (beginsWith(bytes, SIGNATURE) !== false) return readBinary(bytes);
  if (beginsWith(bytes, LINE_BEGIN) !== false) return readLine(bytes);
  throw refused('there is none');
}

/** Version 2. Without ends the command is LOCAL; IPv4 and IPv6 meet as IPv6. */
export function formatBinary(ends: ProxiedEnds | undefined): Buffer {
  if (!ends) return Buffer.concat([SIGNATURE, Buffer.from([LOCAL, 0, 0, 0])]);
  const family = familyOf(ends);
  const head = Buffer.concat([SIGNATURE, Buffer.from([PROXY, family === 4 ? TCP4 : TCP6, 0, 0])]);
  const addresses = [ends.source, ends.destination].map(({ ip }) => bytesOf(ip, family));
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(ends.source.port, 0);
  ports.writeUInt16BE(ends.destination.port, 2);
  const rest = Buffer.concat([...addresses, ports]);
  head.writeUInt16BE(rest.length, FIXED - 2);
  return Buffer.concat([head, rest]);
}

/** Version 1. */
export function formatLine(ends: ProxiedEnds | undefined): Buffer {
  if (!ends) return Buffer.from('PROXY UNKNOWN\r\n');
  const family = familyOf(ends);
  const { source, destination } = ends;
  const [from, to] = [source, destination].map(({ ip }) => textIn(family, ip));
  return Buffer.from(`PROXY TCP${family} ${from} ${to} ${source.port} ${destination.port}\r\n`);
}

function readBinary(bytes: Buffer): Judged {
  if (bytes.length < FIXED) return undefined;
  const [command = 0, family = 0] = bytes.subarray(SIGNATURE.length);
  const taken = FIXED + bytes.readUInt16BE(FIXED - 2);
  if (taken > MAX_HEADER) throw refused(`it is longer than ${MAX_HEADER} bytes`);
  if (command !== LOCAL && command !== PROXY) throw refused(`unknown version or command 0x${command.toString(16)}`);
  if (bytes.length < taken) return undefined;
  // What stands behind LOCAL is to be skipped unread.
  if (command === LOCAL) return { value: { ends: undefined }, taken };
  const length = ADDRESS_BYTES[family];
  if (length === undefined) throw refused(`no connection by TCP has the family 0x${family.toString(16)}`);
  const rest = bytes.subarray(FIXED, taken);
  if (rest.length < length) throw refused('its addresses are cut short');
  checkTlvs(bytes.subarray(0, taken), FIXED + length);
  return {
    value: { ends: family === TCP4 || family === TCP6 ? readEnds(rest.subarray(0, length)) : undefined },
    taken,
  };
}

/** Both addresses, then both ports. */
function readEnds(bytes: Buffer): ProxiedEnds {
  const half = (bytes.length - 4) / 2;
  const end = (index: number): PeerAddress => ({
    ip: textOf(bytes.subarray(index * half, (index + 1) * half)),
    port: bytes.readUInt16BE(2 * half + 2 * index),
  });
  return checked({ source: end(0), destination: end(1) });
}

/** They must fill the header exactly. Of what they tell only a checksum concerns us. */
function checkTlvs(header: Buffer, begin: number): void {
  let at = begin;
  while (at + TLV_HEAD <= header.length) {
    const value = at + TLV_HEAD;
    const end = value + header.readUInt16BE(at + 1);
    if (end > header.length) break;
    if (header[at] === TLV_CRC32C) checkSum(header, value, end);
    at = end;
  }
  if (at !== header.length) throw refused('its fields do not fill it');
}

/** It was made with zeros in its own place. */
function checkSum(header: Buffer, begin: number, end: number): void {
  const blank = Buffer.from(header).fill(0, begin, end);
  const isRight = end - begin === CRC32C_BYTES && header.readUInt32BE(begin) === crc32c(blank);
  if (!isRight) throw refused('its checksum is wrong');
}

function readLine(bytes: Buffer): Judged {
  const end = bytes.subarray(0, MAX_LINE).indexOf('\r\n');
  if (end < 0) {
    if (bytes.length >= MAX_LINE) throw refused(`it is longer than ${MAX_LINE} bytes`);
    return undefined;
  }
  const match = LINE.exec(bytes.toString('latin1', 0, end));
  if (!match) throw refused('its line is malformed');
  const [, family, from = '', to = '', sourcePort = '', destinationPort = ''] = match;
  const taken = end + 2;
  if (family === undefined) return { value: { ends: undefined }, taken };
  const isOfFamily = family === 'TCP4' ? isIPv4 : isIPv6;
  if (!isOfFamily(from) || !isOfFamily(to)) throw refused(`its addresses are not of ${family}`);
  const source = { ip: canonical(from), port: readPort(sourcePort) };
  return {
    value: { ends: checked({ source, destination: { ip: canonical(to), port: readPort(destinationPort) } }) },
    taken,
  };
}

function readPort(text: string): number {
  if (Number(text) > 65_535 || (text !== '0' && text.startsWith('0'))) throw refused('a port is out of range');
  return Number(text);
}

/** Media is sent to the source: it must be one host. */
function checked(ends: ProxiedEnds): ProxiedEnds {
  const { ip } = ends.source;
  const first = isIPv4(ip) ? Number.parseInt(ip, 10) : undefined;
  const isHost = first === undefined ? ip !== '::' && !/^ff/i.test(ip) : first > 0 && first < 224;
  if (!isHost) throw refused(`no client has the address ${ip}`);
  return ends;
}

/** Undefined where the bytes are too few to tell. */
function beginsWith(bytes: Buffer, begin: Buffer): boolean | undefined {
  const length = Math.min(bytes.length, begin.length);
  if (!bytes.subarray(0, length).equals(begin.subarray(0, length))) return false;
  return length === begin.length ? true : undefined;
}

function familyOf({ source, destination }: ProxiedEnds): 4 | 6 {
  return isIPv4(source.ip) && isIPv4(destination.ip) ? 4 : 6;
}

/** A zone means something on this machine only. */
function textIn(family: 4 | 6, ip: string): string {
  return family === 6 && isIPv4(ip) ? `::ffff:${ip}` : ip.replace(/%.*/, '');
}

function bytesOf(ip: string, family: 4 | 6): Uint8Array {
  const address = parseIp(textIn(family, ip));
  if (address?.family !== family) throw new TypeError(`${ip} is no address`);
  return address.bytes;
}

/** Canonical text; IPv4 inside IPv6 is IPv4. */
function textOf(bytes: Buffer): string {
  const text = formatIp({ family: bytes.length === 4 ? 4 : 6, bytes });
  return text.startsWith('::ffff:') && text.includes('.') ? text.slice('::ffff:'.length) : text;
}

function canonical(ip: string): string {
  const address = parseIp(ip);
  return address ? textOf(Buffer.from(address.bytes)) : ip;
}

function refused(why: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_PROXY_HEADER', `a PROXY header was expected: ${why}`);
}

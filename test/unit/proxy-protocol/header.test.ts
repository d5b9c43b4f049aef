import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrustedProxies } from '../../../src/ingress/trusted-proxies.js';
import { crc32c } from '../../../src/proxy-protocol/crc32c.js';
import {
  beginsProxyHeader,
  formatBinary,
  formatLine,
  MAX_HEADER,
  MAX_LINE,
  type ProxiedEnds,
  readProxyHeader,
} from '../../../src/proxy-protocol/header.js';

const ends = (from: string, to: string): ProxiedEnds => ({
  source: { ip: from, port: 56_324 },
  destination: { ip: to, port: 443 },
});
const refused = expect.objectContaining({ code: 'PENSTOCK_ERR_PROXY_HEADER' });
const SIGNATURE = '0d0a0d0a000d0a515549540a';
/** Version 2 in hexadecimal: command and family, and what follows the length. */
const binary = (head: string, rest: string | Buffer) => {
  const body = typeof rest === 'string' ? Buffer.from(rest, 'hex') : rest;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length);
  return Buffer.concat([Buffer.from(`${SIGNATURE}${head}`, 'hex'), length, body]);
};
/** With CRC32C as its last field; `wrong`: bits of it that are turned. */
const withChecksum = (addresses: string, wrong = 0) => {
  const bytes = binary('2111', `${addresses}03000400000000`);
  bytes.writeUInt32BE((crc32c(bytes) ^ wrong) >>> 0, bytes.length - 4);
  return bytes;
};
const V4 = 'c0000201c6336401dc0401bb';
const V6 = `20010db8${'0'.repeat(22)}0120010db8${'0'.repeat(22)}02dc0401bb`;

// What the protocol's own document gives as examples, and what haproxy sends.
const cases = [
  {
    name: 'v1 TCP4',
    bytes: Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'),
    value: ends('192.0.2.1', '198.51.100.1'),
  },
  {
    name: 'v1 TCP6',
    bytes: Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n'),
    value: ends('2001:db8::1', '2001:db8::2'),
  },
  { name: 'v1 UNKNOWN', bytes: Buffer.from('PROXY UNKNOWN\r\n'), value: undefined },
  { name: 'v2 TCP4', bytes: binary('2111', V4), value: ends('192.0.2.1', '198.51.100.1') },
  { name: 'v2 TCP6', bytes: binary('2121', V6), value: ends('2001:db8::1', '2001:db8::2') },
  { name: 'v2 LOCAL', bytes: binary('2000', ''), value: undefined },
];

describe('headers', () => {
  it.each(cases)('$name is read', ({ bytes, value }) => {
    expect(readProxyHeader(bytes)).toEqual({ value: { ends: value }, taken: bytes.length });
    const more = Buffer.concat([bytes, Buffer.from('OPTIONS * RTSP/1.0\r\n')]);
    expect(readProxyHeader(more)?.taken).toBe(bytes.length);
    expect(beginsProxyHeader(bytes)).toBe(true);
  });

  it.each(cases)('$name is waited for', ({ bytes }) => {
    for (let length = 0; length < bytes.length; length++) {
      expect(readProxyHeader(bytes.subarray(0, length)), String(length)).toBeUndefined();
      expect(beginsProxyHeader(bytes.subarray(0, length)), String(length)).not.toBe(false);
    }
  });

  it.each(cases)('$name is written', ({ name, bytes, value }) => {
    expect((name.startsWith('v1') ? formatLine : formatBinary)(value)).toEqual(bytes);
  });

  it.each([
    [
      'v1 that does not know, with addresses',
      Buffer.from('PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n'),
    ],
    ['v2 LOCAL with addresses, which are skipped', binary('2011', V4)],
    ['v2 of no family', binary('2100', '')],
    ['v2 of no family, with fields', binary('2100', '04000100')],
    ['v2 of a unix socket', binary('2131', '00'.repeat(216))],
  ])('%s leaves the connection to its peer', (_, bytes) => {
    expect(readProxyHeader(bytes)).toEqual({ value: { ends: undefined }, taken: bytes.length });
  });

  it('fields behind the addresses are skipped', () => {
    const bytes = binary('2111', `${V4}04000200000200036f6f6f`);
    expect(readProxyHeader(bytes)).toEqual({ value: { ends: ends('192.0.2.1', '198.51.100.1') }, taken: bytes.length });
  });

  // As haproxy 2.6 sends it with `proxy-v2-options crc32c`.
  it('a checksum that is right is believed', () => {
    const bytes = withChecksum(V4);
    expect(readProxyHeader(bytes)).toEqual({ value: { ends: ends('192.0.2.1', '198.51.100.1') }, taken: bytes.length });
  });

  it('an IPv4 address inside IPv6 is that IPv4 address', () => {
    const mapped = `${'0'.repeat(20)}ffffc0000201`;
    expect(readProxyHeader(binary('2121', `${mapped}${mapped}dc0401bb`))?.value.ends).toEqual(
      ends('192.0.2.1', '192.0.2.1'),
    );
    const line = Buffer.from('PROXY TCP6 ::FFFF:192.0.2.1 2001:DB8:0::2 56324 443\r\n');
    expect(readProxyHeader(line)?.value.ends).toEqual(ends('192.0.2.1', '2001:db8::2'));
  });

  it('both families meet as IPv6', () => {
    const mixed = ends('192.0.2.1', '2001:db8::2');
    expect(formatLine(mixed).toString()).toBe('PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56324 443\r\n');
    expect(readProxyHeader(formatBinary(mixed))?.value.ends).toEqual(mixed);
  });

  it('a zone stays on this machine', () => {
    const near = ends('fe80::1%eth1', '2001:db8::2');
    expect(readProxyHeader(formatLine(near))?.value.ends).toEqual(ends('fe80::1', '2001:db8::2'));
    expect(readProxyHeader(formatBinary(near))?.value.ends).toEqual(ends('fe80::1', '2001:db8::2'));
  });

  it('whatever is written is read again', () => {
    const ip = fc.oneof(
      fc.ipV4().filter((text) => !/^(0|22[4-9]|2[3-5]\d)\./.test(text)),
      fc.constantFrom('2001:db8::1', 'fe80::1', '::1'),
    );
    const end = fc.record({ ip, port: fc.nat(65_535) });
    fc.assert(
      fc.property(end, end, (source, destination) => {
        for (const bytes of [formatBinary({ source, destination }), formatLine({ source, destination })]) {
          expect(readProxyHeader(bytes)).toEqual({ value: { ends: { source, destination } }, taken: bytes.length });
        }
      }),
    );
  });
});

describe('refused', () => {
  it.each([
    ['no header', Buffer.from('OPTIONS * RTSP/1.0\r\n')],
    ['version 1 inside version 2', binary('1111', V4)],
    ['version 3', binary('3111', V4)],
    ['an unknown command', binary('2211', V4)],
    ['UDP', binary('2112', V4)],
    ['a family that does not exist', binary('2141', V4)],
    ['addresses that are cut short', binary('2111', V4.slice(2))],
    ['IPv6 with addresses of IPv4', binary('2121', V4)],
    ['fields that reach beyond the header', binary('2111', `${V4}040003aaaa`)],
    ['a checksum of another header', withChecksum(V4, 1)],
    ['a checksum of two bytes', binary('2111', `${V4}0300020000`)],
    ['two checksums, of which one is right', binary('2111', `${V4}0300040000000003000400000000`)],
    ['an address inside IPv6 that is everywhere', binary('2121', `${'00'.repeat(10)}ffff00000000${V6.slice(32)}`)],
    ['an address inside IPv6 that is many', binary('2121', `${'00'.repeat(10)}ffffe0000001${V6.slice(32)}`)],
    ['every host', binary('2111', `ffffffffc6336401dc0401bb`)],
    ['half a field', binary('2111', `${V4}0400`)],
    ['a source that is everywhere', binary('2111', `00000000c6336401dc0401bb`)],
    ['a source that is many', binary('2111', `e0000001c6336401dc0401bb`)],
    ['an IPv6 source that is everywhere', binary('2121', `${'00'.repeat(16)}${V6.slice(32)}`)],
    ['an IPv6 source that is many', binary('2121', `ff02${'00'.repeat(13)}01${V6.slice(32)}`)],
    ['v1 in lower case', Buffer.from('PROXY tcp4 192.0.2.1 198.51.100.1 1 2\r\n')],
    ['v1 with two blanks', Buffer.from('PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n')],
    ['v1 with something behind', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n')],
    ['v1 of another family', Buffer.from('PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n')],
    ['v1 with half an address', Buffer.from('PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n')],
    ['v1 with a port too high', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n')],
    ['v1 with a port that begins with 0', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n')],
    ['v1 of an unknown family', Buffer.from('PROXY SCTP4 192.0.2.1 198.51.100.1 1 2\r\n')],
  ])('%s', (_, bytes) => expect(() => readProxyHeader(bytes)).toThrow(refused));

  it('a header longer than the limit, before it has come', () => {
    const fields = (length: number) => {
      const field = Buffer.alloc(length - 16 - 12, 0);
      field[0] = 4;
      field.writeUInt16BE(field.length - 3, 1);
      return binary('2111', Buffer.concat([Buffer.from(V4, 'hex'), field]));
    };
    expect(readProxyHeader(fields(MAX_HEADER))?.taken).toBe(MAX_HEADER);
    expect(() => readProxyHeader(fields(MAX_HEADER + 1).subarray(0, 16))).toThrow(refused);
  });

  it('a line longer than the limit', () => {
    const line = (length: number) => Buffer.from(`${'PROXY UNKNOWN '.padEnd(length - 2, 'x')}\r\n`);
    expect(readProxyHeader(line(MAX_LINE))?.taken).toBe(MAX_LINE);
    expect(() => readProxyHeader(line(MAX_LINE + 1))).toThrow(refused);
  });
});

// RFC 3720 appendix B.4.
it.each([
  ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['ascending', Buffer.from(Array.from({ length: 32 }, (_, n) => n)), 0x46dd794e],
])('the checksum of %s', (_, bytes, sum) => expect(crc32c(bytes).toString(16)).toBe(sum.toString(16)));

describe('trusted proxies', () => {
  it.each([
    [['10.0.0.0/8'], '10.255.0.1', true],
    [['10.0.0.0/8'], '11.0.0.1', false],
    [['10.0.0.1/32', '192.0.2.0/25'], '192.0.2.127', true],
    [['10.0.0.1/32', '192.0.2.0/25'], '192.0.2.128', false],
    [['2001:db8::/32'], '2001:db8:1::1', true],
    [['2001:db8::/32'], '10.0.0.1', false],
    [['fe80::/10'], 'fe80::1%eth0', true],
    [['0.0.0.0/0'], '2001:db8::1', false],
    [[], '10.0.0.1', false],
  ])('%j: %s is one: %s', (networks, ip, is) => expect(new TrustedProxies(networks).has(ip)).toBe(is));
});

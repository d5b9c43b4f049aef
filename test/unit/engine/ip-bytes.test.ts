import { isIPv4, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalIp, formatIp, parseIp } from '../../../src/engine/ip-bytes.js';

describe('IP addresses as bytes', () => {
  it.each([
    ['10.77.1.2', '10.77.1.2'],
    ['0.0.0.0', '0.0.0.0'],
    ['::', '::'],
    ['::1', '::1'],
    ['FE80:0::1', 'fe80::1'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['2001:0db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
    ['::ffff:10.1.2.3', '::ffff:10.1.2.3'],
    ['::ffff:0a01:0203', '::ffff:10.1.2.3'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('writes %s as %s', (text, canonical) => expect(canonicalIp(text)).toBe(canonical));

  it.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '256.1.1.1', '1:2:3', ':::', '1::2::3', '10.0.0.1:554'])(
    'refuses %j',
    (text) => expect(parseIp(text)).toBeUndefined(),
  );

  it('takes exactly what is an IPv4 address, with its bytes', () => {
    const part = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '01', '1e1', ' 1', '-1', 'a'));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const text = parts.join('.');
        const bytes = isIPv4(text) ? Uint8Array.from(parts, Number) : undefined;
        expect(parseIp(text)?.bytes).toEqual(bytes);
      }),
    );
  });

  it('gives back the same bytes for every address, in the text that the kernel would print', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 65535 }));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const bytes = Uint8Array.from(groups.flatMap((value) => [value >> 8, value & 255]));
        const text = formatIp({ family: 6, bytes });
        expect(parseIp(text)?.bytes).toEqual(bytes);
        // inet_ntop also writes the long-dead ::a.b.c.d form with dots; RFC 5952 does not.
        const compatible = groups.slice(0, 6).every((value) => value === 0);
        if (!compatible) expect(text).toBe(new SocketAddress({ address: text, family: 'ipv6' }).address);
      }),
    );
  });
});

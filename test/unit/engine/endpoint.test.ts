import { describe, expect, it, vi } from 'vitest';
import { readEndpoint, writeEndpoint } from '../../../src/engine/endpoint.js';
import { freshRegion } from '../../support/fresh-region.js';

vi.mock('node:os', async (original) => ({
  ...(await original<typeof import('node:os')>()),
  networkInterfaces: () => ({
    veth7: [
      { address: '10.77.1.1', family: 'IPv4' },
      { address: '2001:db8::1', family: 'IPv6', scopeid: 0 },
      { address: 'fe80::1', family: 'IPv6', scopeid: 42 },
    ],
  }),
}));

const region = freshRegion();
const at = region.legAt(0, 0) + region.layout.leg.declared;

describe('endpoints of the region', () => {
  it.each([
    { ip: '10.77.1.2', port: 5000 },
    { ip: '255.255.255.255', port: 65535 },
    { ip: '2001:db8::2', port: 0 },
    { ip: '::1', port: 1 },
    { ip: 'fe80::1%7', port: 5000 },
  ])('come back as they went in: $ip', (endpoint) => {
    writeEndpoint(region, at, endpoint);
    expect(readEndpoint(region, at)).toEqual(endpoint);
  });

  it('lie in network order, the port in host order', () => {
    const { endpoint, family } = region.layout;
    writeEndpoint(region, at, { ip: '10.77.1.2', port: 0x1234 });
    expect([...region.bytes(at + endpoint.address, 5)]).toEqual([10, 77, 1, 2, 0]);
    expect(region.getU16(at + endpoint.port)).toBe(0x1234);
    expect(region.getU8(at + endpoint.family)).toBe(family.v4);
  });

  it('leave nothing behind of a longer one', () => {
    writeEndpoint(region, at, { ip: 'ffff::ffff%9', port: 65535 });
    writeEndpoint(region, at, undefined);
    expect([...region.bytes(at, region.layout.sizes.endpoint)].every((byte) => byte === 0)).toBe(true);
    expect(readEndpoint(region, at)).toBeUndefined();
  });

  it('take the zone by the name of an interface', () => {
    writeEndpoint(region, at, { ip: 'fe80::1%veth7', port: 1 });
    expect(readEndpoint(region, at)).toEqual({ ip: 'fe80::1%42', port: 1 });
    writeEndpoint(region, at, { ip: 'fe80::1%no-such-interface', port: 1 });
    expect(readEndpoint(region, at)).toEqual({ ip: 'fe80::1', port: 1 });
  });

  it('are numeric', () => {
    expect(() => writeEndpoint(region, at, { ip: 'camera', port: 1 })).toThrow(RangeError);
  });
});

import { describe, expect, it } from 'vitest';
import type { MediaAddress, MediaSide } from '../../../src/config/types.js';
import { mediaPlace } from '../../../src/session/media-place.js';

const ADDRESSES: MediaAddress[] = [
  { side: 'client', address: '10.0.0.1', advertised: '203.0.113.1' },
  { side: 'client', address: '10.0.0.2' },
  { side: 'client', address: '2001:db8::1', advertised: '2001:db8:ffff::1' },
  { side: 'server', address: '10.9.0.1', advertised: '203.0.113.9' },
];
const of = (side: MediaSide, local: string, peer: string, addresses = ADDRESSES) => {
  const place = mediaPlace(addresses, side, { local, peer });
  return place && [place.address, place.advertised];
};

describe('media of a peer is received', () => {
  it.each([
    ['client', '10.0.0.1', '192.0.2.7', ['10.0.0.1', '203.0.113.1']],
    ['client', '10.0.0.2', '192.0.2.7', ['10.0.0.2', '10.0.0.2']],
    ['client', '10.9.0.1', '192.0.2.7', ['10.0.0.1', '203.0.113.1']],
    ['client', '2001:db8::2', '2001:db8::7', ['2001:db8::1', '2001:db8:ffff::1']],
    ['client', '10.0.0.1', '2001:db8::7', ['2001:db8::1', '2001:db8:ffff::1']],
    ['server', '10.0.0.1', '192.0.2.7', ['10.9.0.1', '203.0.113.9']],
    ['server', '2001:db8::2', '2001:db8::7', ['2001:db8::2', '2001:db8::2']],
  ] as const)('of the side %s, reached on %s, for %s', (side, local, peer, place) =>
    expect(of(side, local, peer)).toEqual(place),
  );

  it('without options where RTSP is, if that is of its family', () => {
    expect(of('client', '10.0.0.1', '192.0.2.7', [])).toEqual(['10.0.0.1', '10.0.0.1']);
    expect(of('client', 'fe80::1%eth0', 'fe80::2%eth0', [])).toEqual(['fe80::1%eth0', 'fe80::1%eth0']);
    expect(of('client', '10.0.0.1', '2001:db8::7', [])).toBeUndefined();
    expect(of('client', '2001:db8::1', '192.0.2.7', [])).toBeUndefined();
  });
});

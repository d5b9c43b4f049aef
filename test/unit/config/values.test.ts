import { describe, expect, it } from 'vitest';
import { canonicalIp, formatAddress, parseHostPort, parseListen, ValueError } from '../../../src/config/addresses.js';
import { editDistance, nearest } from '../../../src/config/nearest.js';
import * as value from '../../../src/config/values.js';

const read = <T>(type: value.ValueType<T>, raw: unknown): T | 'refused' => {
  const result = type.schema.safeParse(raw);
  return result.success ? result.data : 'refused';
};

describe('addresses', () => {
  it.each([
    ['rtsps://127.0.0.1', '127.0.0.1', 322, true],
    ['RTSPS://[::]:8322', '::', 8322, true],
    [':8554', '0.0.0.0', 8554],
    ['*:8554', '0.0.0.0', 8554],
    ['127.0.0.1', '127.0.0.1', 554],
    ['rtsp://127.0.0.1:0', '127.0.0.1', 0],
    ['RTSP://127.0.0.1:8554/', '127.0.0.1', 8554],
    ['localhost:8554', '127.0.0.1', 8554],
    ['[::]:8554', '::', 8554],
    ['[2001:DB8:0:0::1]', '2001:db8::1', 554],
    ['[fe80::1%eth0]:8554', 'fe80::1%eth0', 8554],
  ])('listen %s', (text, address, port, tls = false) => {
    expect(parseListen(text)).toEqual({ address, port, tls });
  });

  it.each([
    ['cam.example:8554', 'not an IP address'],
    ['::1:8554', 'an IPv6 address stands in brackets'],
    ['127.0.0.1:65536', 'a port is 0 to 65535'],
    ['127.0.0.1:', 'not ADDRESS:PORT'],
    ['http://127.0.0.1', 'the scheme is neither rtsp nor rtsps'],
    ['127.0.0.1:554/cam', 'an address has no path'],
  ])('refuses to listen on %s', (text, why) => {
    expect(() => parseListen(text)).toThrow(new ValueError(why));
  });

  it.each([
    ['rtsps://cam-1', 'cam-1', 322, true],
    ['10.0.0.1', '10.0.0.1', 554],
    ['rtsp://Cam-1.Example.:8554', 'cam-1.example.', 8554],
    ['cam_1', 'cam_1', 554],
    ['[::1]:554', '::1', 554],
    ['[::FFFF:10.0.0.1]', '10.0.0.1', 554],
  ])('server %s', (text, host, port, tls = false) => {
    expect(parseHostPort(text)).toEqual({ host, port, tls });
  });

  it.each(['', ':554', 'cam 1', '10.0.0.999', '-cam', 'cam:0', 'user@cam', 'cam:port'])(
    'refuses server "%s"',
    (text) => {
      expect(() => parseHostPort(text)).toThrow(ValueError);
    },
  );

  it('have one text each', () => {
    expect(canonicalIp('2001:0DB8:0000::0001')).toBe('2001:db8::1');
    expect(() => canonicalIp('2001:db8::1::')).toThrow(ValueError);
    expect(formatAddress('2001:db8::1', 554)).toBe('[2001:db8::1]:554');
    expect(formatAddress('10.0.0.1', 554)).toBe('10.0.0.1:554');
  });

  it('media addresses may be announced as others', () => {
    const [address, advertised] = ['10.0.0.1', '192.0.2.1'];
    expect(read(value.mediaAddress, '10.0.0.1')).toEqual({ side: 'client', address });
    expect(read(value.mediaAddress, '10.0.0.1=192.0.2.1')).toEqual({ side: 'client', address, advertised });
    expect(read(value.mediaAddress, 'server:10.0.0.1=192.0.2.1')).toEqual({ side: 'server', address, advertised });
    expect(read(value.mediaAddress, 'client:[2001:DB8::1]=2001:db8::2')).toEqual({
      side: 'client',
      address: '2001:db8::1',
      advertised: '2001:db8::2',
    });
  });

  it.each([
    ...[
      '10.0.0.1=cam',
      'cam',
      'servers:10.0.0.1',
      'server:',
      '10.0.0.1=',
      '10.0.0.1=2001:db8::1',
      '2001:db8::1=10.0.0.1',
    ],
    ...['0.0.0.0', '::', '224.0.0.1', '10.0.0.1=255.255.255.255', 'ff02::1'],
  ])('%s is no media address', (text) => expect(read(value.mediaAddress, text)).toBe('refused'));
});

describe('values', () => {
  const duration = value.duration(0.1, 3600);

  it.each([
    [5, 5000],
    ['5', 5000],
    ['0.5', 500],
    ['.5', 500],
    ['1.5s', 1500],
    ['500ms', 500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['0.05', 'refused'],
    ['2h', 'refused'],
    ['5x', 'refused'],
    ['', 'refused'],
    [-1, 'refused'],
    [null, 'refused'],
    [[5], 'refused'],
  ])('duration %j', (raw, expected) => {
    expect(read(duration, raw)).toBe(expected);
  });

  it.each([
    ['auto', -1],
    [0, 0],
    ['0.5', 500],
    ['0.5ms', 500],
    ['500us', 500],
    ['2ms', 2000],
    ['2.1', 'refused'],
    ['1s', 'refused'],
  ])('batch delay %j', (raw, expected) => {
    expect(read(value.batchDelay, raw)).toBe(expected);
  });

  it.each([
    [true, true],
    ['yes', true],
    ['1', true],
    ['off', false],
    [0, false],
    ['maybe', 'refused'],
  ])('switch %j', (raw, expected) => {
    expect(read(value.toggle, raw)).toBe(expected);
  });

  it.each([
    ['64k', 65_536],
    ['4M', 4_194_304],
    [5000, 5000],
    ['1', 'refused'],
    ['4G', 'refused'],
  ])('bytes %j', (raw, expected) => {
    expect(read(value.bytes(4096, 1 << 28), raw)).toBe(expected);
  });

  it.each([
    [200, [200]],
    ['200, 401', [200, 401]],
    [
      [200, '404'],
      [200, 404],
    ],
    ['99', 'refused'],
    ['600', 'refused'],
    ['', 'refused'],
    [[], 'refused'],
  ])('statuses %j', (raw, expected) => {
    expect(read(value.statusCodes, raw)).toEqual(expected);
  });

  it('whole numbers are not taken from anything else', () => {
    const small = value.integer(1, 64);
    expect([1, '64', ' 7 '].map((raw) => read(small, raw))).toEqual([1, 64, 7]);
    for (const raw of [0, 65, 1.5, '1e1', '0x10', '', true, null, undefined, {}])
      expect(read(small, raw)).toBe('refused');
  });
});

describe('nearest', () => {
  it('counts insertions, deletions, replacements and swaps', () => {
    expect(editDistance('weight', 'weight')).toBe(0);
    expect(editDistance('wieght', 'weight')).toBe(1);
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(editDistance('', 'abc')).toBe(3);
  });

  it('suggests only what may have been meant', () => {
    expect(nearest('idle-timout', ['client-timeout', 'idle-timeout'])).toBe('idle-timeout');
    expect(nearest('LATCHING', ['latching'])).toBe('latching');
    expect(nearest('banana', ['listen', 'server'])).toBeUndefined();
  });
});

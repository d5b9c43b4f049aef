import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ServiceAddress, SessionCodec, type SessionIdMode } from '../../../src/session/session-codec.js';

const MODES: SessionIdMode[] = ['sealed', 'prefix', 'suffix'];
const ID_CHARS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789$-_.+'; // RFC 2326 §3.4
const HEX_CHARS = '0123456789abcdef';
const V4: ServiceAddress = { ip: '10.77.2.2', port: 554 };
const OTHER_V4: ServiceAddress = { ip: '10.77.2.3', port: 554 };
const V6: ServiceAddress = { ip: '2001:db8::2', port: 8554 };
const FARM = [V4, OTHER_V4, V6, { ip: '::ffff:10.77.2.2', port: 554 }];

const key = (name: string): Buffer => createHash('sha256').update(name).digest();
const member = (address: ServiceAddress): boolean =>
  FARM.some((service) => service.ip === address.ip && service.port === address.port);

function codec(mode: SessionIdMode, keys = [key('a')], isMember = member): SessionCodec {
  return new SessionCodec({ mode, keys, isMember });
}

const text = (alphabet: string) => fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: 100 });
const serverIds = fc.oneof(text(ID_CHARS), text(HEX_CHARS));
const services = fc.constantFrom(...FARM);

describe.each(MODES)('public id, %s', (mode) => {
  const ids = codec(mode);

  it('round-trips every id of the grammar for every member', () => {
    fc.assert(
      fc.property(serverIds, services, (serverId, address) => {
        expect(ids.decode(ids.encode(address, serverId))).toEqual({ address, serverId });
      }),
      { numRuns: 1000 },
    );
  });

  it('adds only letters and digits, at the ends of the id, and is deterministic', () => {
    fc.assert(
      fc.property(serverIds, services, (serverId, address) => {
        const publicId = ids.encode(address, serverId);
        const at = mode === 'suffix' ? 0 : publicId.length - serverId.length;
        expect(publicId.slice(at, at + serverId.length)).toBe(serverId);
        expect(publicId.replace(serverId, '')).toMatch(/^[0-9A-Za-z]*$/);
        expect(codec(mode).encode(address, serverId)).toBe(publicId);
      }),
    );
  });

  it('leads nowhere outside the farm', () => {
    const everybody = codec(mode, [key('a')], () => true);
    expect(ids.decode(everybody.encode({ ip: '192.0.2.1', port: 554 }, 'abc'))).toBeUndefined();
    expect(ids.decode(everybody.encode({ ip: V4.ip, port: 555 }, 'abc'))).toBeUndefined();
    expect(ids.decode(everybody.encode({ ip: '2001:db8::3', port: 8554 }, 'abc'))).toBeUndefined();
  });

  it('refuses garbage, and an id that holds no server id', () => {
    for (const bad of ['', 'x', '0a4d0202', 'zz'.repeat(40), 'A'.repeat(200), '\u{1f600}'.repeat(40)]) {
      expect(ids.decode(bad)).toBeUndefined();
    }
    expect(ids.decode(ids.encode(V4, ''))).toBeUndefined();
    expect(ids.decode(ids.encode(V6, ''))).toBeUndefined();
  });

  it('refuses what can only be a mistake of the caller', () => {
    for (const address of [
      { ip: 'camera.example', port: 554 },
      { ip: '10.0.0.1', port: 65536 },
    ]) {
      expect(() => ids.encode(address, 'abc')).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_CONFIG' }));
    }
  });
});

describe('sealed ids', () => {
  // Every id leads somewhere, so that only the seal can refuse.
  const ids = codec('sealed', [key('a')], () => true);
  const ANY_CHAR = [...ID_CHARS, ' ', '\t', ';', 'é', '\u212a' /* folds to k */];

  it('never decode after a flip of any one character, letter case included', () => {
    for (const publicId of [ids.encode(V4, 'L9F2t3UcU+eUgQ6D'), ids.encode(V6, '4F2A61B0')]) {
      for (let at = 0; at < publicId.length; at++) {
        for (const char of ANY_CHAR) {
          const flipped = publicId.slice(0, at) + char + publicId.slice(at + 1);
          if (flipped !== publicId) expect(ids.decode(flipped)).toBeUndefined();
        }
      }
    }
  });

  it('never decode after a flip in any id of the grammar', () => {
    fc.assert(
      fc.property(serverIds, services, fc.nat(), fc.constantFrom(...ANY_CHAR), (serverId, address, place, char) => {
        const publicId = ids.encode(address, serverId);
        const at = place % publicId.length;
        fc.pre(publicId[at] !== char);
        expect(ids.decode(publicId.slice(0, at) + char + publicId.slice(at + 1))).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it('never decode truncated, extended, or with a character moved', () => {
    const publicId = ids.encode(V4, '0123456789abcdef');
    for (let length = 0; length < publicId.length; length++) {
      expect(ids.decode(publicId.slice(0, length))).toBeUndefined();
      expect(ids.decode(publicId.slice(publicId.length - length))).toBeUndefined();
    }
    expect(ids.decode(`${publicId}0`)).toBeUndefined();
    expect(ids.decode(`0${publicId}`)).toBeUndefined();
    expect(ids.decode(publicId.toUpperCase())).toBeUndefined();
  });

  it('cannot have their seal transplanted to another server id', () => {
    const one = ids.encode(V4, 'aaaaaaaa');
    const two = ids.encode(V4, 'bbbbbbbb');
    expect(ids.decode(one.slice(0, -8) + two.slice(-8))).toBeUndefined();
    expect(ids.decode(`${one.slice(0, -8)}aaaaaaa`)).toBeUndefined();
  });

  it('cannot have the tag of one and the address of another', () => {
    const one = ids.encode(V4, 'same');
    const two = ids.encode(OTHER_V4, 'same');
    expect(ids.decode(one.slice(0, 16) + two.slice(16))).toBeUndefined();
  });

  it('do not decode under a foreign key', () => {
    expect(codec('sealed', [key('b')], () => true).decode(ids.encode(V4, 'abc'))).toBeUndefined();
  });

  it('decode under both keys of a rotation, and are made with the first', () => {
    const old = ids.encode(V4, 'abc');
    const rotating = codec('sealed', [key('b'), key('a')]);
    expect(rotating.decode(old)).toEqual({ address: V4, serverId: 'abc' });
    const fresh = rotating.encode(V4, 'abc');
    expect(fresh).not.toBe(old);
    expect(codec('sealed', [key('b')]).decode(fresh)).toEqual({ address: V4, serverId: 'abc' });
    expect(ids.decode(fresh)).toBeUndefined();
  });

  it('show neither the address nor its family', () => {
    const v4 = ids.encode(V4, 'abc');
    const v6 = ids.encode(V6, 'abc');
    expect(v4).not.toContain('0a4d0202');
    expect(v6).not.toContain('20010db8');
    expect(v4.length).toBe(v6.length);
    expect(ids.encode(V4, 'abd').slice(0, -3)).not.toBe(v4.slice(0, -3));
  });

  it('stay stable from version to version', () => {
    expect(ids.encode(V4, 'L9F2t3UcU+eUgQ6D')).toMatchInlineSnapshot(
      `"e8c270c1ad339acad11d9c3e2c791cadbd89e9dacd9714616b4061L9F2t3UcU+eUgQ6D"`,
    );
  });

  it('need a key', () => {
    expect(() => codec('sealed', [])).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_KEY_FILE' }));
  });
});

describe('plain ids', () => {
  it('are the hex of IP and port before the server id', () => {
    expect(codec('prefix').encode(V4, 'Xltv8DYx-ff+9_ME')).toBe('0a4d0202022aXltv8DYx-ff+9_ME');
    expect(codec('prefix').encode(V6, 'a')).toBe('20010db8000000000000000000000002216aa');
  });

  it('are the hex of IP and port after the server id', () => {
    expect(codec('suffix').encode(V4, 'Xltv8DYx-ff+9_ME')).toBe('Xltv8DYx-ff+9_ME0a4d0202022a');
  });

  it('accept no upper-case hex', () => {
    expect(codec('prefix').decode('0A4D0202022Aabc')).toBeUndefined();
    expect(codec('suffix').decode('abc0A4D0202022A')).toBeUndefined();
  });

  it('read as IPv6 first, and as IPv4 where no such IPv6 service is in the farm', () => {
    const tail = '0123456789abcdef01234567';
    const asV4 = { address: V4, serverId: `${tail}f00` };
    const publicId = `0a4d0202022a${tail}f00`;
    expect(codec('prefix').decode(publicId)).toEqual(asV4);
    const everybody = codec('prefix', [], () => true).decode(publicId);
    expect(everybody).toEqual({ address: { ip: 'a4d:202:22a:123:4567:89ab:cdef:123', port: 0x4567 }, serverId: 'f00' });
  });

  it('need no key', () => {
    expect(codec('suffix', []).decode('abc0a4d0202022a')).toEqual({ address: V4, serverId: 'abc' });
  });
});

it('a codec with other keys writes ids under the first of them and reads those of all', () => {
  const ids = codec('sealed', [key('old')]);
  const before = ids.encode(V4, 'S1');
  ids.rekey([key('new'), key('old')]);
  expect(ids.encode(V4, 'S1')).toBe(codec('sealed', [key('new')]).encode(V4, 'S1'));
  expect(ids.decode(before)).toMatchObject({ address: V4, serverId: 'S1' });
  ids.rekey([key('new')]);
  expect(ids.decode(before)).toBeUndefined();
});

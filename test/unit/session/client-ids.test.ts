import { describe, expect, it } from 'vitest';
import { ClientIds } from '../../../src/session/client-ids.js';
import { SessionCodec } from '../../../src/session/session-codec.js';

const [OLD, NEW] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const A = { ip: '10.0.0.1', port: 554 };
const B = { ip: '10.0.0.2', port: 554 };

const codec = (...keys: Buffer[]) => new SessionCodec({ mode: 'sealed', keys, isMember: () => true });

/** Counts what is really encoded and decoded. */
function counted(inner: SessionCodec) {
  const calls = { encode: 0, decode: 0 };
  const ids = new ClientIds({
    encode: (address, serverId) => {
      calls.encode++;
      return inner.encode(address, serverId);
    },
    decode: (publicId) => {
      calls.decode++;
      return inner.decode(publicId);
    },
  });
  return { calls, ids };
}

describe('ids of one client', () => {
  it('are those of the codec, worked out once while it talks of one session', () => {
    const inner = codec(NEW);
    const { calls, ids } = counted(inner);
    for (let i = 0; i < 3; i++) {
      expect(ids.encode(A, 'S1')).toBe(inner.encode(A, 'S1'));
      expect(ids.decode(inner.encode(A, 'S1'))).toMatchObject({ address: A, serverId: 'S1' });
    }
    expect(calls).toEqual({ encode: 1, decode: 0 });
  });

  it('are not mixed up between sessions, servers and ports', () => {
    const inner = codec(NEW);
    const { ids } = counted(inner);
    for (const [address, serverId] of [
      [A, 'S1'],
      [A, 'S2'],
      [B, 'S2'],
      [{ ...B, port: 555 }, 'S2'],
      [A, 'S1'],
    ] as const) {
      const publicId = ids.encode(address, serverId);
      expect(publicId).toBe(inner.encode(address, serverId));
      expect(ids.decode(publicId)).toMatchObject({ address, serverId });
    }
  });

  it('does not remember what is no id', () => {
    const { calls, ids } = counted(codec(NEW));
    expect([ids.decode('forged'), ids.decode('forged')]).toEqual([undefined, undefined]);
    expect(calls.decode).toBe(2);
  });

  it('shows a client the id by which it came, also after the key was changed', () => {
    const before = codec(OLD).encode(A, 'S1');
    const { ids } = counted(codec(NEW, OLD));
    expect(ids.decode(before)).toMatchObject({ address: A, serverId: 'S1' });
    expect(ids.encode(A, 'S1')).toBe(before);
  });
});

import { describe, expect, it } from 'vitest';
import { bdecode, bencode } from '../../../bench/rivals/bencode.js';

describe('bencode', () => {
  it('writes dictionaries with sorted keys, and strings by their length in bytes', () => {
    expect(bencode({ sdp: 'ä', command: 'offer', flags: ['a', 'b'] })).toBe(
      'd7:command5:offer5:flagsl1:a1:be3:sdp2:äe',
    );
  });

  it('reads what it wrote', () => {
    const value = { command: 'answer', list: ['x', ['y']], empty: '', inner: { sdp: 'v=0\r\no=- ü\r\n' } };
    expect(bdecode(Buffer.from(bencode(value)))).toEqual(value);
  });

  it('reads integers as text', () => {
    expect(bdecode(Buffer.from('d7:createdi1700000000e6:result2:oke'))).toEqual({
      created: '1700000000',
      result: 'ok',
    });
  });

  it.each(['d3:ab', '5:abc', 'x', '1:ab', ''])('refuses %j', (text) => {
    expect(() => bdecode(Buffer.from(text))).toThrow();
  });
});

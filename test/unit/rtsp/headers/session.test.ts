import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { formatSession, mapSessionId, parseSession, type SessionHeader } from '../../../../src/rtsp/headers/session.js';

const cases: { name: string; text: string; value: SessionHeader }[] = [
  { name: 'an id alone', text: '57iLUVKZ2BGvwmeH', value: { id: '57iLUVKZ2BGvwmeH', rest: [] } },
  {
    name: 'a timeout (live555)',
    text: '6F3A2C10;timeout=65',
    value: { id: '6F3A2C10', timeoutSec: 65, rest: ['timeout=65'] },
  },
  { name: 'a blank before it', text: 'a; timeout=60', value: { id: 'a', timeoutSec: 60, rest: [' timeout=60'] } },
  { name: 'an empty id (VLC)', text: ';timeout=60', value: { id: '', timeoutSec: 60, rest: ['timeout=60'] } },
  { name: 'nothing', text: '', value: { id: '', rest: [] } },
  { name: 'odd characters', text: 'dAei7Ldw4t.i6a-_$+', value: { id: 'dAei7Ldw4t.i6a-_$+', rest: [] } },
  {
    name: 'other parameters',
    text: 'a;x=1; Timeout = 30 ;flag',
    value: { id: 'a', timeoutSec: 30, rest: ['x=1', ' Timeout = 30 ', 'flag'] },
  },
  { name: 'a timeout that is no number', text: 'a;timeout=abc', value: { id: 'a', rest: ['timeout=abc'] } },
];

test.each(cases)('parse $name', ({ text, value }) => expect(parseSession(text)).toEqual(value));
test.each(cases)('format $name', ({ text, value }) => expect(formatSession(value)).toBe(text));

describe('formatSession', () => {
  it('writes a timeout that is not there yet', () => {
    expect(formatSession({ id: 'a', timeoutSec: 60, rest: ['x'] })).toBe('a;x;timeout=60');
  });

  it('writes another timeout in its place and spelling', () => {
    expect(formatSession({ ...parseSession('a; Timeout = 30;x'), timeoutSec: 5 })).toBe('a; Timeout = 5;x');
  });
});

describe('mapSessionId', () => {
  it.each([
    ['abc;timeout=60', 'XYZ;timeout=60'],
    ['abc ; timeout=60', 'XYZ ; timeout=60'],
    ['abc', 'XYZ'],
    [';timeout=60', 'XYZ;timeout=60'],
  ])('%j becomes %j', (from, to) => expect(mapSessionId(from, () => 'XYZ')).toBe(to));

  it('gives the id without the rest', () => {
    const ids: string[] = [];
    mapSessionId('abc ;timeout=60', (id) => {
      ids.push(id);
      return id;
    });
    expect(ids).toEqual(['abc']);
  });
});

it('comes back from any text', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '1', ';', '=', ' ', '"', ',', 't', 'timeout=', '60') });
  fc.assert(
    fc.property(text, (value) => {
      expect(parseSession(formatSession(parseSession(value)))).toEqual(parseSession(value));
      expect(mapSessionId(value, (id) => id)).toBe(value);
    }),
  );
});

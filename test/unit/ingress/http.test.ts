import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Base64Decoder, MAX_BLANKS } from '../../../src/ingress/http/base64-decoder.js';
import { MAX_COOKIE, MAX_HTTP_HEAD, readHttpHead } from '../../../src/ingress/http/head.js';
import { kindOf } from '../../../src/ingress/sniff.js';

const refused = expect.objectContaining({ code: 'PENSTOCK_ERR_TUNNEL' });

describe('the kind of a connection', () => {
  it.each([
    ['GET / HTTP/1.0', 'http'],
    ['POST /', 'http'],
    ['GET ', 'http'],
    ['GET_PARAMETER * RTSP/1.0', 'rtsp'],
    ['OPTIONS', 'rtsp'],
    ['\r\nOPTIONS', 'rtsp'],
    ['PROXY TCP4 ', 'proxy'],
    ['PROXY', undefined],
    ['PLAY rtsp://', 'rtsp'],
    ['\r\n\r\n\0\r\nQUIT\n', 'proxy'],
    ['\r\n\r\n', undefined],
    ['\r\n\r\nOPTIONS', 'rtsp'],
    ['$', 'rtsp'],
    ['get /', 'rtsp'],
    ['GET\t/', 'rtsp'],
    ['G', undefined],
    ['GET', undefined],
    ['POS', undefined],
    ['', undefined],
  ])('%j is %s', (text, kind) => expect(kindOf(Buffer.from(text))).toBe(kind));
});

describe('the head of a half', () => {
  const head = (fields: string[], line = 'GET /live HTTP/1.0') =>
    Buffer.from(`${[line, ...fields].join('\r\n')}\r\n\r\n`);
  const read = (fields: string[], line?: string) => readHttpHead(head(fields, line));

  it('is read to its blank line, and no further', () => {
    const bytes = Buffer.concat([
      head(['X-SessionCookie:  abc ', 'Accept: x'], 'POST /live?x HTTP/1.1'),
      Buffer.from('T1BU'),
    ]);
    expect(readHttpHead(bytes)).toEqual({ value: { method: 'POST', cookie: 'abc' }, taken: bytes.length - 4 });
    expect(readHttpHead(Buffer.from('GET / HTTP/1.0\nx-sessioncookie: a\n\n'))?.value.cookie).toBe('a');
  });

  it('is waited for', () => {
    const bytes = head(['x-sessioncookie: a']);
    for (let length = 0; length < bytes.length; length++) {
      expect(readHttpHead(bytes.subarray(0, length)), String(length)).toBeUndefined();
    }
  });

  it.each([
    ['no cookie', ['Accept: application/x-rtsp-tunnelled'], undefined],
    ['an empty cookie', ['x-sessioncookie: '], undefined],
    ['two cookies', ['x-sessioncookie: a', 'x-sessioncookie: b'], undefined],
    ['a cookie with a blank', ['x-sessioncookie: a b'], undefined],
    ['another protocol', ['x-sessioncookie: a'], 'GET /live HTTP/2.0'],
    ['no protocol', ['x-sessioncookie: a'], 'GET /live'],
    ['two URLs', ['x-sessioncookie: a'], 'GET /live /live HTTP/1.0'],
  ])('with %s is refused', (_, fields, line) => expect(() => read(fields, line)).toThrow(refused));

  it('has a cookie as long as the limit, and no longer', () => {
    expect(read([`x-sessioncookie: ${'c'.repeat(MAX_COOKIE)}`])?.value.cookie).toHaveLength(MAX_COOKIE);
    expect(() => read([`x-sessioncookie: ${'c'.repeat(MAX_COOKIE + 1)}`])).toThrow(refused);
  });

  it('is as long as the limit, and no longer', () => {
    const fields = (bytes: number) => [
      'x-sessioncookie: a',
      `X: ${'x'.repeat(bytes - head(['x-sessioncookie: a', 'X: ']).length)}`,
    ];
    expect(read(fields(MAX_HTTP_HEAD))?.taken).toBe(MAX_HTTP_HEAD);
    expect(() => read(fields(MAX_HTTP_HEAD + 1))).toThrow(refused);
    expect(() => readHttpHead(Buffer.alloc(MAX_HTTP_HEAD, 'x'))).toThrow(refused);
  });
});

describe('base64 in pieces', () => {
  const decoded = (...pieces: string[]) => {
    const decoder = new Base64Decoder();
    return pieces.map((piece) => decoder.push(Buffer.from(piece, 'latin1')).toString()).join('');
  };

  it('each message may be encoded by itself, and lines may be broken', () => {
    expect(decoded('T1BUSU9OUw==UExBWQ==')).toBe('OPTIONSPLAY');
    expect(decoded('T1BU\r\nSU9\n OUw\t==\r\n')).toBe('OPTIONS');
    expect(decoded('T1', 'BUSU', '9OUw=', '=UExBWQ', '==', 'QUJD')).toBe('OPTIONSPLAYABC');
  });

  it.each(['T1B*', 'T1-_', 'T=BU', '=AAA', 'TQ=A', 'TQ==='.padEnd(8, 'A'), 'T1BU\0', 'T1BU\u00ff'])(
    '%j is refused',
    (text) => {
      expect(() => decoded(text)).toThrow(refused);
    },
  );

  it('as many blanks in a row as the limit, and no more, however they come', () => {
    const blanks = ' '.repeat(MAX_BLANKS);
    expect(decoded(`T1BU${blanks}UExB`)).toBe('OPTPLA');
    expect(decoded('T1BU', blanks.slice(1), ' UExB')).toBe('OPTPLA');
    expect(() => decoded(`T1BU${blanks} UExB`)).toThrow(refused);
    expect(() => decoded('T1BU', blanks, ' ')).toThrow(refused);
    expect(() => decoded('T1BU', blanks.slice(1), '  UExB')).toThrow(refused);
    expect(decoded(`T1BU${blanks}UExB${blanks}`, 'QUJD')).toBe('OPTPLAABC');
  });

  it('gives what was encoded, cut anywhere', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(60), { minLength: 1, maxLength: 30 }), (parts, cuts) => {
        const text = parts.map((part) => Buffer.from(part).toString('base64')).join('');
        const decoder = new Base64Decoder();
        const out: Buffer[] = [];
        for (let at = 0, n = 0; at < text.length; n++) {
          const end = at + 1 + (cuts[n % cuts.length] as number);
          out.push(decoder.push(Buffer.from(text.slice(at, end))));
          at = end;
        }
        expect(Buffer.concat(out)).toEqual(Buffer.concat(parts));
      }),
    );
  });
});

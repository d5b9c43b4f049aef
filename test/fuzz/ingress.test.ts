import { ok, deepStrictEqual as same } from 'node:assert';
import { isIP, isIPv4 } from 'node:net';
import { PenstockError } from '../../src/errors.js';
import { Base64Decoder } from '../../src/ingress/http/base64-decoder.js';
import { MAX_COOKIE, MAX_HTTP_HEAD, readHttpHead } from '../../src/ingress/http/head.js';
import { formatBinary, formatLine, MAX_HEADER, readProxyHeader } from '../../src/proxy-protocol/header.js';
import { fuzz } from './campaign.js';

type Read = { value: unknown; taken: number } | undefined;

/** What reading gives; the code of its error where it throws one that is meant. */
function outcome(read: (bytes: Buffer) => Read, bytes: Buffer): Read | string {
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof PenstockError) return error.code;
    throw error;
  }
}

/** However the bytes come, the same is read of them: more is waited for until it is, and what follows changes nothing. */
function readsAlikeInPieces(read: (bytes: Buffer) => Read, input: Buffer): Read | string {
  const whole = outcome(read, input);
  let first: Read | string;
  let length = 0;
  while (first === undefined && length <= input.length) first = outcome(read, input.subarray(0, length++));
  same(first, whole);
  return whole;
}

const ENDS = {
  source: { ip: '192.0.2.9', port: 40_000 },
  destination: { ip: '198.51.100.1', port: 554 },
};
const ENDS6 = { source: { ip: '2001:db8::9', port: 1 }, destination: { ip: '192.0.2.1', port: 65_535 } };

/** IPv4 inside IPv6, dotted or not; with more behind `::ffff:` it is an address like any other. */
const MAPPED = /^::ffff:([\d.]+|[\da-f]+:[\da-f]+)$/;

/** Media is sent there. */
function isOneHost(ip: string): boolean {
  const first = Number.parseInt(ip, 10);
  return isIPv4(ip) ? first > 0 && first < 224 : ip !== '::' && !/^ff/.test(ip) && !MAPPED.test(ip);
}

fuzz({
  name: 'proxy-header',
  seeds: [ENDS, ENDS6, undefined].flatMap((ends) => [formatBinary(ends), formatLine(ends)]),
  words: [
    'PROXY ',
    'TCP4 ',
    'TCP6 ',
    'UNKNOWN',
    '\r\n',
    ' ',
    '::ffff:1.2.3.4',
    '255.255.255.255',
    '\x21\x11\0\x0c',
    '\x03\0\x04',
  ],
  sources: /\/src\/proxy-protocol\//,
  run(input) {
    const read = readsAlikeInPieces(readProxyHeader, input);
    if (typeof read !== 'object') return;
    ok(read.taken <= Math.min(input.length, MAX_HEADER));
    const { ends } = read.value as { ends: typeof ENDS | undefined };
    for (const end of ends ? [ends.source, ends.destination] : []) {
      ok(isIP(end.ip) !== 0 && end.port >= 0 && end.port <= 65_535, `${end.ip} ${end.port}`);
    }
    ok(!ends || isOneHost(ends.source.ip), ends?.source.ip);
    for (const format of [formatBinary, formatLine]) same(readProxyHeader(format(ends))?.value, { ends });
  },
});

fuzz({
  name: 'tunnel-head',
  seeds: [
    Buffer.from(
      'GET /live HTTP/1.0\r\nx-sessioncookie: tD9hKgAAfB8ABCftAAAAAw\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n',
    ),
    Buffer.from('POST /live HTTP/1.1\nX-SessionCookie:a\nContent-Length: 32767\n\nREVTQ1JJQkU'),
  ],
  words: ['GET ', 'POST ', ' HTTP/1.0', '\r\n', '\n', '\n\n', 'x-sessioncookie', ': ', '\0'],
  sources: /\/src\/ingress\//,
  run(input) {
    const read = readsAlikeInPieces(readHttpHead, input);
    if (typeof read !== 'object') return;
    const { method, cookie } = read.value as { method: string; cookie: string };
    ok(['GET', 'POST'].includes(method) && cookie.length > 0 && cookie.length <= MAX_COOKIE && !/\s/.test(cookie));
    ok(read.taken <= Math.min(input.length, MAX_HTTP_HEAD));
  },
});

/** Undefined: it is refused. */
function decode(pieces: readonly Buffer[]): Buffer | undefined {
  const decoder = new Base64Decoder();
  try {
    return Buffer.concat(pieces.map((piece) => decoder.push(piece)));
  } catch (error) {
    if (error instanceof PenstockError) return undefined;
    throw error;
  }
}

fuzz({
  name: 'tunnel-body',
  seeds: ['OPTIONS rtsp://h/ RTSP/1.0\r\n\r\n', 'a', 'ab', 'abc'].map((text) =>
    Buffer.from(Buffer.from(text).toString('base64')),
  ),
  words: ['=', '==', '\r\n', ' ', 'QUJD', 'QUI=', 'QQ=='],
  sources: /\/src\/ingress\//,
  run(input) {
    const middle = input.length >> 1;
    const whole = decode([input]);
    same(decode([input.subarray(0, middle), input.subarray(middle)]), whole);
    same(decode([...input].map((byte) => Buffer.from([byte]))), whole);
    ok(!whole || whole.length <= Math.ceil((input.length * 3) / 4));
  },
});

import { describe, expect, it } from 'vitest';
import { PenstockError } from '../../../src/errors.js';
import { frame, framePayload, MAX_FRAME, setFrameChannel } from '../../../src/rtsp/interleaved.js';
import { MAX_BODY, MAX_HEAD, MAX_HEADERS, MAX_LINE, MAX_METHOD, MAX_URI } from '../../../src/rtsp/limits.js';
import { type ParserHandler, RtspParser } from '../../../src/rtsp/parser.js';
import { bytewise, record } from '../../rtsp/recorder.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const IGNORE: ParserHandler = { onMessage: () => undefined, onFrame: () => undefined };

/** A head of exactly `size` bytes made of legal lines. */
function headOf(size: number): string {
  const start = 'OPTIONS * RTSP/1.0\r\n';
  let fields = '';
  let left = size - start.length - 2;
  while (left > 0) {
    const line = left > MAX_LINE + 100 ? MAX_LINE : left;
    fields += `X: ${'a'.repeat(line - 5)}\r\n`;
    left -= line;
  }
  return `${start}${fields}\r\n`;
}

describe('limits', () => {
  const cases: { name: string; at: string; beyond: string; code: string }[] = [
    {
      name: 'method',
      at: `${'A'.repeat(MAX_METHOD)} * RTSP/1.0\r\n\r\n`,
      beyond: `${'A'.repeat(MAX_METHOD + 1)} * RTSP/1.0\r\n\r\n`,
      code: 'PENSTOCK_ERR_BAD_MESSAGE',
    },
    {
      name: 'URI',
      at: `PLAY ${'u'.repeat(MAX_URI)} RTSP/1.0\r\n\r\n`,
      beyond: `PLAY ${'u'.repeat(MAX_URI + 1)} RTSP/1.0\r\n\r\n`,
      code: 'PENSTOCK_ERR_URI_TOO_LONG',
    },
    {
      name: 'line',
      at: `OPTIONS * RTSP/1.0\r\nX: ${'a'.repeat(MAX_LINE - 3)}\r\n\r\n`,
      beyond: `OPTIONS * RTSP/1.0\r\nX: ${'a'.repeat(MAX_LINE - 2)}`,
      code: 'PENSTOCK_ERR_LINE_TOO_LONG',
    },
    {
      name: 'header lines',
      at: `OPTIONS * RTSP/1.0\r\n${'X: a\r\n'.repeat(MAX_HEADERS - 1)} b\r\n\r\n`,
      beyond: `OPTIONS * RTSP/1.0\r\n${'X: a\r\n'.repeat(MAX_HEADERS)} b\r\n`,
      code: 'PENSTOCK_ERR_TOO_MANY_HEADERS',
    },
    { name: 'head', at: headOf(MAX_HEAD), beyond: headOf(MAX_HEAD + 1), code: 'PENSTOCK_ERR_TOO_MANY_HEADERS' },
    {
      name: 'body',
      at: `OPTIONS * RTSP/1.0\r\nContent-Length: ${MAX_BODY}\r\n\r\n${'b'.repeat(MAX_BODY)}`,
      beyond: `OPTIONS * RTSP/1.0\r\nContent-Length: ${MAX_BODY + 1}\r\n\r\n`,
      code: 'PENSTOCK_ERR_BODY_TOO_LARGE',
    },
  ];

  it.each(cases)('accepts the longest $name and refuses one more', ({ at, beyond, code }) => {
    for (const feed of [(text: string) => [bytes(text)], (text: string) => bytewise(bytes(text))]) {
      expect(record(feed(at)).error).toBeUndefined();
      expect(record(feed(at)).elements).toHaveLength(1);
      expect(record(feed(beyond)).error).toBe(code);
    }
  });

  it('never holds more than a head and a body, however they come', () => {
    const at = cases.at(-1)?.at ?? '';
    expect(record(bytewise(bytes(at))).maxBuffered).toBeLessThan(at.length);
    expect(record(bytewise(bytes('a'.repeat(2 * MAX_LINE)))).maxBuffered).toBeLessThanOrEqual(MAX_LINE);
  });

  it('can be set for one parser', () => {
    expect(record([bytes('OPTIONS * RTSP/1.0\r\nContent-Length: 3\r\n\r\n')], { body: 2 }).error).toBe(
      'PENSTOCK_ERR_BODY_TOO_LARGE',
    );
  });
});

describe('RtspParser', () => {
  it('hands out views of the chunk where nothing was split', () => {
    const chunk = Buffer.concat([frame(0, bytes('abcd')), bytes('RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi')]);
    const views: Buffer[] = [];
    const parser = new RtspParser({
      onMessage: (message) => views.push(message.body),
      onFrame: (_channel, whole) => views.push(whole),
    });
    parser.push(chunk);
    expect(views.map((view) => view.toString())).toEqual(['$\0\0\x04abcd', 'hi']);
    for (const view of views) expect(view.buffer).toBe(chunk.buffer);
    expect(parser.completed).toBe(2);
  });

  it('owns what it put together from pieces', () => {
    const input = bytes('$\x05\0\x02hiRTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nyo');
    const chunks = [...bytewise(input)].map((chunk) => Buffer.from(chunk));
    const views: Buffer[] = [];
    const parser = new RtspParser({
      onMessage: (message) => views.push(message.body),
      onFrame: (_channel, whole) => views.push(whole),
    });
    for (const chunk of chunks) {
      parser.push(chunk);
      chunk.fill(0);
    }
    expect(views.map((view) => view.toString())).toEqual(['$\x05\0\x02hi', 'yo']);
  });

  it('says how much of an incomplete element it holds', () => {
    const parser = new RtspParser(IGNORE);
    expect([parser.midMessage, parser.buffered]).toEqual([false, 0]);
    parser.push(bytes('\r\n'));
    expect([parser.midMessage, parser.buffered]).toEqual([false, 0]);
    parser.push(bytes('$\0'));
    expect([parser.midMessage, parser.buffered]).toEqual([true, 2]);
    parser.push(bytes('\0\x01aRTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n1'));
    expect([parser.midMessage, parser.buffered]).toEqual([true, 39]);
    parser.push(bytes('2'));
    expect([parser.midMessage, parser.buffered]).toEqual([false, 0]);
  });

  it('delivers what stands before a fault, and then is dead', () => {
    const seen: string[] = [];
    const parser = new RtspParser({ ...IGNORE, onMessage: (message) => seen.push(message.kind) });
    expect(() => parser.push(bytes('OPTIONS * RTSP/1.0\r\n\r\n\x01'))).toThrow(/byte 0x1 /);
    expect(seen).toEqual(['request']);
    expect(() => parser.push(bytes('OPTIONS * RTSP/1.0\r\n\r\n'))).toThrow(PenstockError);
    expect(seen).toEqual(['request']);
  });

  it('lets the error of a handler through and is dead after it, too', () => {
    const parser = new RtspParser({
      ...IGNORE,
      onMessage: () => {
        throw new RangeError('mine');
      },
    });
    expect(() => parser.push(bytes('OPTIONS * RTSP/1.0\r\n\r\n'))).toThrow(RangeError);
    expect(() => parser.push(bytes('OPTIONS * RTSP/1.0\r\n\r\n'))).toThrow(PenstockError);
  });

  it('names HTTP in its error', () => {
    expect(() => new RtspParser(IGNORE).push(bytes('GET / HTTP/1.0\r\n\r\n'))).toThrow(/HTTP/);
    expect(() => new RtspParser(IGNORE).push(bytes('HTTP/1.0 200 OK\r\n\r\n'))).toThrow(/HTTP/);
  });
});

describe('frames', () => {
  it('are built whole and change channel in place', () => {
    const whole = frame(3, bytes('abc'));
    expect(whole.toString('latin1')).toBe('$\x03\0\x03abc');
    setFrameChannel(whole, 255);
    expect(record([whole]).events).toEqual(['frame 255 3']);
    expect(framePayload(whole).toString()).toBe('abc');
    expect(frame(0, Buffer.alloc(0xffff))).toHaveLength(MAX_FRAME);
  });

  it('refuse what does not fit', () => {
    expect(() => frame(0, Buffer.alloc(0x10000))).toThrow(PenstockError);
    for (const channel of [-1, 256, 1.5]) expect(() => frame(channel, bytes('a'))).toThrow(PenstockError);
  });
});

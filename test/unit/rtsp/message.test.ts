import { describe, expect, it } from 'vitest';
import { PenstockError } from '../../../src/errors.js';
import { HeaderList, type RtspMessage, type RtspRequest, setBody } from '../../../src/rtsp/message.js';
import { RtspParser } from '../../../src/rtsp/parser.js';
import { serialize } from '../../../src/rtsp/serializer.js';
import { makeRequest, makeResponse, reason } from '../../../src/rtsp/status.js';

function parse(text: string): RtspMessage {
  const messages: RtspMessage[] = [];
  const parser = new RtspParser({ onMessage: (message) => messages.push(message), onFrame: () => undefined });
  parser.push(Buffer.from(text, 'latin1'));
  const [message] = messages;
  if (!message || messages.length !== 1) throw new Error(`${messages.length} messages`);
  return message;
}

const written = (message: RtspMessage) => serialize(message).toString('latin1');

const ODD =
  'SETUP  rtsp://h/a RTSP/1.0\n' +
  'cseq:3\r\n' +
  'Session :\tabc;timeout=60  \r\n' +
  'Transport: RTP/AVP;unicast,\r\n RTP/AVP/TCP\n' +
  'X-None:\r\n' +
  'X-None: \r\n' +
  'session: def\r\n\n';

describe('HeaderList', () => {
  it('finds fields under any case, unfolded and without the space around', () => {
    const { headers } = parse(ODD);
    expect(headers.get('CSeq')).toBe('3');
    expect(headers.getAll('SESSION')).toEqual(['abc;timeout=60', 'def']);
    expect(headers.get('transport')).toBe('RTP/AVP;unicast, RTP/AVP/TCP');
    expect(headers.get('absent')).toBeUndefined();
    expect(headers.has('x-none')).toBe(true);
    expect([...headers].map(({ name }) => name)).toEqual([
      'cseq',
      'Session',
      'Transport',
      'X-None',
      'X-None',
      'session',
    ]);
  });

  it('sets the first field of a name in its own spelling and leaves the others alone', () => {
    const message = parse(ODD);
    message.headers.set('session', 'XYZ');
    message.headers.set('CSEQ', '99');
    expect(written(message)).toBe(ODD.replace('abc;timeout=60', 'XYZ').replace('cseq:3', 'cseq:99'));
  });

  it('replaces a folded value as a whole', () => {
    const message = parse(ODD);
    message.headers.set('Transport', 'RTP/AVP');
    expect(written(message)).toBe(ODD.replace('RTP/AVP;unicast,\r\n RTP/AVP/TCP', 'RTP/AVP'));
  });

  it('puts a value behind the blank of an empty field', () => {
    const message = parse(ODD);
    message.headers.map('X-None', () => 'v');
    expect(written(message)).toBe(ODD.replace('X-None:\r\nX-None: \r\n', 'X-None:v\r\nX-None: v\r\n'));
  });

  it('maps every field of a name and keeps the bytes of unchanged values', () => {
    const message = parse(ODD);
    message.headers.map('transport', (value) => value);
    message.headers.map('Session', (value) => value.toUpperCase());
    expect(written(message)).toBe(ODD.replace('abc;timeout=60', 'ABC;TIMEOUT=60').replace('def', 'DEF'));
  });

  it('appends with the line end of the message and deletes all of a name', () => {
    const message = parse(ODD);
    expect(message.headers.delete('SESSION')).toBe(2);
    expect(message.headers.delete('Session')).toBe(0);
    message.headers.set('Via', 'penstock');
    expect(written(message)).toBe(
      'SETUP  rtsp://h/a RTSP/1.0\ncseq:3\r\nTransport: RTP/AVP;unicast,\r\n RTP/AVP/TCP\n' +
        'X-None:\r\nX-None: \r\nVia: penstock\n\n',
    );
  });

  it('does not find, map or delete the lines that are no fields', () => {
    const text = 'OPTIONS * RTSP/1.0\r\nno field\r\n: nor this\r\n\r\n';
    const message = parse(text);
    expect(message.headers.has('')).toBe(false);
    message.headers.map('', () => 'x');
    expect(message.headers.delete('')).toBe(0);
    expect(written(message)).toBe(text);
  });

  it.each(['a\r\nSession: b', 'a\nb', 'a\rb', 'a\0b', '\u65e5'])('refuses the value %j', (value) => {
    const headers = new HeaderList();
    expect(() => headers.append('X', value)).toThrow(PenstockError);
    headers.append('X', 'a');
    expect(() => headers.set('X', value)).toThrow(PenstockError);
    expect(headers.get('X')).toBe('a');
  });
});

describe('serialize', () => {
  it('writes a new start line when a part of it was edited', () => {
    const request = parse(ODD) as RtspRequest;
    request.uri = 'rtsp://other/a';
    expect(written(request)).toBe(ODD.replace('SETUP  rtsp://h/a RTSP/1.0\n', 'SETUP rtsp://other/a RTSP/1.0\n'));
  });

  it('writes what was made here', () => {
    const request = makeRequest('OPTIONS', '*', { CSeq: '1', 'User-Agent': 'penstock' });
    expect(written(request)).toBe('OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: penstock\r\n\r\n');
    const response = makeResponse(request, 454, [['Server', 'penstock']]);
    expect(written(response)).toBe('RTSP/1.0 454 Session Not Found\r\nCSeq: 1\r\nServer: penstock\r\n\r\n');
    expect(written(makeResponse(undefined, 400))).toBe('RTSP/1.0 400 Bad Request\r\n\r\n');
  });

  it('knows a phrase for every status that penstock sends', () => {
    for (const status of [400, 408, 413, 414, 453, 454, 461, 502, 503, 504, 505])
      expect(reason(status)).not.toBe('Unknown');
    expect(reason(299)).toBe('Unknown');
  });
});

describe('setBody', () => {
  it('corrects every Content-Length in place', () => {
    const message = parse('RTSP/1.0 200 OK\r\ncontent-length:2\r\nContent-Length: 2\r\nX: y\r\n\r\nab');
    setBody(message, Buffer.from('abcdefghij'));
    expect(written(message)).toBe(
      'RTSP/1.0 200 OK\r\ncontent-length:10\r\nContent-Length: 10\r\nX: y\r\n\r\nabcdefghij',
    );
  });

  it('adds the field to a message that had none, but not for an empty body', () => {
    const message = makeResponse(undefined, 200);
    setBody(message, Buffer.alloc(0));
    expect(message.headers.has('Content-Length')).toBe(false);
    setBody(message, Buffer.from('v=0\r\n'));
    expect(written(message)).toBe('RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nv=0\r\n');
  });
});

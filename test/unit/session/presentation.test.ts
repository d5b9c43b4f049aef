import { describe, expect, it } from 'vitest';
import type { RtspRequest, RtspResponse } from '../../../src/rtsp/message.js';
import { makeRequest, makeResponse } from '../../../src/rtsp/status.js';
import { Presentation } from '../../../src/session/presentation.js';

const URL = 'rtsp://edge/cam';

interface Told {
  uri?: string;
  require?: string;
  fields?: Record<string, string>;
  sdp: string[];
}

function described({ uri = URL, require, fields = {}, sdp }: Told): Presentation {
  const request = makeRequest('DESCRIBE', uri, require === undefined ? {} : { Require: require });
  return told(request, { ...makeResponse(request, 200, fields), body: body(sdp) });
}

function announced(uri: string): Presentation {
  const request = { ...makeRequest('ANNOUNCE', uri), body: body(TRACKS) };
  return told(request, makeResponse(request, 200));
}

function told(request: RtspRequest, reply: RtspResponse): Presentation {
  const presentation = Presentation.after(request, reply);
  if (!presentation) throw new Error('nothing was told');
  return presentation;
}

const body = (lines: string[]) => Buffer.from(`v=0\r\n${lines.join('\r\n')}\r\n`);
const TRACKS = ['m=video 0 RTP/AVP 96', 'a=control:track1', 'm=audio 0 RTP/AVP 0', 'a=control:track2'];

describe('the URL of the whole', () => {
  it.each<[string, Omit<Told, 'sdp'>, string[], string]>([
    ['the request', {}, [], URL],
    ['Content-Base', { fields: { 'Content-Base': `${URL}/` } }, [], `${URL}/`],
    [
      'Content-Base before Content-Location',
      { fields: { 'Content-Base': `${URL}/`, 'Content-Location': 'rtsp://x/y' } },
      [],
      `${URL}/`,
    ],
    ['Content-Location', { uri: 'rtsp://edge/old', fields: { 'Content-Location': URL } }, [], URL],
    ['the base, by `*`', { fields: { 'Content-Base': `${URL}/` } }, ['a=control:*'], `${URL}/`],
    ['the session’s control, absolute', {}, ['a=control:rtsp://edge/cam/all'], 'rtsp://edge/cam/all'],
    ['the session’s control, relative', { fields: { 'Content-Base': `${URL}/` } }, ['a=control:all'], `${URL}/all`],
    ['the session’s control, with spaces behind it', {}, ['a=control: * '], URL],
  ])('is %s', (_name, told, session, aggregate) => {
    expect(described({ ...told, sdp: [...session, ...TRACKS] }).aggregateOf(`${URL}/track1`)).toBe(aggregate);
  });

  it('is that of the media’s own absolute control URL, wherever that points', () => {
    const sdp = ['a=control:rtsp://edge/a', 'm=video 0 RTP/AVP 96', 'a=control:rtsp://edge/elsewhere/v'];
    expect(described({ sdp }).aggregateOf('rtsp://edge/elsewhere/v')).toBe('rtsp://edge/a');
  });

  it('may have a query', () => {
    const uri = `${URL}?channel=1`;
    expect(described({ uri, sdp: TRACKS }).aggregateOf(`${uri}/track1`)).toBe(uri);
  });

  it('is told by no other request', () => {
    const request = makeRequest('GET_PARAMETER', URL);
    expect(Presentation.after(request, makeResponse(request, 200))).toBeUndefined();
  });

  it('is not known of what was not described', () => {
    const told = described({ sdp: TRACKS });
    expect(told.aggregateOf('rtsp://edge/camera/track1')).toBeUndefined();
    expect(told.aggregateOf('rtsp://edge/other/track1')).toBeUndefined();
    expect(Presentation.NONE.aggregateOf(`${URL}/track1`)).toBeUndefined();
  });

  it('of an ANNOUNCE is its own', () => {
    expect(announced(URL).aggregateOf(`${URL}/track1`)).toBe(URL);
  });
});

describe('the section of a SETUP', () => {
  it.each([
    [`${URL}/track2`, 'audio'],
    [`${URL}/track2/`, 'audio'],
    [`${URL}/track3`, undefined],
    [URL, undefined],
  ])('%s is %s', (uri, media) => {
    expect(described({ sdp: TRACKS }).section(uri)?.media).toBe(media);
  });

  it('is the only one where there is one', () => {
    expect(described({ sdp: TRACKS.slice(0, 2) }).section(URL)?.media).toBe('video');
  });
});

describe('who sends', () => {
  const sdp = [...TRACKS, 'm=audio 0 RTP/AVP 8', 'a=control:back', 'a=sendonly'];

  it('the client sends the section that the backchannel brought', () => {
    const told = described({ require: 'x, www.onvif.org/ver20/backchannel', sdp });
    expect([`${URL}/track1`, `${URL}/back`].map((uri) => told.clientSends(uri))).toEqual([false, true]);
  });

  it('a=sendonly that nobody asked for says nothing', () => {
    expect(described({ sdp }).clientSends(`${URL}/back`)).toBe(false);
    expect(described({ require: 'implicit-play', sdp }).clientSends(`${URL}/back`)).toBe(false);
  });

  it('a publisher sends all that it announced', () => {
    const told = announced(`${URL}/`);
    expect(told.clientSends(`${URL}/track1`)).toBe(true);
    expect(told.clientSends('rtsp://edge/other/track1')).toBe(false);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Origin, startOrigin } from '../../../src/origin/origin.js';
import { parseSession } from '../../../src/rtsp/headers/session.js';
import { RawClient } from './raw-client.js';

const TCP = { Transport: 'RTP/AVP/TCP;unicast;interleaved=0-1' };
let origin: Origin;
let client: RawClient;
let url: string;

async function start(options: { count?: number } = {}): Promise<void> {
  origin = await startOrigin({ host: '127.0.0.1', port: 0, name: 'unit', ...options });
  client = await RawClient.open(origin.address);
  url = `${origin.url}/live`;
}
beforeEach(() => start());
afterEach(async () => {
  await client.close();
  await origin.close();
});

async function openSession(): Promise<{ Session: string }> {
  const answer = await client.ask('SETUP', `${url}/trackID=0`, TCP);
  return { Session: parseSession(answer.headers.get('Session') ?? '').id };
}

describe('requests without a session', () => {
  it('OPTIONS tells the methods and who answers', async () => {
    const answer = await client.ask('OPTIONS', '*');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('CSeq')).toBe('1');
    expect(answer.headers.get('Server')).toBe('penstock-origin/unit');
    expect(answer.headers.get('Public')).toBe(
      'OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, RECORD, ANNOUNCE, GET_PARAMETER, SET_PARAMETER, TEARDOWN',
    );
  });
  it.each(['/live', '/live/', '/a/b/c', '', '/live?token=1'])('DESCRIBE of %j gives an SDP', async (path) => {
    const answer = await client.ask('DESCRIBE', `${origin.url}${path}`, { Accept: 'application/sdp' });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('Content-Base')).toBe(`${origin.url}${path.replace(/\/$/, '')}/`);
    expect(answer.headers.get('Content-Type')).toBe('application/sdp');
    expect(answer.body.toString()).toContain('s=penstock-origin/unit /');
  });
  it.each([
    ['without CSeq', 'OPTIONS * RTSP/1.0\r\n\r\n', 400],
    ['of another version', 'OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n', 505],
    ['with an unknown method', 'DANCE * RTSP/1.0\r\nCSeq: 1\r\n\r\n', 501],
    ['named like a property of every object', 'toString * RTSP/1.0\r\nCSeq: 1\r\n\r\n', 501],
    ['that only servers send', 'REDIRECT * RTSP/1.0\r\nCSeq: 1\r\n\r\n', 405],
    ['that requires something', 'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: wings\r\n\r\n', 551],
    ['for another description', 'DESCRIBE rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\nAccept: text/html\r\n\r\n', 406],
    ['SETUP without Transport', 'SETUP rtsp://h/trackID=0 RTSP/1.0\r\nCSeq: 1\r\n\r\n', 461],
    ['PLAY', 'PLAY rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n', 454],
    ['PAUSE', 'PAUSE rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n', 454],
    ['TEARDOWN', 'TEARDOWN rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n', 454],
    ['with an unknown session', 'GET_PARAMETER rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\nSession: made-up\r\n\r\n', 454],
    ['ANNOUNCE without SDP', 'ANNOUNCE rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n', 400],
  ])('a request %s is refused', async (_what, text, status) => {
    expect((await client.raw(text)).status).toBe(status);
  });
  it('GET_PARAMETER is a keep-alive, parameters are unknown', async () => {
    expect((await client.ask('GET_PARAMETER', url)).status).toBe(200);
    expect((await client.ask('GET_PARAMETER', url, {}, 'speed\r\n')).status).toBe(451);
    expect((await client.ask('SET_PARAMETER', url, {}, 'speed: 9\r\n')).status).toBe(451);
  });
  it('answers pipelined requests in order', async () => {
    const numbers = [5, 6, 7, 8];
    const first = client.raw(numbers.map((n) => `OPTIONS * RTSP/1.0\r\nCSeq: ${n}\r\n\r\n`).join(''));
    const answers = [await first, await client.next(), await client.next(), await client.next()];
    expect(answers.map((answer) => answer.headers.get('CSeq'))).toEqual(numbers.map(String));
  });
  it('closes on bytes that are no RTSP, and serves the next client', async () => {
    client.write('\0\0\0\r\n\r\n');
    await client.closed;
    client = await RawClient.open(origin.address);
    expect((await client.ask('OPTIONS', '*')).status).toBe(200);
  });
});

describe('SETUP', () => {
  it.each([
    ['RTP/AVP;multicast;port=5000-5001', 461],
    ['RTP/AVP;unicast', 461],
    ['RTP/AVP;unicast;client_port=0-1', 461],
    ['MP2T/H2221/SCTP;unicast', 461],
    ['RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=4-5', 200],
  ])('Transport: %s gives %i', async (Transport, status) => {
    expect((await client.ask('SETUP', `${url}/trackID=0`, { Transport })).status).toBe(status);
  });
  it('needs a track that is there', async () => {
    expect((await client.ask('SETUP', url, TCP)).status).toBe(459);
    expect((await client.ask('SETUP', `${url}/trackID=7`, TCP)).status).toBe(404);
  });
  it('answers with timeout, channels, ssrc and mode', async () => {
    const answer = await client.ask('SETUP', `${url}/trackID=1`, TCP);
    expect(answer.headers.get('Session')).toMatch(/^[0-9a-f]{16};timeout=60$/);
    expect(answer.headers.get('Transport')).toMatch(
      /^RTP\/AVP\/TCP;unicast;interleaved=0-1;ssrc=[0-9A-F]{8};mode=PLAY$/,
    );
  });
  it('gives other channels when the wanted ones are in use', async () => {
    await client.ask('SETUP', `${url}/trackID=0`, TCP);
    const second = await client.ask('SETUP', `${url}/trackID=1`, TCP);
    expect(second.headers.get('Transport')).toContain(';interleaved=2-3;');
  });
  it('does not mix mounts in one session', async () => {
    const session = await openSession();
    expect((await client.ask('SETUP', `${origin.url}/other/trackID=1`, { ...TCP, ...session })).status).toBe(459);
  });
});

describe('a session', () => {
  it('plays, pauses, plays on and ends', async () => {
    const session = await openSession();
    const played = await client.ask('PLAY', `${url}/`, session);
    expect(played.status).toBe(200);
    expect(played.headers.get('Session')).toBe(session.Session);
    expect(played.headers.get('Range')).toBe('npt=now-');
    expect(played.headers.get('RTP-Info')).toMatch(/^url=rtsp:\/\/[\d.:]+\/live\/trackID=0;seq=\d+;rtptime=\d+$/);
    expect((await client.ask('SETUP', `${url}/trackID=1`, { ...TCP, ...session })).status).toBe(455);
    expect((await client.ask('RECORD', url, session)).status).toBe(455);
    expect((await client.ask('PAUSE', url, session)).status).toBe(200);
    expect(origin.sessions()[0]?.state).toBe('ready');
    expect((await client.ask('PLAY', url, session)).status).toBe(200);
    expect((await client.ask('TEARDOWN', url, session)).status).toBe(200);
    expect((await client.ask('TEARDOWN', url, session)).status).toBe(454);
    expect(origin.stats()).toMatchObject({ sessions: 0, setups: 1, plays: 2, pauses: 1, teardowns: 1 });
  });
  it('can be ended one track at a time', async () => {
    const session = await openSession();
    const more = { Transport: 'RTP/AVP/TCP;unicast;interleaved=2-3' };
    await client.ask('SETUP', `${url}/trackID=1`, { ...more, ...session });
    expect((await client.ask('TEARDOWN', `${url}/trackID=0`, session)).status).toBe(200);
    expect(origin.sessions()[0]?.streams).toHaveLength(1);
    await client.ask('TEARDOWN', `${url}/trackID=1`, session);
    expect(origin.stats().sessions).toBe(0);
  });
  it('belongs to no connection', async () => {
    const session = await openSession();
    const other = await RawClient.open(origin.address);
    expect((await other.ask('GET_PARAMETER', url, session)).status).toBe(200);
    expect((await other.ask('TEARDOWN', url, session)).status).toBe(200);
    await other.close();
  });
  it('gets the answer to a TEARDOWN that came with FIN', async () => {
    const session = await openSession();
    const answer = await client.askAndShut('TEARDOWN', url, session);
    expect(answer.status).toBe(200);
    await client.closed;
  });
});

describe('with a count of mounts', () => {
  beforeEach(async () => {
    await client.close();
    await origin.close();
    await start({ count: 3 });
  });
  it.each([
    ['/1', 200],
    ['/3', 200],
    ['/0', 404],
    ['/4', 404],
    ['/01', 404],
    ['/live', 404],
    ['', 404],
  ])('%j gives %i', async (path, status) => {
    expect((await client.ask('DESCRIBE', `${origin.url}${path}`)).status).toBe(status);
    expect((await client.ask('SETUP', `${origin.url}${path}/trackID=0`, TCP)).status).toBe(status);
  });
});

describe('startOrigin', () => {
  it('refuses a name that would break a header', async () => {
    const started = startOrigin({ host: '127.0.0.1', port: 0, name: 'a\r\nb' });
    await expect(started).rejects.toMatchObject({ code: 'PENSTOCK_ERR_USAGE' });
  });
  it('refuses an address in use', async () => {
    const started = startOrigin(origin.address);
    await expect(started).rejects.toMatchObject({ code: 'PENSTOCK_ERR_BIND' });
  });
  it('refuses a file that is no media', async () => {
    const started = startOrigin({ host: '127.0.0.1', port: 0, file: '/dev/null' });
    await expect(started).rejects.toMatchObject({ code: 'PENSTOCK_ERR_USAGE' });
  });
});

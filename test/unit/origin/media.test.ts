import { afterEach, describe, expect, it } from 'vitest';
import { type Origin, type OriginOptions, startOrigin } from '../../../src/origin/origin.js';
import { packetTypes } from '../../../src/origin/rtcp.js';
import { isRtp } from '../../../src/origin/rtp.js';
import { parseSession } from '../../../src/rtsp/headers/session.js';
import { parseTransport, portPair } from '../../../src/rtsp/headers/transport.js';
import { RawClient, RawUdp, until } from './raw-client.js';

const EMPTY_RR = Buffer.from('80c9000100000000', 'hex');
const SDP = 'v=0\r\nm=video 0 RTP/AVP 96\r\na=control:streamid=0\r\n';
const opened: { close(): unknown }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function start(options: Partial<OriginOptions> = {}): Promise<Origin> {
  return keep(await startOrigin({ host: '127.0.0.1', port: 0, ...options }));
}
function keep<T extends { close(): unknown }>(each: T): T {
  opened.push(each);
  return each;
}

interface UdpSession {
  client: RawClient;
  rtp: RawUdp;
  rtcp: RawUdp;
  server: { rtp: number; rtcp: number };
  fields: { Session: string };
  url: string;
}

async function setupUdp(
  origin: Origin,
  options: { mode?: string; ports?: [RawUdp, RawUdp] } = {},
): Promise<UdpSession> {
  const { host } = origin.address;
  const client = keep(await RawClient.open(origin.address));
  const [rtp, rtcp] = options.ports ?? [keep(await RawUdp.open(host)), keep(await RawUdp.open(host))];
  const url = `${origin.url}/live`;
  if (options.mode === 'record') await client.ask('ANNOUNCE', url, { 'Content-Type': 'application/sdp' }, SDP);
  const Transport = `RTP/AVP;unicast;client_port=${rtp.port}-${rtcp.port};mode=${options.mode ?? 'play'}`;
  const answer = await client.ask('SETUP', `${url}/trackID=0`, { Transport });
  const [spec] = parseTransport(answer.headers.get('Transport') ?? '');
  const pair = spec && portPair(spec, 'server_port');
  if (!pair) throw new Error(`SETUP gave ${answer.status}`);
  const fields = { Session: parseSession(answer.headers.get('Session') ?? '').id };
  return { client, rtp, rtcp, url, fields, server: { rtp: pair.rtp, rtcp: pair.rtcp ?? 0 } };
}

describe.each(['127.0.0.1', '::1'])('UDP on %s', (host) => {
  it('sends from the announced ports to client_port, RTP and RTCP', async () => {
    const origin = await start({ host });
    const { client, rtp, rtcp, server, fields, url } = await setupUdp(origin);
    expect([server.rtp % 2, server.rtcp - server.rtp]).toEqual([0, 1]);
    const info = (await client.ask('PLAY', url, fields)).headers.get('RTP-Info') ?? '';
    await until('media and a report', () => rtp.received.length > 20 && rtcp.received.length > 0);
    expect(rtp.received.every(({ packet, port }) => isRtp(packet) && port === server.rtp)).toBe(true);
    expect(rtcp.received.map(({ packet, port }) => [packetTypes(packet), port])).toEqual([[[200, 202], server.rtcp]]);
    const first = rtp.received[0]?.packet ?? Buffer.alloc(12);
    expect(info).toContain(`seq=${first.readUInt16BE(2)};rtptime=${first.readUInt32BE(4)}`);
    await client.ask('TEARDOWN', url, fields);
    await until('BYE', () => rtcp.received.length > 1);
    expect(packetTypes(rtcp.received[1]?.packet ?? Buffer.alloc(0))).toEqual([200, 202, 203]);
  });
});

describe('UDP', () => {
  it('outlives its connection', async () => {
    const origin = await start();
    const { client, rtp, fields, url } = await setupUdp(origin);
    await client.ask('PLAY', url, fields);
    await client.close();
    await until('the connection is gone', () => origin.stats().connections === 0);
    const before = rtp.received.length;
    await until('media goes on', () => rtp.received.length > before + 20);
    expect(origin.stats().playing).toBe(1);
  });

  it('ends after the timeout when nothing is heard, RTCP being enough to stay', async () => {
    const origin = await start({ sessionTimeoutSec: 1 });
    const alive = await setupUdp(origin);
    const silent = await setupUdp(origin);
    for (const { client, url, fields } of [alive, silent]) await client.ask('PLAY', url, fields);
    const reporting = setInterval(() => alive.rtcp.send(EMPTY_RR, alive.server.rtcp, '127.0.0.1'), 100);
    await until('the silent one is gone', () => origin.stats().expired > 0);
    clearInterval(reporting);
    expect(origin.sessions().map(({ id }) => id)).toEqual([alive.fields.Session]);
    expect((await silent.client.ask('PLAY', silent.url, silent.fields)).status).toBe(454);
  });

  it('counts what the client sends; a stranger is not counted as the client', async () => {
    const origin = await start();
    const { rtp, rtcp, server } = await setupUdp(origin);
    rtcp.send(EMPTY_RR, server.rtcp, '127.0.0.1');
    rtp.send(Buffer.from('cefaedfe', 'hex'), server.rtp, '127.0.0.1');
    const stranger = keep(await RawUdp.open('127.0.0.2'));
    stranger.send(EMPTY_RR, server.rtcp, '127.0.0.1');
    const { stats } = origin;
    await until('all three are counted', () => {
      const { reportsReceived, punchesReceived, straysReceived } = stats.call(origin);
      return reportsReceived + punchesReceived + straysReceived === 3;
    });
    expect(origin.stats()).toMatchObject({ reportsReceived: 1, punchesReceived: 1, straysReceived: 1 });
  });

  it('frees its ports with the session', async () => {
    const origin = await start();
    const { client, server, fields, url } = await setupUdp(origin);
    await client.ask('TEARDOWN', url, fields);
    const { createSocket } = await import('node:dgram');
    const probe = keep(createSocket('udp4'));
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject);
      setImmediate(() => probe.bind(server.rtp, '127.0.0.1', resolve));
    });
  });

  it('takes a publisher and counts its packets', async () => {
    const origin = await start();
    const { client, rtp, rtcp, server, fields, url } = await setupUdp(origin, { mode: 'record' });
    expect((await client.ask('PLAY', url, fields)).status).toBe(455);
    expect((await client.ask('RECORD', url, fields)).status).toBe(200);
    for (let n = 0; n < 3; n++) rtp.send(Buffer.from(`8060000${n}0000000000000001ff`, 'hex'), server.rtp, '127.0.0.1');
    await until('all packets and our report', () => origin.stats().packetsReceived === 3 && rtcp.received.length > 0);
    expect(packetTypes(rtcp.received[0]?.packet ?? Buffer.alloc(0))).toEqual([201, 202]);
    expect(origin.sessions()[0]).toMatchObject({ mount: '/live', kind: 'record', state: 'recording' });
  });

  it('cannot be recorded to without ANNOUNCE', async () => {
    const origin = await start();
    const client = keep(await RawClient.open(origin.address));
    const Transport = 'RTP/AVP;unicast;client_port=5000-5001;mode=record';
    expect((await client.ask('SETUP', `${origin.url}/x`, { Transport })).status).toBe(455);
  });
});

describe('shared ports', () => {
  it('serve all sessions from one pair and tell them apart by the client', async () => {
    const origin = await start({ sharedPorts: true });
    const one = await setupUdp(origin);
    const two = await setupUdp(origin);
    expect(one.server).toEqual(two.server);
    for (const { client, url, fields } of [one, two]) await client.ask('PLAY', url, fields);
    await until('both play', () => one.rtp.received.length > 20 && two.rtp.received.length > 20);
    two.rtcp.send(EMPTY_RR, two.server.rtcp, '127.0.0.1');
    await until('the report is counted', () => origin.stats().reportsReceived === 1);
    const reports = origin.sessions().map(({ id, streams }) => [id, streams[0]?.reportsReceived]);
    expect(reports).toEqual([
      [one.fields.Session, 0],
      [two.fields.Session, 1],
    ]);
  });

  it('refuse a client address and port that is taken, until it is free', async () => {
    const origin = await start({ sharedPorts: true });
    const one = await setupUdp(origin);
    const again = { ports: [one.rtp, one.rtcp] as [RawUdp, RawUdp] };
    await expect(setupUdp(origin, again)).rejects.toThrow('SETUP gave 453');
    await one.client.ask('TEARDOWN', one.url, one.fields);
    await expect(setupUdp(origin, again)).resolves.toMatchObject({ server: one.server });
  });
});

describe('interleaved', () => {
  async function play(origin: Origin): Promise<{ client: RawClient; url: string; Session: string }> {
    const client = keep(await RawClient.open(origin.address));
    const url = `${origin.url}/live`;
    const answer = await client.ask('SETUP', `${url}/trackID=0`, { Transport: 'RTP/AVP/TCP;interleaved=6-7' });
    const { id: Session } = parseSession(answer.headers.get('Session') ?? '');
    await client.ask('PLAY', url, { Session });
    return { client, url, Session };
  }

  it('frames RTP and RTCP on the channels asked for, answers in between', async () => {
    const origin = await start();
    const { client, url, Session } = await play(origin);
    await until('media', () => client.frames.length > 20);
    expect((await client.ask('GET_PARAMETER', url, { Session })).status).toBe(200);
    expect(client.frames.some(({ channel, payload }) => channel === 7 && packetTypes(payload) !== undefined)).toBe(
      true,
    );
    expect(client.frames.every(({ channel, payload }) => channel === 7 || (channel === 6 && isRtp(payload)))).toBe(
      true,
    );
  });

  it('takes reports; a frame on another channel is counted', async () => {
    const origin = await start();
    const { client } = await play(origin);
    client.sendFrame(7, EMPTY_RR);
    client.sendFrame(9, EMPTY_RR);
    await until('both are counted', () => origin.stats().reportsReceived + origin.stats().framesUnknown === 2);
    expect(origin.stats()).toMatchObject({ reportsReceived: 1, framesUnknown: 1 });
  });

  it('ends with its connection', async () => {
    const origin = await start();
    const { client } = await play(origin);
    await client.close();
    await until('the session is gone', () => origin.stats().sessions === 0);
    expect(origin.stats().disconnected).toBe(1);
  });
});

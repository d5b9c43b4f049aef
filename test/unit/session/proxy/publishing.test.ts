import { describe, expect, it } from 'vitest';
import { FakeSockets } from '../../../support/fake-sockets.js';
import { type Peer, rtsp } from '../../../support/peer.js';
import { answer, type Farm, field, frame, meet, pass, request, setUp, startFarm, URL } from './farm.js';

const BACKCHANNEL = 'Require: www.onvif.org/ver20/backchannel';

/** `client` or `server`, for each side that RTP is expected from. */
function senders(farm: Farm, slot: number): string[] {
  const { legIndex, legFlags } = farm.proxy.region.layout;
  const legs = farm.proxy.table.readStream(slot)?.legs;
  const expects = (leg: number) => ((legs?.[leg]?.flags ?? 0) & legFlags.expectsMedia) !== 0;
  return [expects(legIndex.clientRtp) ? 'client' : '', expects(legIndex.serverRtp) ? 'server' : ''].filter(Boolean);
}

const SDP = ['v=0', 's=x', 'm=video 0 RTP/AVP 96', 'a=rtpmap:96 H264/90000', 'a=control:streamid=0', ''].join('\r\n');
const announce = (cseq: number, uri = URL) =>
  rtsp(
    [`ANNOUNCE ${uri} RTSP/1.0`, `CSeq: ${cseq}`, 'Content-Type: application/sdp', `Content-Length: ${SDP.length}`],
    SDP,
  );

async function published(
  farm: Farm,
  transport: string,
  reply?: string,
): Promise<{ client: Peer; server: Peer; session: string }> {
  const { client, server } = await meet(farm);
  await pass(client, server, announce(1), answer(1));
  const asked = { cseq: 2, uri: `${URL}/streamid=0`, transport, ...(reply === undefined ? {} : { reply }) };
  const { session } = await setUp(client, server, asked);
  await pass(client, server, request('RECORD', URL, 3, [`Session: ${session}`]), answer(3, ['Session: S1']));
  return { client, server, session };
}

describe('a publisher', () => {
  it('records too where the server is low on storage (250)', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server, { transport: 'RTP/AVP;unicast;mode=record' });
    const told = answer(2, [], '250 Low on Storage Space');
    expect((await pass(client, server, request('RECORD', URL, 2, [`Session: ${session}`]), told))[1]).toBe(told);
    const [slot = -1] = farm.proxy.table.ownSessions();
    expect(farm.proxy.table.read(slot)).toMatchObject({ recording: true });
  });

  it('passes its description as it is, and is torn down by its URL', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    expect((await pass(client, server, announce(1), answer(1)))[0]).toBe(announce(1));
    await setUp(client, server, { cseq: 2, uri: `${URL}/streamid=0`, transport: 'RTP/AVP;unicast;mode=record' });
    const [slot = -1] = farm.proxy.table.ownSessions();
    expect(farm.proxy.table.read(slot)).toMatchObject({ controlUrl: URL, recording: false });
    await pass(
      client,
      server,
      request('RECORD', `${URL}/`, 3, [`Session: ${farm.proxy.publicId(0, 'S1')}`]),
      answer(3),
    );
    expect(farm.proxy.table.read(slot)).toMatchObject({ controlUrl: `${URL}/`, recording: true });
  });

  it.each([
    ['RTP/AVP/UDP;unicast;client_port=20500-20501;mode=record', ['client']],
    ['RTP/AVP;unicast;client_port=20500-20501;mode="RECORD"', ['client']],
    ['RTP/AVP;unicast;client_port=20500-20501;mode=receive', ['client']],
    ['RTP/AVP;unicast;client_port=20500-20501;mode="PLAY,RECORD"', ['client', 'server']],
    // Without a mode the ANNOUNCE tells.
    ['RTP/AVP;unicast;client_port=20500-20501', ['client', 'server']],
    ['RTP/AVP;unicast;mode=record', ['client']],
  ])('sends: %s', async (transport, who) => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    await published(farm, transport);
    expect(senders(farm, 0)).toEqual(who);
  });

  it('is balanced like a player, and stays with its server', async () => {
    const farm = await startFarm({ servers: 2, sockets: new FakeSockets() });
    await published(farm, 'RTP/AVP;unicast;client_port=20500-20501;mode=record');
    const second = await farm.connect();
    second.send(announce(1, 'rtsp://edge.example:8554/b'));
    const other = (await farm.servers[1]?.accepted()) as Peer;
    expect(await other.message()).toBe(announce(1, 'rtsp://edge.example:8554/b'));
    expect([0, 1].map((index) => farm.proxy.load(index))).toEqual([1, 1]);
    // The id leads to the publisher's server from the connection that is bound to the other one.
    const keepAlive = request('OPTIONS', URL, 2, [`Session: ${farm.proxy.publicId(0, 'S1')}`]);
    other.send(answer(1));
    await second.message();
    second.send(keepAlive);
    const again = (await farm.servers[0]?.accepted()) as Peer;
    expect(field(await again.message(), 'Session')).toBe('S1');
  });

  it('tries the next server where one cannot be reached', async () => {
    const farm = await startFarm({ servers: 2, sockets: new FakeSockets() });
    await farm.servers[0]?.close();
    const client = await farm.connect();
    client.send(announce(1));
    const server = (await farm.servers[1]?.accepted()) as Peer;
    expect(await server.message()).toBe(announce(1));
    server.send(answer(1));
    await client.message();
  });

  it('keeps its session alive by its media while the server is silent, and no longer', async () => {
    const farm = await startFarm();
    const { client, server } = await published(farm, 'RTP/AVP/TCP;unicast;interleaved=0-1;mode=record', '');
    for (let i = 0; i < 5; i++) {
      client.send(frame(0, `media ${i}`));
      expect(await server.frame()).toEqual(frame(0, `media ${i}`));
      farm.proxy.pass(50_000);
    }
    expect(farm.proxy.table.stats().sessions).toBe(1);
    farm.proxy.pass(61_000);
    expect(farm.proxy.table.stats().sessions).toBe(0);
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });

  it('that is gone is not kept alive by the reports of its server', async () => {
    const farm = await startFarm();
    const { client, server } = await published(farm, 'RTP/AVP/TCP;unicast;interleaved=0-1;mode=record', '');
    client.socket.pause(); // it neither reads nor sends; TCP has not noticed yet
    const [slot = -1] = farm.proxy.table.ownSessions();
    const stream = farm.proxy.table.streamsOf(slot)[0]?.slot ?? -1;
    const { serverRtcp } = farm.proxy.region.layout.legIndex;
    for (let i = 0; i < 2; i++) {
      // A report that cannot be delivered is a sign of life of the server alone.
      farm.proxy.table.countDroppedFrame(stream, serverRtcp);
      farm.proxy.pass(50_000);
    }
    expect(farm.proxy.table.stats().sessions, 'control and media were not both silent').toBe(1);
    farm.proxy.table.countDroppedFrame(stream, serverRtcp);
    farm.proxy.pass(21_000);
    expect(farm.proxy.table.stats().sessions).toBe(0);
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });
});

describe('the backchannel', () => {
  const described = [
    'v=0',
    'm=video 0 RTP/AVP 96',
    'a=control:v',
    'm=audio 0 RTP/AVP 0',
    'a=control:back',
    'a=sendonly',
    '',
  ].join('\r\n');
  const reply = (cseq: number) =>
    rtsp(
      ['RTSP/1.0 200 OK', `CSeq: ${cseq}`, 'Content-Type: application/sdp', `Content-Length: ${described.length}`],
      described,
    );

  it('is asked for, and refused, by fields that pass as they are', async () => {
    const { client, server } = await meet(await startFarm());
    const asked = request('DESCRIBE', URL, 1, [BACKCHANNEL]);
    const refused = answer(1, ['Unsupported: www.onvif.org/ver20/backchannel'], '551 Option not supported');
    expect(await pass(client, server, asked, refused)).toEqual([asked, refused]);
  });

  it.each([
    ['with Require in its SETUP too', [BACKCHANNEL]],
    ['by the description that Require brought', []],
  ])('expects media of the client: %s', async (_, fields) => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', URL, 1, [BACKCHANNEL]), reply(1));
    const { session } = await setUp(client, server, { cseq: 2, uri: `${URL}/v` });
    const more = ['Transport: RTP/AVP;unicast;client_port=20502-20503', `Session: ${session}`, ...fields];
    const told = answer(3, ['Transport: RTP/AVP;unicast;server_port=20602-20603', 'Session: S1']);
    await pass(client, server, request('SETUP', `${URL}/back`, 3, more), told);
    expect([0, 1].map((slot) => senders(farm, slot))).toEqual([['server'], ['client', 'server']]);
  });

  it('is not taken from a=sendonly alone', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', URL, 1), reply(1));
    await setUp(client, server, { cseq: 2, uri: `${URL}/back` });
    expect(senders(farm, 0)).toEqual(['server']);
  });

  it('passes interleaved frames of the client', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    await setUp(client, server, { uri: `${URL}/back`, transport: 'RTP/AVP/TCP;interleaved=4-5', reply: '' });
    client.send(frame(4, 'speech'));
    expect(await server.frame()).toEqual(frame(4, 'speech'));
  });
});

describe('a session before its PLAY', () => {
  it('is torn down by the URL that its description gave, not by one that is guessed from the SETUP', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const port = farm.servers[0]?.port;
    const sdp = `v=0\r\na=control:rtsp://127.0.0.1:${port}/live/all\r\nm=video 0 RTP/AVP 96\r\na=control:a/b/video\r\n`;
    const fields = [`Content-Base: rtsp://127.0.0.1:${port}/live/`, 'Content-Type: application/sdp'];
    const told = rtsp(['RTSP/1.0 200 OK', 'CSeq: 1', ...fields, `Content-Length: ${sdp.length}`], sdp);
    await pass(client, server, request('DESCRIBE', URL, 1), told);
    await setUp(client, server, { cseq: 2, uri: `${URL}/a/b/video` });
    farm.proxy.pass(61_000);
    // The URL as the client would write it: Request-URIs are never altered.
    expect(await server.message()).toBe(request('TEARDOWN', `${URL}/all`, 1, ['Session: S1']));
  });
});

import { describe, expect, it } from 'vitest';
import { rtsp } from '../../../support/peer.js';
import { answer, field, meet, pass, request, startFarm } from './farm.js';

// Clients and servers may or may not use TLS, each for itself: the scheme of a URL is as much the appliance's as its host.
const SECURE = 'rtsps://edge.example:8322/live';
const PLAIN = 'rtsp://edge.example:8554/live';

describe('the scheme of URLs', () => {
  it.each([
    ['a server in the clear', SECURE, 'rtsp', 'rtsps://edge.example:8322'],
    ['a server by TLS', PLAIN, 'rtsps', 'rtsp://edge.example:8554'],
    ['a server by TLS', SECURE, 'rtsps', 'rtsps://edge.example:8322'],
  ])('%s, asked for %s, is shown by the scheme of the client', async (_, asked, scheme, edge) => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const { host, port } = farm.servers[0] as { host: string; port: number };
    const own = `${scheme}://${host}:${port}/live`;
    const sdp = `v=0\r\na=control:${own}/\r\nm=video 0 RTP/AVP 96\r\na=control:${own}/track1\r\n`;
    const fields = [`Content-Base: ${own}/`, 'Content-Type: application/sdp', `Content-Length: ${sdp.length}`];
    const [passed, reply] = await pass(
      client,
      server,
      request('DESCRIBE', asked, 1),
      rtsp(['RTSP/1.0 200 OK', 'CSeq: 1', ...fields], sdp),
    );
    expect(passed).toContain(`DESCRIBE ${asked} RTSP/1.0`);
    expect(field(reply, 'Content-Base')).toBe(`${edge}/live/`);
    expect(reply).toContain(`\r\na=control:${edge}/live/track1\r\n`);
    const info = answer(2, [`RTP-Info: url=${own}/track1;seq=1,url=${own}/track2;seq=2`]);
    const [, playing] = await pass(client, server, request('PLAY', asked, 2), info);
    expect(field(playing, 'RTP-Info')).toBe(`url=${edge}/live/track1;seq=1,url=${edge}/live/track2;seq=2`);
  });

  it("is the client's where a server repeats the name of the client with a scheme of its own", async () => {
    const { client, server } = await meet(await startFarm());
    const base = (text: string) => answer(1, [`Content-Base: ${text}`]);
    const repeated = base('rtsp://edge.example:8322/live/');
    expect((await pass(client, server, request('DESCRIBE', SECURE, 1), repeated))[1]).toBe(base(`${SECURE}/`));
  });

  it('of other hosts stays', async () => {
    const { client, server } = await meet(await startFarm());
    const elsewhere = answer(1, ['Content-Base: rtsp://cdn.example/live/']);
    expect((await pass(client, server, request('DESCRIBE', SECURE, 1), elsewhere))[1]).toBe(elsewhere);
  });
});

it('SRTP and its keys (RFC 4567) pass untouched', async () => {
  const farm = await startFarm();
  const { client, server } = await meet(farm);
  const { host, port } = farm.servers[0] as { host: string; port: number };
  const mikey = 'AQAFAP1td9ABAADPGi1yAAAAAAsAyS8kMgAAAAAKAAUBAQEBEAIBAQMBFA==';
  const keys = `prot=mikey; uri="${SECURE}/track1"; data="${mikey}"`;
  const sdp = `v=0\r\na=key-mgmt:mikey ${mikey}\r\nm=video 0 RTP/SAVP 96\r\nb=AS:1\r\na=key-mgmt:mikey ${mikey}\r\n`;
  const described = rtsp(
    ['RTSP/1.0 200 OK', 'CSeq: 1', 'Content-Type: application/sdp', `Content-Length: ${sdp.length}`],
    sdp,
  );
  expect((await pass(client, server, request('DESCRIBE', SECURE, 1), described))[1]).toBe(described);
  const offered = ['Transport: RTP/SAVP;unicast;client_port=20500-20501', `KeyMgmt: ${keys}`];
  client.send(request('SETUP', `${SECURE}/track1`, 2, offered));
  const asked = await server.message();
  expect(field(asked, 'KeyMgmt')).toBe(keys);
  expect(field(asked, 'Transport')).toMatch(/^RTP\/SAVP;unicast;client_port=\d+-\d+$/);
  const own = `prot=mikey; uri="rtsp://${host}:${port}/live/track1"; data="${mikey}"`;
  server.send(
    answer(2, ['Session: S1', `Transport: ${field(asked, 'Transport')};server_port=20600-20601`, `KeyMgmt: ${own}`]),
  );
  const reply = await client.message();
  expect(field(reply, 'KeyMgmt')).toBe(own);
  expect(field(reply, 'Transport')).toMatch(/^RTP\/SAVP;unicast;client_port=20500-20501;server_port=\d+-\d+;source=/);
});

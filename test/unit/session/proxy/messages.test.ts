import { describe, expect, it } from 'vitest';
import { SessionCodec } from '../../../../src/session/session-codec.js';
import { rtsp } from '../../../support/peer.js';
import { answer, field, meet, pass, request, startFarm, URL } from './farm.js';

describe('requests and answers', () => {
  it('are answered in the order of the requests, and sent to the server one at a time', async () => {
    const { client, server } = await meet(await startFarm());
    client.send(request('OPTIONS', URL, 1) + request('DESCRIBE', URL, 2) + request('FOO', '*', 3));
    for (const [cseq, line] of [`OPTIONS ${URL}`, `DESCRIBE ${URL}`, 'FOO *'].entries()) {
      expect(await server.message()).toBe(rtsp([`${line} RTSP/1.0`, `CSeq: ${cseq + 1}`]));
      expect(server.pending, 'nothing more before this is answered').toBe('');
      server.send(answer(cseq + 1, [`X: ${cseq}`]));
      expect(await client.message()).toBe(answer(cseq + 1, [`X: ${cseq}`]));
    }
  });

  it('passes an unknown method and its answer', async () => {
    const { client, server } = await meet(await startFarm());
    const asked = rtsp([`FOO ${URL} RTSP/1.0`, 'CSeq: 14', 'Content-Length: 3'], 'bar');
    expect(await pass(client, server, asked, answer(14, [], '400 Bad Request'))).toEqual([
      asked,
      answer(14, [], '400 Bad Request'),
    ]);
  });

  it.each([
    ['without a CSeq', rtsp(['RTSP/1.0 404 Not found', 'Content-Length: 13'], '<html></html>')],
    ['with `Cseq`', rtsp(['RTSP/1.0 200 OK', 'Server: VLC', 'Cseq: 7'])],
    ['with a CSeq that is no number', rtsp(['RTSP/1.0 200 OK', 'CSeq: undefined'])],
    [
      'with an HTML body',
      rtsp(['RTSP/1.0 501 Not implemented', 'Connection: close', 'Content-Length: 17'], '<html>501</html>\n'),
    ],
  ])('takes an answer %s for that of the request that waits, and passes it as it is', async (_, reply) => {
    const { client, server } = await meet(await startFarm());
    expect((await pass(client, server, request('DESCRIBE', URL, 7), reply))[1]).toBe(reply);
  });

  it('passes a request without CSeq', async () => {
    const { client, server } = await meet(await startFarm());
    const bare = rtsp([`OPTIONS ${URL} RTSP/1.0`, 'User-Agent: probe']);
    expect(await pass(client, server, bare, rtsp(['RTSP/1.0 400 Bad Request']))).toEqual([
      bare,
      rtsp(['RTSP/1.0 400 Bad Request']),
    ]);
  });

  it('drops an answer to something else', async () => {
    const { client, server } = await meet(await startFarm());
    client.send(request('OPTIONS', URL, 2));
    await server.message();
    server.send(answer(1, ['X: late']) + answer(2));
    expect(await client.message()).toBe(answer(2));
  });

  it('leaves two User-Agent headers, strange fields and spacing alone', async () => {
    const { client, server } = await meet(await startFarm());
    const asked = `OPTIONS  ${URL} RTSP/1.0\r\nCSeq:1\r\nUser-Agent: a\r\nUSER-AGENT :  b \r\nX-Folded: c\r\n\td\r\nno colon\r\n\r\n`;
    expect((await pass(client, server, asked, answer(1)))[0]).toBe(asked);
  });

  it('passes 100 Continue before the answer', async () => {
    const { client, server } = await meet(await startFarm());
    client.send(request('SETUP', URL, 3, ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1']));
    await server.message();
    server.send(answer(3, [], '100 Continue'));
    expect(await client.message()).toBe(answer(3, [], '100 Continue'));
    server.send(answer(3, [], '403 Forbidden'));
    expect(await client.message()).toBe(answer(3, [], '403 Forbidden'));
  });

  it('refuses RTSP/2.0 itself', async () => {
    const farm = await startFarm();
    const client = await farm.connect();
    client.send(rtsp([`OPTIONS ${URL} RTSP/2.0`, 'CSeq: 1']));
    expect(await client.message()).toBe(rtsp(['RTSP/1.0 505 RTSP Version not supported', 'CSeq: 1']));
    expect(farm.servers[0]?.connections).toBe(0);
  });
});

describe('Digest', () => {
  it('sees neither the Request-URI nor Authorization nor the challenge changed, and stays with its server', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    const challenge = answer(1, ['WWW-Authenticate: Digest realm="r", nonce="n1"'], '401 Unauthorized');
    expect((await pass(client, server, request('DESCRIBE', URL, 1), challenge))[1]).toBe(challenge);
    const asked = request('DESCRIBE', URL, 2, [
      `Authorization: Digest username="u", realm="r", nonce="n1", uri="${URL}/", response="00"`,
    ]);
    expect((await pass(client, server, asked, answer(2)))[0]).toBe(asked);
    expect(farm.servers[1]?.connections).toBe(0);
  });

  it('finds its server again on a second connection', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', URL, 1), answer(1, [], '401 Unauthorized'));
    client.socket.end();
    await client.rest();
    const again = await farm.connect();
    again.send(request('DESCRIBE', URL, 2));
    const second = await farm.servers[0]?.accepted();
    expect(await second?.message()).toBe(request('DESCRIBE', URL, 2));
  });
});

describe('what names the server', () => {
  it('becomes what the client calls us, wherever the authority is the server, and Content-Length follows', async () => {
    const farm = await startFarm({ names: ['cam.example'] });
    const { client, server } = await meet(farm);
    const port = farm.servers[0]?.port;
    const sdp = (host: string, ip: string) =>
      `v=0\r\no=- 1 1 IN IP4 ${ip}\r\nc=IN IP4 ${ip}\r\na=control:rtsp://${host}/live/\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 192.0.2.9\r\na=control:rtsp://192.0.2.9/live\r\n`;
    const reply = (host: string, name: string, ip: string) => {
      const body = sdp(host, ip);
      const fields = ['CSeq: 1', `Content-Base: rtsp://${name}/live/`, `Content-Location: rtsp://u:p@${host}/live`];
      const more = ['Location: rtsp://192.0.2.9/live', 'Content-Type: application/sdp'];
      return rtsp(['RTSP/1.0 200 OK', ...fields, ...more, `Content-Length: ${body.length}`], body);
    };
    const told = reply(`127.0.0.1:${port}`, `Cam.Example:${port}`, '127.0.0.1');
    farm.proxy.config.mediaAddresses.push({ side: 'client', address: '127.0.0.1', advertised: '203.0.113.77' });
    const [, seen] = await pass(client, server, request('DESCRIBE', URL, 1), told);
    expect(seen).toBe(reply('edge.example:8554', 'edge.example:8554', '203.0.113.77'));
    expect(seen.length).not.toBe(told.length);
  });

  it('has no port where the client wrote none', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const base = (host: string) => answer(1, [`Content-Base: rtsp://${host}/live/`]);
    const told = base(`127.0.0.1:${farm.servers[0]?.port}`);
    const [, seen] = await pass(client, server, request('DESCRIBE', 'rtsp://[2001:db8::1]/live', 1), told);
    expect(seen).toBe(base('[2001:db8::1]'));
  });

  it('stays in a body that is no SDP', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const body = `c=IN IP4 127.0.0.1\r\n`;
    const told = rtsp(['RTSP/1.0 200 OK', 'CSeq: 1', 'Content-Type: text/parameters', 'Content-Length: 20'], body);
    expect((await pass(client, server, request('GET_PARAMETER', URL, 1), told))[1]).toBe(told);
  });
});

describe('Session', () => {
  it('may appear in DESCRIBE already', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    const told = answer(1, ['Session: Zlm4567890ab;timeout=15']);
    const [, seen] = await pass(client, server, request('DESCRIBE', URL, 1), told);
    const id = farm.proxy.publicId(0, 'Zlm4567890ab');
    expect(field(seen, 'Session')).toBe(`${id};timeout=15`);
    const setup = request('SETUP', URL, 2, ['Transport: RTP/AVP;unicast;client_port=20500-20501', `Session: ${id}`]);
    client.send(setup);
    expect(field(await server.message(), 'Session')).toBe('Zlm4567890ab');
    server.send(answer(2, [], '454 Session Not Found'));
    await client.message();
  });

  it('may be missing in answers, and be empty', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const id = farm.proxy.publicId(0, 'abc');
    const play = request('PLAY', URL, 1, [`Session: ${id}`, 'Range: npt=0-']);
    expect(await pass(client, server, play, answer(1))).toEqual([
      request('PLAY', URL, 1, ['Session: abc', 'Range: npt=0-']),
      answer(1),
    ]);
    const empty = request('PLAY', URL, 2, ['Session: ']);
    expect(await pass(client, server, empty, answer(2, ['Session: ;timeout=60']))).toEqual([
      empty,
      answer(2, ['Session: ;timeout=60']),
    ]);
  });

  it.each(['sealed', 'prefix', 'suffix'] as const)(
    'leads to its server from any connection (%s)',
    async (sessionId) => {
      const farm = await startFarm({ servers: 3, config: { sessionId } });
      for (const index of [2, 0, 1, 2]) {
        const client = await farm.connect();
        client.send(request('GET_PARAMETER', URL, 1, [`Session: ${farm.proxy.publicId(index, 'x-1.5_$+')};a=b`]));
        const server = await farm.servers[index]?.accepted();
        expect(await server?.message()).toBe(request('GET_PARAMETER', URL, 1, ['Session: x-1.5_$+;a=b']));
        client.destroy();
      }
    },
  );

  it('gives 454 for an id that is forged, truncated, transplanted or of another farm, and no server hears of it', async () => {
    const farm = await startFarm({ servers: 2 });
    const member = { ip: '127.0.0.1', port: farm.servers[0]?.port ?? 0 };
    const otherKey = new SessionCodec({ mode: 'sealed', keys: [Buffer.alloc(32, 8)], isMember: () => true });
    const client = await farm.connect();
    const good = farm.proxy.publicId(0, 'abc');
    const seal = good.slice(0, -3);
    const bad = [
      'abc',
      good.slice(1),
      good.slice(0, -1),
      `${good}d`,
      seal,
      `${seal}abd`,
      `${seal.slice(0, -1)}${seal.endsWith('0') ? '1' : '0'}abc`,
      good.toUpperCase(),
      otherKey.encode(member, 'abc'),
      farm.proxy.codec.encode({ ip: '127.0.0.1', port: 9 }, 'abc'),
      '0'.repeat(300),
    ];
    for (const [cseq, id] of bad.entries()) {
      client.send(request('PLAY', URL, cseq, [`Session: ${id}`]));
      expect(await client.message(), id).toBe(answer(cseq, [], '454 Session Not Found'));
    }
    expect(farm.servers.map(({ connections }) => connections)).toEqual([0, 0]);
  });
});

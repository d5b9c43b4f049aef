import { describe, expect, it } from 'vitest';
import { rtsp, type ScriptedServer } from '../../../support/peer.js';
import { answer, INTERLEAVED, meet, pass, request, setUp, startFarm, URL } from './farm.js';

describe('requests from the server', () => {
  it.each(['OPTIONS', 'GET_PARAMETER', 'SET_PARAMETER', 'PLAY_NOTIFY'])(
    '(%s) reach the client with its id, and its answer the server',
    async (method) => {
      const farm = await startFarm();
      const { client, server } = await meet(farm);
      const { session } = await setUp(client, server, INTERLEAVED);
      server.send(request(method, '*', 77, ['Session: S1;x=1', 'X: y']));
      expect(await client.message()).toBe(request(method, '*', 77, [`Session: ${session};x=1`, 'X: y']));
      client.send(answer(77, [`Session: ${session}`]));
      expect(await server.message()).toBe(answer(77, ['Session: S1']));
    },
  );

  it('are rewritten in their description too: ANNOUNCE', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', 'rtsp://edge.example/live', 1), answer(1));
    const announce = (authority: string) => {
      const body = `v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=control:rtsp://${authority}/live\r\n`;
      const fields = ['CSeq: 5', 'Content-Type: application/sdp', `Content-Length: ${body.length}`];
      return rtsp([`ANNOUNCE rtsp://${authority}/live RTSP/1.0`, ...fields], body);
    };
    server.send(announce(`127.0.0.1:${farm.servers[0]?.port}`));
    expect(await client.message()).toBe(announce('edge.example'));
  });

  it('may come while a request of the client waits, and before its answer', async () => {
    const { client, server } = await meet(await startFarm());
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(request('OPTIONS', '*', 1) + answer(1, ['X: describe']));
    expect(await client.message()).toBe(request('OPTIONS', '*', 1));
    expect(await client.message()).toBe(answer(1, ['X: describe']));
    client.send(answer(1, ['X: options']));
    expect(await server.message()).toBe(answer(1, ['X: options']));
  });

  it('get the answer of their own client connection, also without a CSeq; one that nobody asked for is dropped', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    client.send(answer(99));
    server.send(request('OPTIONS', '*', 5));
    await client.message();
    client.send(answer(6) + rtsp(['RTSP/1.0 200 OK', 'X: mine']) + answer(5, ['X: late']));
    expect(await server.message()).toBe(rtsp(['RTSP/1.0 200 OK', 'X: mine']));
    await pass(client, server, request('OPTIONS', '*', 1), answer(1));
    expect(server.pending).toBe('');
  });

  it('of two servers with one number reach the client with two, and each answer its server with its own', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    client.send(request('OPTIONS', URL, 50, [`Session: ${farm.proxy.publicId(1, 'T1')}`]));
    const other = await (farm.servers[1] as ScriptedServer).accepted();
    await other.message();
    other.send(answer(50));
    await client.message();
    server.send(request('OPTIONS', '*', 7, ['X: first']));
    expect(await client.message()).toBe(request('OPTIONS', '*', 7, ['X: first']));
    other.send(request('OPTIONS', '*', 7, ['X: second']));
    expect(await client.message()).toBe(request('OPTIONS', '*', 8, ['X: second']));
    client.send(answer(8, ['X: to the second']) + answer(7, ['X: to the first']));
    expect(await other.message()).toBe(answer(7, ['X: to the second']));
    expect(await server.message()).toBe(answer(7, ['X: to the first']));
    other.send(request('OPTIONS', '*', 7));
    expect(await client.message(), 'the number is free again').toBe(request('OPTIONS', '*', 7));
  });

  it('of a server that counts not at all are told apart too', async () => {
    const { client, server } = await meet(await startFarm());
    for (const cseq of [0, 1]) {
      server.send(request('OPTIONS', '*', 0));
      expect(await client.message()).toBe(request('OPTIONS', '*', cseq));
    }
    client.send(answer(1, ['X: b']) + answer(0, ['X: a']));
    expect(await server.message()).toBe(answer(0, ['X: b']));
    expect(await server.message()).toBe(answer(0, ['X: a']));
  });

  it('may be answered by 100 Continue first', async () => {
    const { client, server } = await meet(await startFarm());
    server.send(request('ANNOUNCE', URL, 3));
    await client.message();
    for (const status of ['100 Continue', '200 OK']) {
      client.send(answer(3, [], status));
      expect(await server.message()).toBe(answer(3, [], status));
    }
    client.send(answer(3, [], '200 OK'));
    await pass(client, server, request('OPTIONS', '*', 1), answer(1));
    expect(server.pending, 'there is one final answer').toBe('');
  });

  it('show that the server lives, and their answers that the client does', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    for (let cseq = 1; cseq <= 4; cseq++) {
      farm.proxy.pass(50_000);
      server.send(request('GET_PARAMETER', URL, cseq));
      await client.message();
      client.send(answer(cseq));
      await server.message();
    }
    expect(farm.proxy.table.stats().sessions).toBe(1);
    for (let cseq = 5; cseq <= 7; cseq++) {
      server.send(request('GET_PARAMETER', URL, cseq));
      await client.message();
      farm.proxy.pass(cseq < 7 ? 50_000 : 21_000);
    }
    expect(farm.proxy.table.stats().sessions, 'unanswered ones do not keep a session').toBe(0);
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });

  it('do not disturb a client that never answers', async () => {
    const { client, server } = await meet(await startFarm());
    for (let cseq = 0; cseq < 40; cseq++) server.send(request('OPTIONS', '*', cseq));
    for (let cseq = 0; cseq < 40; cseq++) expect(await client.message()).toBe(request('OPTIONS', '*', cseq));
    const asked = request('DESCRIBE', URL, 7);
    expect(await pass(client, server, asked, answer(7))).toEqual([asked, answer(7)]);
    client.send(answer(0) + answer(39));
    expect(await server.message(), 'the oldest are forgotten').toBe(answer(39));
  });

  it('are not told the id of a session elsewhere', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    server.send(request('GET_PARAMETER', '*', 1));
    await client.message();
    const foreign = answer(1, [`Session: ${farm.proxy.publicId(1, 'other')}`]);
    client.send(foreign);
    expect(await server.message()).toBe(foreign);
  });
});

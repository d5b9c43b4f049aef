import { describe, expect, it } from 'vitest';
import { FakeSockets } from '../../../support/fake-sockets.js';
import { type Peer, rtsp } from '../../../support/peer.js';
import {
  answer,
  type Farm,
  type FarmOptions,
  field,
  INTERLEAVED,
  meet,
  pass,
  request,
  setUp,
  startFarm,
  URL,
} from './farm.js';

type Mode = 'rewrite' | 'follow' | 'pass';

const farmOf = (redirects: Mode, options: FarmOptions = {}): Promise<Farm> =>
  startFarm({ servers: 2, ...options, config: { redirects, ...options.config } });
const at = (farm: Farm, index: number) => `127.0.0.1:${farm.servers[index]?.port}`;
const moved = (cseq: number, location: string, status = '302 Moved Temporarily') =>
  answer(cseq, [`Location: ${location}`], status);
const accepted = (farm: Farm, index: number) => farm.servers[index]?.accepted() as Promise<Peer>;
const EDGE = 'rtsp://edge.example:8554';
const STATUSES = [
  '301 Moved Permanently',
  '302 Moved Temporarily',
  '303 See Other',
  '305 Use Proxy',
  '307 Temporary Redirect',
];

describe('a redirection that is rewritten', () => {
  it.each(STATUSES)('comes back through us, to the server that it names: %s', async (status) => {
    const farm = await farmOf('rewrite', { servers: 3 });
    const { client, server } = await meet(farm);
    const told = moved(1, `rtsp://${at(farm, 2)}/b?x=1`, status);
    expect((await pass(client, server, request('DESCRIBE', URL, 1), told))[1]).toBe(moved(1, `${EDGE}/b?x=1`, status));
    client.socket.end();
    await client.rest();
    const again = await farm.connect();
    const next = status.startsWith('305') ? URL : `${EDGE}/b?x=1`;
    again.send(request('DESCRIBE', next, 1));
    expect(await (await accepted(farm, 2)).message()).toBe(request('DESCRIBE', next, 1));
  });

  it('does so on the same connection too, and the former server is left', async () => {
    const farm = await farmOf('rewrite');
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', URL, 1), moved(1, `rtsp://${at(farm, 1)}/live`));
    client.send(request('DESCRIBE', URL, 2));
    const other = await accepted(farm, 1);
    expect(await other.message()).toBe(request('DESCRIBE', URL, 2));
    other.send(answer(2));
    await client.message();
    await pass(client, other, request('OPTIONS', '*', 3), answer(3));
    expect(farm.proxy.load(0), 'no claim is left behind').toBe(0);
  });

  it('by the name that a service is configured with', async () => {
    const farm = await farmOf('rewrite', { names: ['one.example', 'two.example'] });
    const { client, server } = await meet(farm);
    const told = moved(1, `rtsp://u:p@Two.Example:${farm.servers[1]?.port}/b`);
    expect((await pass(client, server, request('DESCRIBE', URL, 1), told))[1]).toBe(
      moved(1, 'rtsp://u:p@edge.example:8554/b'),
    );
  });

  it('leads to the server itself as well', async () => {
    const farm = await farmOf('rewrite');
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', URL, 1), moved(1, `rtsp://${at(farm, 0)}/b`));
    client.socket.end();
    await client.rest();
    const again = await farm.connect();
    again.send(request('DESCRIBE', `${EDGE}/b`, 1));
    expect(await (await accepted(farm, 0)).message()).toBe(request('DESCRIBE', `${EDGE}/b`, 1));
  });

  it.each([
    ['outside of the farm', '302 Moved Temporarily', 'rtsp://192.0.2.9:8001/b'],
    ['to the right host and a wrong port', '302 Moved Temporarily', 'rtsp://127.0.0.1:9/b'],
    ['without an authority', '302 Moved Temporarily', '/b'],
    ['that is none', '304 Not Modified', ''],
  ])('passes as it is: %s', async (_, status, location) => {
    const farm = await farmOf('rewrite');
    const { client, server } = await meet(farm);
    const told = location === '' ? answer(1, [], status) : moved(1, location, status);
    expect((await pass(client, server, request('DESCRIBE', URL, 1), told))[1]).toBe(told);
    await pass(client, server, request('DESCRIBE', URL, 2), answer(2));
    expect(farm.servers[1]?.connections, 'the connection stays where it is').toBe(0);
  });

  it('to a service that takes no sessions goes where the balancing says', async () => {
    const farm = await farmOf('rewrite');
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', URL, 1), moved(1, `rtsp://${at(farm, 1)}/live`));
    farm.proxy.rows.setState(1, 'draining');
    await pass(client, server, request('DESCRIBE', URL, 2), answer(2));
  });
});

describe('a redirection of a session', () => {
  it.each(['rewrite', 'follow'] as const)(
    'in an answer to PLAY leaves the session with its server (%s)',
    async (mode) => {
      const farm = await farmOf(mode, { sockets: new FakeSockets() });
      const { client, server } = await meet(farm);
      const { session } = await setUp(client, server);
      const play = request('PLAY', URL, 2, [`Session: ${session}`]);
      const told = moved(2, `rtsp://${at(farm, 1)}/live`);
      expect((await pass(client, server, play, told))[1]).toBe(moved(2, URL));
      await pass(client, server, request('TEARDOWN', URL, 3, [`Session: ${session}`]), answer(3));
      client.send(request('DESCRIBE', URL, 4));
      expect(await (await accepted(farm, 1)).message()).toBe(request('DESCRIBE', URL, 4));
    },
  );

  it.each(['rewrite', 'follow'] as const)('by REDIRECT comes back through us (%s)', async (mode) => {
    const farm = await farmOf(mode);
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server, INTERLEAVED);
    const redirect = (own: string, to: string, id: string) =>
      request('REDIRECT', `rtsp://${own}/live`, 732, [`Location: rtsp://${to}/b`, 'Range: npt=5-', `Session: ${id}`]);
    server.send(redirect(at(farm, 0), at(farm, 1), 'S1'));
    expect(await client.message()).toBe(redirect('edge.example:8554', 'edge.example:8554', session));
    client.send(answer(732));
    expect(await server.message()).toBe(answer(732));
    await pass(client, server, request('TEARDOWN', URL, 2, [`Session: ${session}`]), answer(2));
    client.send(request('DESCRIBE', `${EDGE}/b`, 3));
    expect(await (await accepted(farm, 1)).message()).toBe(request('DESCRIBE', `${EDGE}/b`, 3));
  });

  it('by REDIRECT out of the farm passes as it is', async () => {
    const farm = await farmOf('rewrite');
    const { client, server } = await meet(farm);
    const redirect = request('REDIRECT', '*', 5, ['Location: rtsp://192.0.2.9:8001/b']);
    server.send(redirect);
    expect(await client.message()).toBe(redirect);
  });
});

describe('a redirection that is passed', () => {
  it('names the server, and the connection stays', async () => {
    const farm = await farmOf('pass');
    const { client, server } = await meet(farm);
    for (const index of [0, 1]) {
      const told = moved(1, `rtsp://${at(farm, index)}/b`);
      expect((await pass(client, server, request('DESCRIBE', URL, 1), told))[1]).toBe(told);
    }
    await pass(client, server, request('DESCRIBE', URL, 2), answer(2));
    const redirect = request('REDIRECT', '*', 5, [`Location: rtsp://${at(farm, 1)}/b`]);
    server.send(redirect);
    expect(await client.message()).toBe(redirect);
  });
});

describe('a redirection that is followed', () => {
  const SDP = 'v=0\r\nm=video 0 RTP/AVP 96\r\na=control:track1\r\n';
  const described = (cseq: number, fields: string[] = []) =>
    rtsp(
      ['RTSP/1.0 200 OK', `CSeq: ${cseq}`, ...fields, 'Content-Type: application/sdp', `Content-Length: ${SDP.length}`],
      SDP,
    );

  it('is not seen by the client, and the connection belongs to the server that was found', async () => {
    const farm = await farmOf('follow', { sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const asked = request('DESCRIBE', URL, 1, ['Authorization: Basic dTpw', 'X: y']);
    client.send(asked);
    await server.message();
    server.send(moved(1, `rtsp://${at(farm, 1)}/live`));
    const other = await accepted(farm, 1);
    expect(await other.message()).toBe(asked);
    other.send(described(1));
    expect(await client.message()).toBe(described(1));
    expect(await server.rest(), 'the former server is left').toBe('');
    const { session } = await setUp(client, other, { cseq: 2 });
    expect(session).toBe(farm.proxy.publicId(1, 'S1'));
    expect([0, 1].map((index) => farm.proxy.load(index))).toEqual([0, 1]);
  });

  it('to another path leads the client on by Content-Base', async () => {
    const farm = await farmOf('follow', { sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(moved(1, `rtsp://${at(farm, 1)}/b/c?d`));
    const other = await accepted(farm, 1);
    expect(await other.message()).toBe(request('DESCRIBE', `${EDGE}/b/c?d`, 1));
    other.send(described(1));
    expect(field(await client.message(), 'Content-Base')).toBe(`${EDGE}/b/c?d`);
    await setUp(client, other, { cseq: 2, uri: `${EDGE}/b/c?d/track1` });
    farm.proxy.pass(61_000);
    expect(await other.message()).toBe(request('TEARDOWN', `${EDGE}/b/c?d`, 1, ['Session: S1']));
  });

  it('to another path is known when the client describes its URL again, and forgotten with the connection', async () => {
    const farm = await farmOf('follow', { servers: 3 });
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(moved(1, `rtsp://${at(farm, 2)}/b`));
    const other = await accepted(farm, 2);
    await other.message();
    other.send(answer(1, ['WWW-Authenticate: Digest realm="r", nonce="n"'], '401 Unauthorized'));
    await client.message();
    const signed = (uri: string) => request('DESCRIBE', uri, 2, [`Authorization: Digest uri="${URL}"`]);
    const [asked, told] = await pass(client, other, signed(URL), described(2));
    expect(asked).toBe(signed(`${EDGE}/b`));
    expect(field(told, 'Content-Base')).toBe(`${EDGE}/b`);
    expect((await pass(client, other, request('OPTIONS', URL, 3), answer(3)))[0]).toBe(request('OPTIONS', URL, 3));
    client.socket.end();
    await client.rest();
    // It is the next one's turn: nothing says that the third server knows the URL that the client typed.
    const again = await farm.connect();
    again.send(request('DESCRIBE', URL, 1));
    expect(await (await accepted(farm, 1)).message()).toBe(request('DESCRIBE', URL, 1));
  });

  it('twice in a row is known by the URL that the client typed', async () => {
    const farm = await farmOf('follow', { servers: 3 });
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(moved(1, `rtsp://${at(farm, 1)}/b`));
    const second = await accepted(farm, 1);
    await second.message();
    second.send(moved(1, `rtsp://${at(farm, 2)}/c`));
    const third = await accepted(farm, 2);
    expect(await third.message()).toBe(request('DESCRIBE', `${EDGE}/c`, 1));
    third.send(described(1));
    expect(field(await client.message(), 'Content-Base')).toBe(`${EDGE}/c`);
    expect((await pass(client, third, request('DESCRIBE', URL, 2), described(2)))[0]).toBe(
      request('DESCRIBE', `${EDGE}/c`, 2),
    );
  });

  it('to another path leaves a Content-Base of the server alone', async () => {
    const farm = await farmOf('follow');
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(moved(1, `rtsp://${at(farm, 1)}/b`));
    const other = await accepted(farm, 1);
    await other.message();
    other.send(described(1, [`Content-Base: rtsp://${at(farm, 1)}/b/`]));
    expect(await client.message()).toBe(described(1, [`Content-Base: ${EDGE}/b/`]));
  });

  it('of a SETUP takes its Transport along, and gives the ports of the first try back', async () => {
    const sockets = new FakeSockets();
    const farm = await farmOf('follow', { sockets });
    const { client, server } = await meet(farm);
    client.send(request('SETUP', `${URL}/track1`, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']));
    await server.message();
    server.send(moved(1, `rtsp://${at(farm, 1)}/live/track1`));
    const other = await accepted(farm, 1);
    const asked = await other.message();
    expect(field(asked, 'Transport')).toBe('RTP/AVP;unicast;client_port=20500-20501');
    other.send(answer(1, [`Transport: ${field(asked, 'Transport')};server_port=20600-20601`, 'Session: T1']));
    expect(field(await client.message(), 'Session')).toBe(farm.proxy.publicId(1, 'T1'));
    expect(sockets.ports).toEqual([20500, 20501, 20600, 20601]);
  });

  it.each(['SETUP', 'OPTIONS', 'ANNOUNCE'])(
    'of %s to another path is rewritten instead: the client would go on with its own URL',
    async (method) => {
      const farm = await farmOf('follow', { sockets: new FakeSockets() });
      const { client, server } = await meet(farm);
      const asked = request(method, URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']);
      const told = moved(1, `rtsp://${at(farm, 1)}/b`);
      expect((await pass(client, server, asked, told))[1]).toBe(moved(1, `${EDGE}/b`));
      client.send(request('DESCRIBE', `${EDGE}/b`, 2));
      expect(await (await accepted(farm, 1)).message()).toBe(request('DESCRIBE', `${EDGE}/b`, 2));
    },
  );

  it('to a server that cannot be reached is given to the client', async () => {
    const farm = await farmOf('follow');
    const { client, server } = await meet(farm);
    await farm.servers[1]?.close();
    const told = moved(1, `rtsp://${at(farm, 1)}/b`);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(told);
    expect(await client.message()).toBe(moved(1, `${EDGE}/b`));
    expect(farm.proxy.told.failed).toHaveLength(1);
    expect(farm.proxy.load(1)).toBe(0);
  });

  it('to a service that takes no sessions is given to the client', async () => {
    const farm = await farmOf('follow');
    farm.proxy.rows.setState(1, 'draining');
    const { client, server } = await meet(farm);
    const told = moved(1, `rtsp://${at(farm, 1)}/b`);
    expect((await pass(client, server, request('DESCRIBE', URL, 1), told))[1]).toBe(moved(1, `${EDGE}/b`));
    expect(farm.servers[1]?.connections).toBe(0);
  });

  it('out of the farm is passed, and nobody there hears of us', async () => {
    const farm = await farmOf('follow');
    const { client, server } = await meet(farm);
    const told = moved(1, 'rtsp://192.0.2.9:8001/b');
    expect((await pass(client, server, request('DESCRIBE', URL, 1), told))[1]).toBe(told);
  });

  it('in a circle comes to an end', async () => {
    const farm = await farmOf('follow');
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    for (let tries = 0, current = server; ; tries++) {
      await current.message();
      const next = (tries + 1) % 2;
      current.send(moved(1, `rtsp://${at(farm, next)}/live`));
      if (tries === 5) break;
      current = await accepted(farm, next);
    }
    expect(await client.message()).toBe(moved(1, URL));
  });
});

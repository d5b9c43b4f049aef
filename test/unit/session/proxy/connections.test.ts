import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeSockets } from '../../../support/fake-sockets.js';
import { type Peer, rtsp } from '../../../support/peer.js';
import {
  answer,
  balancedBy,
  type Farm,
  field,
  INTERLEAVED,
  meet,
  pass,
  request,
  setUp,
  startFarm,
  URL,
} from './farm.js';

const sessionCount = (farm: Farm) => farm.proxy.table.stats().sessions;
const accepted = async (farm: Farm, index = 0) => (await farm.servers[index]?.accepted()) as Peer;

/** A farm whose server with that index listens no more. */
async function withoutServer(index: number, farm: Farm): Promise<Farm> {
  await farm.servers[index]?.close();
  return farm;
}

describe('the client ends', () => {
  it('with TEARDOWN and FIN in one go: the server gets the TEARDOWN, the client its answer', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    client.socket.end(request('TEARDOWN', URL, 2, [`Session: ${session}`]));
    expect(await server.message()).toBe(request('TEARDOWN', URL, 2, ['Session: S1']));
    server.send(answer(2));
    expect(await client.rest()).toBe(answer(2));
    expect(await server.rest()).toBe('');
    expect([sessionCount(farm), farm.proxy.media.size, farm.proxy.proxy.connections]).toEqual([0, 0, 0]);
  });

  it('with several requests and FIN: all are answered, in order', async () => {
    const { client, server } = await meet(await startFarm());
    client.socket.end(request('OPTIONS', URL, 1) + request('DESCRIBE', URL, 2));
    for (const cseq of [1, 2]) {
      await server.message();
      server.send(answer(cseq));
    }
    expect(await client.rest()).toBe(answer(1) + answer(2));
  });

  it('with RST in the middle of an answer: nothing is left behind', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    client.send(request('SETUP', URL, 1, ['Transport: RTP/AVP/TCP;interleaved=0-1']));
    await server.message();
    client.socket.resetAndDestroy();
    server.send(answer(1, ['Session: S1', 'Transport: RTP/AVP/TCP;interleaved=0-1']));
    expect(field(await server.message(), 'Session')).toBe('S1');
    server.send(answer(1));
    await server.rest();
    expect([sessionCount(farm), farm.proxy.proxy.connections]).toEqual([0, 0]);
  });

  it('by FIN alone: a session over UDP goes on, without its connection, until it is idle', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    client.socket.end();
    expect(await client.rest()).toBe('');
    expect(await server.rest()).toBe('');
    expect(sessionCount(farm)).toBe(1);
    const again = await farm.connect();
    again.send(request('PLAY', URL, 5, [`Session: ${session}`]));
    const second = await accepted(farm);
    expect(await second.message()).toBe(request('PLAY', URL, 5, ['Session: S1']));
    second.send(answer(5));
    await again.message();
    again.socket.end();
    await second.rest();
    farm.proxy.pass(61_000);
    const third = await accepted(farm);
    expect(await third.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
    third.send(answer(1));
    await third.rest();
    expect([sessionCount(farm), farm.proxy.media.size, farm.proxy.teardowns.pending]).toEqual([0, 0, 0]);
  });

  it('by FIN alone with teardownOnDisconnect: the session ends at once', async () => {
    const farm = await startFarm({ config: { teardownOnDisconnect: true } });
    const { client, server } = await meet(farm);
    await setUp(client, server);
    client.socket.end();
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
    server.send(answer(1));
    await server.rest();
    expect(sessionCount(farm)).toBe(0);
  });

  it('one connection of two: a session that was set up further over the newer one stays', async () => {
    const farm = await startFarm({ sockets: new FakeSockets(), config: { teardownOnDisconnect: true } });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    const newer = await farm.connect();
    newer.send(request('OPTIONS', URL, 1, [`Session: ${session}`]));
    const other = await accepted(farm);
    await other.message();
    other.send(answer(1));
    await newer.message();
    await setUp(newer, other, { session, uri: `${URL}/track2`, cseq: 2 });
    client.socket.end();
    expect(await server.rest()).toBe('');
    expect(sessionCount(farm)).toBe(1);
  });

  it('after us, or never: what it still sends reaches nobody, and it is cut off in the end', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    server.socket.end();
    await client.rest();
    const teardown = await accepted(farm);
    await teardown.message();
    teardown.send(answer(1));
    await teardown.rest();
    client.send(request('DESCRIBE', URL, 9));
    vi.advanceTimersByTime(4_999);
    expect(client.socket.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    await vi.waitFor(() => {
      client.send('$');
      expect(client.error?.message).toMatch(/ECONNRESET|EPIPE/);
    });
    expect(farm.servers[0]?.connections, 'the first, and that of the TEARDOWN').toBe(2);
  });
});

describe('a server that cannot be reached', () => {
  it('is skipped: the client sees one good answer', async () => {
    const farm = await withoutServer(0, await startFarm({ servers: 2 }));
    const client = await farm.connect();
    client.send(request('DESCRIBE', URL, 1));
    const server = await accepted(farm, 1);
    expect(await server.message()).toBe(request('DESCRIBE', URL, 1));
    server.send(answer(1));
    expect(await client.message()).toBe(answer(1));
    expect(farm.proxy.told.failed).toEqual([expect.stringContaining('origin-0: origin-0 (127.0.0.1:')]);
    await setUp(client, server, { cseq: 2 });
  });

  it.each(['FIN', 'RST'])(
    'after %s before its first byte is skipped too, with the SETUP as the client wrote it',
    async (how) => {
      const farm = await startFarm({ servers: 2, sockets: new FakeSockets() });
      const client = await farm.connect();
      const offered = 'RTP/AVP;unicast;destination=192.0.2.1;client_port=20500-20501';
      client.send(request('SETUP', URL, 1, [`Transport: ${offered}`]));
      const first = await accepted(farm);
      await first.message();
      if (how === 'FIN') first.socket.end();
      else first.socket.resetAndDestroy();
      const second = await accepted(farm, 1);
      expect(field(await second.message(), 'Transport')).toBe('RTP/AVP;unicast;client_port=20500-20501');
      second.send(answer(1, ['Transport: RTP/AVP;unicast;server_port=20600-20601', 'Session: S1']));
      expect(field(await client.message(), 'Session')).toBe(farm.proxy.publicId(1, 'S1'));
      expect(farm.proxy.load(0)).toBe(0);
    },
  );

  it('after it began to answer gives 502, and no other server is asked', async () => {
    const farm = await startFarm({ servers: 2 });
    const client = await farm.connect();
    client.send(request('DESCRIBE', URL, 1));
    const server = await accepted(farm);
    await server.message();
    server.socket.end('RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 10\r\n\r\nv=0');
    expect(await client.message()).toBe(answer(1, [], '502 Bad Gateway'));
    expect(farm.servers[1]?.connections).toBe(0);
  });

  it('as all others gives 503, and one line says why of each', async () => {
    const farm = await withoutServer(0, await withoutServer(1, await startFarm({ servers: 2 })));
    const client = await farm.connect();
    client.send(request('DESCRIBE', URL, 1));
    expect(await client.message()).toBe(answer(1, [], '503 Service Unavailable'));
    const lines = farm.proxy.logged('PENSTOCK_ERR_NO_SERVICE');
    expect(lines).toMatchObject([{ level: 'warn', method: 'DESCRIBE', status: 503 }]);
    expect(lines[0]?.msg).toMatch(/origin-0 \(127.0.0.1 port \d+\) tried and failed, origin-1 .* tried and failed$/);
  });

  it('because monitors took all down gives 503 without a connection', async () => {
    const farm = await startFarm({ servers: 2 });
    for (const index of [0, 1]) farm.proxy.rows.setState(index, 'down');
    const client = await farm.connect();
    client.send(request('DESCRIBE', URL, 1));
    expect(await client.message()).toBe(answer(1, [], '503 Service Unavailable'));
    expect(farm.servers.map(({ connections }) => connections)).toEqual([0, 0]);
    expect(farm.proxy.logged('PENSTOCK_ERR_NO_SERVICE')).toHaveLength(1);
  });

  it('gives 503 for a session of its own, which no other server knows', async () => {
    const farm = await withoutServer(0, await startFarm({ servers: 2 }));
    const client = await farm.connect();
    client.send(request('PLAY', URL, 1, [`Session: ${farm.proxy.publicId(0, 'S1')}`]));
    expect(await client.message()).toBe(answer(1, [], '503 Service Unavailable'));
    expect(farm.servers[1]?.connections).toBe(0);
    expect(farm.proxy.told.failed).toHaveLength(1);
  });

  it('in time gives 504, and the connection is good for the next request', async () => {
    const farm = await startFarm({ config: { replyTimeoutMs: 50 } });
    const client = await farm.connect();
    client.send(request('DESCRIBE', URL, 1));
    const server = await accepted(farm);
    await server.message();
    expect(await client.message()).toBe(answer(1, [], '504 Gateway Time-out'));
    await server.rest();
    client.send(request('DESCRIBE', URL, 2));
    const second = await accepted(farm);
    await second.message();
    second.send(answer(2));
    expect(await client.message()).toBe(answer(2));
  });
});

describe('the server closes', () => {
  it.each([
    ['a request without a session', []],
    ['a request of a session', ['Session: S1']],
  ])('an idle connection: %s goes out on a new one', async (_, fields) => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    server.socket.end();
    await server.rest();
    const session = farm.proxy.publicId(0, 'S1');
    client.send(
      request(
        'OPTIONS',
        URL,
        1,
        fields.map(() => `Session: ${session}`),
      ),
    );
    const again = await accepted(farm);
    expect(await again.message()).toBe(request('OPTIONS', URL, 1, fields));
    again.send(answer(1));
    expect(await client.message()).toBe(answer(1));
    expect(farm.proxy.told.failed).toEqual([]);
  });

  it.each([
    ['a request without a session', []],
    ['a request of a session', ['Session: S1']],
  ])('just when %s arrives: it goes out once more, and then no more', async (_, fields) => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const session = farm.proxy.publicId(0, 'S1');
    client.send(
      request(
        'OPTIONS',
        URL,
        1,
        fields.map(() => `Session: ${session}`),
      ),
    );
    await server.message();
    server.socket.resetAndDestroy();
    const again = await accepted(farm);
    expect(await again.message()).toBe(request('OPTIONS', URL, 1, fields));
    again.socket.resetAndDestroy();
    expect(await client.message()).toBe(answer(1, [], '503 Service Unavailable'));
    expect(farm.servers[0]?.connections).toBe(2);
  });

  it('after its answer: a session over UDP goes on', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    server.socket.end();
    await server.rest();
    client.send(request('PLAY', URL, 2, [`Session: ${session}`]));
    const again = await accepted(farm);
    expect(await again.message()).toBe(request('PLAY', URL, 2, ['Session: S1']));
    again.send(answer(2));
    expect(await client.message()).toBe(answer(2));
    expect(sessionCount(farm)).toBe(1);
  });

  it('by sending what is no RTSP: 502, and the next request gets a new connection', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send('HTTP/1.1 400 Bad Request\r\n\r\n');
    expect(await client.message()).toBe(answer(1, [], '502 Bad Gateway'));
    client.send(request('DESCRIBE', URL, 2));
    const again = await accepted(farm);
    await again.message();
    again.send(answer(2));
    await client.message();
  });
});

describe('what the client sends', () => {
  const long = 'x'.repeat(9_000);
  it.each([
    ['a TLS hello', '\x16\x03\x01\x02\x00', '400 Bad Request'],
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n', '400 Bad Request'],
    ['a header line beyond the limit', `OPTIONS * RTSP/1.0\r\nX: ${long}\r\n\r\n`, '400 Bad Request'],
    ['too many headers', `OPTIONS * RTSP/1.0\r\n${'X: y\r\n'.repeat(200)}\r\n`, '400 Bad Request'],
    ['a URL beyond the limit', `OPTIONS rtsp://${long.slice(0, 3_000)} RTSP/1.0\r\n\r\n`, '414 Request-URI Too Large'],
    [
      'a body beyond the limit',
      'ANNOUNCE * RTSP/1.0\r\nContent-Length: 300000\r\n\r\n',
      '413 Request Entity Too Large',
    ],
  ])('is %s: it gets its status, then FIN, and no server hears of it', async (_, bytes, status) => {
    const farm = await startFarm();
    const client = await farm.connect();
    client.send(bytes);
    client.send('and more that nobody reads'.repeat(1000));
    expect(await client.rest()).toBe(rtsp([`RTSP/1.0 ${status}`]));
    expect(client.error).toBeUndefined();
    expect(farm.servers[0]?.connections).toBe(0);
    expect(farm.proxy.proxy.counters.badInput).toBe(1);
  });

  it('before a fault is answered first', async () => {
    const { client, server } = await meet(await startFarm());
    client.send(`${request('OPTIONS', URL, 1)}\x01`);
    await server.message();
    server.send(answer(1));
    expect(await client.rest()).toBe(answer(1) + rtsp(['RTSP/1.0 400 Bad Request']));
    expect(await server.rest()).toBe('');
  });

  it.each([
    ['half a head', 'OPTIONS * RTSP/1.0\r\nCSe'],
    ['half a body', 'ANNOUNCE * RTSP/1.0\r\nContent-Length: 9\r\n\r\nv=0'],
    ['half a frame', '$\0\0'],
  ])('stays %s: 408 when its time is over', async (_, half) => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    client.send(request('OPTIONS', URL, 1) + half);
    await server.message();
    farm.proxy.pass(60_000);
    server.send(answer(1));
    await client.message();
    farm.proxy.pass(1);
    farm.proxy.pass(9_999);
    farm.proxy.pass(1);
    expect(client.over).toBe(false);
    farm.proxy.pass(1);
    expect(await client.rest()).toBe(rtsp(['RTSP/1.0 408 Request Time-out']));
    expect(farm.proxy.logged('PENSTOCK_ERR_REQUEST_TIMEOUT')).toHaveLength(1);
  });

  it('is left in its socket while too much of it waits, and that does not count as slow', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const count = 40;
    const all = Array.from({ length: count }, (_, cseq) => request('OPTIONS', URL, cseq)).join('');
    client.send(`${all}OPTIONS * RTSP/1.0\r\nCSeq: ${count}\r\n`);
    await server.message();
    for (let i = 0; i < 3; i++) farm.proxy.pass(20_000);
    client.send('\r\n');
    for (let cseq = 0; cseq <= count; cseq++) {
      server.send(answer(cseq));
      expect(await client.message()).toBe(answer(cseq));
      if (cseq < count) await server.message();
    }
  });

  it('is never read: a client that makes us keep too much is cut off', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    client.socket.pause();
    const body = 'x'.repeat(200_000);
    const question = rtsp(['SET_PARAMETER * RTSP/1.0', 'CSeq: 1', `Content-Length: ${body.length}`], body);
    for (let n = 0; n < 100; n++) server.send(question);
    await vi.waitFor(() => expect(farm.proxy.proxy.connections).toBe(0), { timeout: 4_000, interval: 5 });
  });

  it('is nothing for long: a connection without a session ends, one with a session does not', async () => {
    const farm = await startFarm({ sockets: new FakeSockets(), config: { idleTimeoutMs: 900_000 } });
    const { client, server } = await meet(farm);
    const { client: idle } = await meet(farm);
    await setUp(client, server);
    farm.proxy.pass(121_000);
    expect(await idle.rest()).toBe('');
    await pass(client, server, request('OPTIONS', URL, 2), answer(2));
  });
});

describe('a connection without a session', () => {
  it.each(['draining', 'disabled', 'down'] as const)('leaves a service that is %s', async (state) => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    farm.proxy.rows.setState(0, state);
    client.send(request('DESCRIBE', URL, 1));
    const other = await accepted(farm, 1);
    expect(await other.message()).toBe(request('DESCRIBE', URL, 1));
    other.send(answer(1));
    await client.message();
    expect(await server.rest()).toBe('');
    expect([farm.proxy.load(0), farm.proxy.load(1)]).toEqual([0, 1]);
  });

  it('stays with a service that is at its limit because of this very connection', async () => {
    const farm = await startFarm({ servers: 2 });
    farm.proxy.rows.setMaxSessions(0, 1);
    const { client, server } = await meet(farm);
    await pass(client, server, request('DESCRIBE', URL, 1), answer(1));
    await setUp(client, server, { cseq: 2 });
  });

  it('with a session stays with its service in whatever state', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    farm.proxy.rows.setState(0, 'draining');
    await pass(client, server, request('OPTIONS', URL, 2), answer(2));
    await pass(client, server, request('TEARDOWN', URL, 3, [`Session: ${session}`]), answer(3));
    client.send(request('DESCRIBE', URL, 4));
    const other = await accepted(farm, 1);
    expect(await other.message(), 'and leaves it after its TEARDOWN').toBe(request('DESCRIBE', URL, 4));
  });

  it('that began with OPTIONS * goes where url-hash leads its first path, and stays there', async () => {
    const farm = await startFarm({ servers: 8, config: balancedBy('url-hash') });
    const place = (path: string) => farm.proxy.vserver.pick({ clientIp: '127.0.0.1', path })?.index as number;
    const paths = Array.from({ length: 8 }, (_, n) => `/p${n}`).filter((path) => place(path) !== place(''));
    const [path = '', other = ''] = [paths[0], paths.find((each) => place(each) !== place(paths[0] as string))];
    const { client, server } = await meet(farm, place(''));
    const asked = request('DESCRIBE', `rtsp://edge.example${path}`, 1);
    client.send(asked);
    const chosen = await accepted(farm, place(path));
    expect(await chosen.message()).toBe(asked);
    chosen.send(answer(1));
    await client.message();
    expect(await server.rest()).toBe('');
    await pass(client, chosen, request('DESCRIBE', `rtsp://edge.example${other}`, 2), answer(2));
    await pass(client, chosen, request('OPTIONS', '*', 3), answer(3));
    expect(farm.proxy.services.map((service) => service.load())).toEqual(
      farm.proxy.services.map(({ index }) => (index === place(path) ? 1 : 0)),
    );
  });
});

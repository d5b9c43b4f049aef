import { describe, expect, it } from 'vitest';
import { SessionTable } from '../../../../src/session/session-table.js';
import { FakeSockets } from '../../../support/fake-sockets.js';
import type { Peer } from '../../../support/peer.js';
import { answer, type Farm, field, meet, pass, request, setUp, startFarm, URL } from './farm.js';

const sessions = (farm: Farm) => [...farm.proxy.table.ownSessions()].map((slot) => farm.proxy.table.read(slot));

/** The session is used at another worker too. */
function openElsewhere({ proxy: { region } }: Farm, serverId: string): void {
  const client = { ip: '127.0.0.1', port: 1 };
  new SessionTable(region, 1).openSession({ vserver: 0, service: 0, serverId, controlUrl: URL, client, timeoutSec: 0 });
}

describe('SETUP over UDP', () => {
  it('keeps the numbers of both sides where they are free, and names us as the source', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { asked, transport, session } = await setUp(client, server);
    expect(asked).toBe('RTP/AVP;unicast;client_port=20500-20501');
    expect(transport).toBe('RTP/AVP;unicast;client_port=20500-20501;server_port=20600-20601;source=127.0.0.1');
    expect(session).toBe(farm.proxy.publicId(0, 'S1'));
    expect(farm.proxy.engine.streams.get(0)).toMatchObject({
      server: { rtp: { port: 20500 }, rtcp: { port: 20501 } },
      client: { rtp: { port: 20600 }, rtcp: { port: 20601 } },
    });
  });

  it('takes other numbers where they are in use, and gives the client its own back', async () => {
    const sockets = new FakeSockets();
    sockets.taken.add(20501).add(20600);
    const farm = await startFarm({ sockets });
    const { client, server } = await meet(farm);
    const { asked, transport } = await setUp(client, server);
    expect(asked).toBe('RTP/AVP;unicast;client_port=20000-20001');
    expect(transport).toBe('RTP/AVP;unicast;client_port=20500-20501;server_port=20002-20003;source=127.0.0.1');
  });

  it('never shows destination= to a server, nor where the server is to the client', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { asked, transport } = await setUp(client, server, {
      transport: 'RTP/AVP;unicast;destination=192.0.2.66;client_port=20500-20501;mode="PLAY"',
      reply: ';destination=127.0.0.1;source=127.0.0.1;server_port=20600',
    });
    expect(asked).toBe('RTP/AVP;unicast;client_port=20500-20501;mode="PLAY"');
    expect(transport).toBe(
      'RTP/AVP;unicast;client_port=20500-20501;mode="PLAY";destination=192.0.2.66;source=127.0.0.1;server_port=20600-20601',
    );
  });

  it('works with real sockets too', async () => {
    const farm = await startFarm({ config: { portPolicy: 'pool' } });
    const { client, server } = await meet(farm);
    const { asked, transport } = await setUp(client, server);
    expect(asked).toMatch(/^RTP\/AVP;unicast;client_port=20\d{3}-20\d{3}$/);
    expect(transport).toMatch(
      /^RTP\/AVP;unicast;client_port=20500-20501;server_port=20\d{3}-20\d{3};source=127\.0\.0\.1$/,
    );
    expect(farm.proxy.media.size).toBe(4);
  });

  it('releases the pairs of alternatives that the server did not choose', async () => {
    const sockets = new FakeSockets();
    const farm = await startFarm({ sockets });
    const { client, server } = await meet(farm);
    const two =
      'RTP/AVP;unicast;client_port=20500-20501,RTP/AVP;unicast;client_port=20502-20503,RTP/AVP/TCP;interleaved=0-1';
    client.send(request('SETUP', URL, 1, [`Transport: ${two}`]));
    expect(field(await server.message(), 'Transport')).toBe(two);
    server.send(
      answer(1, ['Transport: RTP/AVP;unicast;client_port=20502-20503;server_port=20600-20601', 'Session: S1']),
    );
    expect(field(await client.message(), 'Transport')).toContain('client_port=20502-20503;server_port=20600-20601');
    expect(sockets.ports).toEqual([20502, 20503, 20600, 20601]);
  });

  it.each([
    ['refused by the server', '461 Unsupported transport'],
    ['redirected', '302 Moved Temporarily'],
    ['failed', '500 Internal Server Error'],
  ])('leaves nothing bound and no session where it was %s', async (_, status) => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const asked = request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']);
    expect((await pass(client, server, asked, answer(1, [], status)))[1]).toBe(answer(1, [], status));
    expect(farm.proxy.media.size).toBe(0);
    expect(sessions(farm)).toEqual([]);
    const failed = status.startsWith('5') ? [`origin-0: SETUP answered ${status}`] : [];
    expect(farm.proxy.told.failed).toEqual(failed);
    await setUp(client, server, { cseq: 2 });
    expect(farm.proxy.told.worked).toEqual(failed.map(() => 'origin-0'));
  });

  it.each([
    ['without a Transport', [], '400 Bad Request'],
    ['of multicast alone', ['Transport: RTP/AVP;multicast'], '461 Unsupported transport'],
  ])('%s is refused and reaches no server', async (_, fields, status) => {
    const { client, server } = await meet(await startFarm());
    client.send(request('SETUP', URL, 1, fields) + request('OPTIONS', URL, 2));
    expect(await client.message()).toBe(answer(1, [], status));
    expect(await server.message()).toBe(request('OPTIONS', URL, 2));
    server.send(answer(2));
    await client.message();
  });
});

describe('an answer to SETUP that we cannot fulfil', () => {
  it.each([
    ['has no Transport', ['Session: S1'], '502 Bad Gateway'],
    ['is multicast', ['Session: S1', 'Transport: RTP/AVP;multicast;port=20600-20601'], '461 Unsupported transport'],
    ['has no Session', ['Transport: RTP/AVP;server_port=20600-20601'], '502 Bad Gateway'],
  ])(
    'because it %s becomes an error, and the server is told that nobody wants its stream',
    async (_, fields, status) => {
      const farm = await startFarm();
      const { client, server } = await meet(farm);
      const uri = `${URL}/track1`;
      const asked = request('SETUP', uri, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']);
      expect((await pass(client, server, asked, answer(1, fields)))[1]).toBe(answer(1, [], status));
      expect(farm.proxy.media.size).toBe(0);
      expect(sessions(farm)).toEqual([]);
      if (fields.includes('Session: S1')) {
        expect(await server.message()).toBe(request('TEARDOWN', uri, 1, ['Session: S1']));
      }
    },
  );

  it('because its Session is longer than a row holds becomes 502', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const long = 'x'.repeat(129);
    const asked = request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']);
    const told = answer(1, [`Session: ${long}`, 'Transport: RTP/AVP;unicast;server_port=20600-20601']);
    expect((await pass(client, server, asked, told))[1]).toBe(answer(1, [], '502 Bad Gateway'));
    expect(farm.proxy.logged('PENSTOCK_ERR_SESSION_ID_TOO_LONG')).toHaveLength(1);
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, [`Session: ${long}`]));
    expect(farm.proxy.media.size).toBe(0);
  });

  it('because the engine cannot take its sockets becomes 500, without a session on any side', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    farm.proxy.engine.fault = new Error('the vault is gone');
    const asked = request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']);
    const told = answer(1, ['Session: S1', 'Transport: RTP/AVP;unicast;server_port=20600-20601']);
    expect((await pass(client, server, asked, told))[1]).toBe(answer(1, [], '500 Internal Server Error'));
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
    expect(farm.proxy.media.size).toBe(0);
    expect(sessions(farm)).toEqual([]);
  });

  it('ends only its own stream where the session has others', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    farm.proxy.engine.fault = new Error('the vault is gone');
    const fields = ['Transport: RTP/AVP;unicast;client_port=20502-20503', `Session: ${session}`];
    const told = answer(2, ['Session: S1', 'Transport: RTP/AVP;unicast;server_port=20602-20603']);
    await pass(client, server, request('SETUP', `${URL}/track2`, 2, fields), told);
    expect(await server.message()).toBe(request('TEARDOWN', `${URL}/track2`, 1, ['Session: S1']));
    expect(sessions(farm)).toHaveLength(1);
    expect(farm.proxy.engine.streams.size).toBe(1);
  });
});

describe('exhaustion', () => {
  it.each(['server', 'client'])(
    'of ports of the %s side gives 453, leaves nothing bound, and later SETUPs work',
    async (side) => {
      const sockets = new FakeSockets();
      const farm = await startFarm({ sockets, config: { mediaPorts: { min: 20_000, max: 20_003 } } });
      const { client, server } = await meet(farm);
      if (side === 'server') sockets.taken.add(20_001).add(20_002);
      client.send(request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']));
      if (side === 'client') {
        await server.message();
        sockets.taken.add(20_003);
        server.send(answer(1, ['Transport: RTP/AVP;unicast;server_port=20600-20601', 'Session: S1']));
      }
      expect(await client.message()).toBe(answer(1, [], '453 Not Enough Bandwidth'));
      expect(sockets.ports).toEqual([]);
      expect(farm.proxy.logged('PENSTOCK_ERR_PORTS_EXHAUSTED')).toHaveLength(1);
      expect(farm.proxy.ports.counters.exhausted).toBe(1);
      if (side === 'client') {
        expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
        server.send(answer(1));
      }
      sockets.taken.clear();
      await setUp(client, server, { cseq: 2, serverId: 'S2' });
      expect(sockets.ports.sort()).toEqual([20_000, 20_001, 20_002, 20_003]);
    },
  );

  it('of rows gives 453, and a row that is freed can be taken', async () => {
    const farm = await startFarm({ config: { portPolicy: 'pool' } });
    const { client, server } = await meet(farm);
    const rows = farm.proxy.table.stats().freeSessions;
    for (let i = 0; i < rows; i++) await setUp(client, server, { serverId: `S${i}` });
    const asked = request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']);
    const told = answer(1, ['Transport: RTP/AVP;unicast;server_port=20600-20601', 'Session: more']);
    expect((await pass(client, server, asked, told))[1]).toBe(answer(1, [], '453 Not Enough Bandwidth'));
    expect(field(await server.message(), 'Session')).toBe('more');
    server.send(answer(1));
    expect(farm.proxy.media.size).toBe(4 * rows);
    const teardown = request('TEARDOWN', URL, 2, [`Session: ${farm.proxy.publicId(0, 'S0')}`]);
    await pass(client, server, teardown, answer(2));
    await setUp(client, server, { serverId: 'again', cseq: 3 });
  });
});

describe('a session', () => {
  it('aggregates several SETUPs, and TEARDOWN of its URL ends them all', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    const more = { session, uri: `${URL}/track2`, transport: 'RTP/AVP;unicast;client_port=20502-20503' };
    expect((await setUp(client, server, { cseq: 2, ...more })).session).toBe(session);
    expect(sessions(farm)).toMatchObject([{ serverId: 'S1', service: 0, controlUrl: URL }]);
    expect(farm.proxy.load(0)).toBe(1);
    expect(farm.proxy.engine.streams.size).toBe(2);
    const teardown = request('TEARDOWN', URL, 3, [`Session: ${session}`]);
    const told = answer(3, ['Session: S1', 'Connection: close']);
    expect(await pass(client, server, teardown, told)).toEqual([
      request('TEARDOWN', URL, 3, ['Session: S1']),
      answer(3, [`Session: ${session}`, 'Connection: close']),
    ]);
    expect(sessions(farm)).toEqual([]);
    expect(farm.proxy.engine.streams.size).toBe(0);
  });

  it('goes on with its other streams when one is torn down', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    await setUp(client, server, { cseq: 2, session, uri: `${URL}/track2` });
    const one = request('TEARDOWN', `${URL}/track1`, 3, [`Session: ${session}`]);
    await pass(client, server, one, answer(3));
    expect(farm.proxy.engine.streams.size).toBe(1);
    expect(sessions(farm)).toHaveLength(1);
    await pass(client, server, request('TEARDOWN', `${URL}/track2`, 4, [`Session: ${session}`]), answer(4));
    expect(sessions(farm)).toEqual([]);
  });

  it('loses one stream when that is torn down over another connection, and ends with its own URL there', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    await setUp(client, server, { cseq: 2, session, uri: `${URL}/track2` });
    const second = await farm.connect();
    second.send(request('TEARDOWN', `${URL}/track1`, 3, [`Session: ${session}`]));
    const other = (await farm.servers[0]?.accepted()) as Peer;
    await other.message();
    other.send(answer(3));
    await second.message();
    expect(farm.proxy.table.stats()).toMatchObject({ sessions: 1, streams: 1 });
    await pass(second, other, request('TEARDOWN', `${URL}/`, 4, [`Session: ${session}`]), answer(4));
    expect(farm.proxy.table.stats()).toMatchObject({ sessions: 0, streams: 0 });
  });

  it('replaces a stream whose URL is set up again', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    const before = farm.proxy.table.streamsOf(0);
    const { asked } = await setUp(client, server, { cseq: 2, session });
    expect(asked, 'the old pair is still open').toBe('RTP/AVP;unicast;client_port=20000-20001');
    expect(farm.proxy.engine.streams.size).toBe(1);
    expect(farm.proxy.table.streamsOf(0)).not.toEqual(before);
  });

  it.each(['401 Unauthorized', '455 Method Not Valid in This State', '302 Moved Temporarily'])(
    'survives a TEARDOWN that is answered %s',
    async (status) => {
      const farm = await startFarm({ sockets: new FakeSockets() });
      const { client, server } = await meet(farm);
      const { session } = await setUp(client, server);
      const teardown = request('TEARDOWN', URL, 2, [`Session: ${session}`]);
      await pass(client, server, teardown, answer(2, [], status));
      expect(sessions(farm)).toHaveLength(1);
    },
  );

  it.each(['404 Not Found', '454 Session Not Found', '501 Not Implemented'])(
    'is gone after a TEARDOWN that is answered %s',
    async (status) => {
      const farm = await startFarm({ sockets: new FakeSockets() });
      const { client, server } = await meet(farm);
      const { session } = await setUp(client, server);
      const teardown = request('TEARDOWN', URL, 2, [`Session: ${session}`]);
      await pass(client, server, teardown, answer(2, [], status));
      expect(sessions(farm)).toEqual([]);
    },
  );

  it.each(['PLAY', 'SETUP'])('is gone when the server answers a %s with 454', async (method) => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    const fields = ['Transport: RTP/AVP;unicast;client_port=20500-20501', `Session: ${session}`];
    await pass(client, server, request(method, URL, 2, fields), answer(2, [], '454 Session Not Found'));
    expect(sessions(farm)).toEqual([]);
  });

  it('is torn down by the URL of its PLAY, unless that was of one stream, or too long for a row', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    await setUp(client, server, { cseq: 2, session, uri: `${URL}/track2` });
    const play = async (uri: string) => {
      const asked = request('PLAY', uri, 3, [`Session: ${session}`]);
      expect((await pass(client, server, asked, answer(3)))[1]).toBe(answer(3));
      return sessions(farm)[0]?.controlUrl;
    };
    expect(await play(`${URL}/?x=1`)).toBe(`${URL}/?x=1`);
    expect(await play(`${URL}/track2`)).toBe(`${URL}/?x=1`);
    expect(await play(`${URL}/${'x'.repeat(600)}`)).toBe(`${URL}/?x=1`);
  });

  it('is kept alive by its requests from any connection, and ends when they cease', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    const second = await farm.connect();
    const keepAlive = (cseq: number) => request('GET_PARAMETER', URL, cseq, [`Session: ${session}`]);
    second.send(keepAlive(0));
    const other = (await farm.servers[0]?.accepted()) as Peer;
    await other.message();
    other.send(answer(0));
    await second.message();
    for (const cseq of [1, 2, 3]) {
      farm.proxy.pass(50_000);
      await pass(second, other, keepAlive(cseq), answer(cseq));
    }
    expect(sessions(farm)).toHaveLength(1);
    farm.proxy.pass(61_000);
    expect(sessions(farm)).toEqual([]);
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });

  it('that ends is told to other workers only where they hold a row of it', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    for (const [serverId, told] of [
      ['S1', []],
      ['S2', ['0 S2']],
    ] as const) {
      const { session } = await setUp(client, server, { serverId });
      if (told.length > 0) openElsewhere(farm, serverId);
      await pass(client, server, request('TEARDOWN', URL, 9, [`Session: ${session}`]), answer(9));
      expect(farm.proxy.told.ended).toEqual(told);
    }
  });

  it('that ends by itself tells its server over a new connection where the old one is lost', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    await setUp(client, server);
    client.send(request('DESCRIBE', URL, 2));
    await server.message();
    farm.proxy.pass(61_000);
    server.send('RTSP/1.0 200');
    server.socket.end();
    expect(await client.message()).toBe(answer(2, [], '502 Bad Gateway'));
    const other = (await farm.servers[0]?.accepted()) as Peer;
    expect(await other.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });

  it('waits longer than the timeout that its server announced', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    await setUp(client, server, { serverId: 'S1;timeout=300' });
    farm.proxy.pass(300_000);
    expect(sessions(farm)).toHaveLength(1);
    farm.proxy.pass(11_000);
    expect(sessions(farm)).toEqual([]);
  });

  it('that ends by itself tells its server after the request that is being answered', async () => {
    const farm = await startFarm({ sockets: new FakeSockets() });
    const { client, server } = await meet(farm);
    await setUp(client, server);
    await setUp(client, server, { cseq: 2, serverId: 'S2', uri: 'rtsp://edge.example/b' });
    client.send(request('DESCRIBE', URL, 3));
    await server.message();
    farm.proxy.pass(61_000);
    client.send(request('OPTIONS', URL, 4));
    server.send(answer(3));
    expect(await client.message()).toBe(answer(3));
    for (const [cseq, uri] of [URL, 'rtsp://edge.example/b'].entries()) {
      expect(await server.message()).toBe(request('TEARDOWN', uri, cseq + 1, [`Session: S${cseq + 1}`]));
      server.send(answer(cseq + 1));
    }
    expect(await server.message()).toBe(request('OPTIONS', URL, 4));
    server.send(answer(4));
    expect(await client.message()).toBe(answer(4));
  });
});

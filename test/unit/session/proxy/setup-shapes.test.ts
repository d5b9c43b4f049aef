import { describe, expect, it } from 'vitest';
import { FakeSockets } from '../../../support/fake-sockets.js';
import type { Peer } from '../../../support/peer.js';
import { answer, type Farm, field, frame, INTERLEAVED, meet, pass, request, setUp, startFarm, URL } from './farm.js';

const sessions = (farm: Farm) => [...farm.proxy.table.ownSessions()].map((slot) => farm.proxy.table.read(slot));
const serverIds = (farm: Farm) => sessions(farm).map((session) => session?.serverId);

async function fakeFarm(): Promise<{ farm: Farm; client: Peer; server: Peer }> {
  const farm = await startFarm({ sockets: new FakeSockets() });
  return { farm, ...(await meet(farm)) };
}

describe('alternatives of a SETUP', () => {
  it('in several fields, with commas in quotes, reach the server in one', async () => {
    const { client, server } = await fakeFarm();
    const fields = [
      'Transport: RTP/AVP;unicast;client_port=20500-20501;mode="PLAY,RECORD",RTP/AVP/TCP;interleaved=0-1',
      'transport: RTP/SAVP;unicast;client_port=20502-20503;x="a;b,c"',
    ];
    client.send(request('SETUP', URL, 1, fields));
    const asked = await server.message();
    expect(asked.match(/^transport:.*$/gim)).toEqual([
      'Transport: RTP/AVP;unicast;client_port=20500-20501;mode="PLAY,RECORD",RTP/AVP/TCP;interleaved=0-1,RTP/SAVP;unicast;client_port=20502-20503;x="a;b,c"',
    ]);
    server.send(answer(1, ['Transport: RTP/SAVP;unicast;client_port=20502-20503;server_port=20600', 'Session: S1']));
    expect(field(await client.message(), 'Transport')).toBe(
      'RTP/SAVP;unicast;client_port=20502-20503;server_port=20600-20601;source=127.0.0.1',
    );
  });

  it('are tried again by the client where the server refuses: 461 passes with what it says', async () => {
    const { farm, client, server } = await fakeFarm();
    const asked = request('SETUP', URL, 1, ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1']);
    const refused = answer(1, ['Transport: RTP/AVP;unicast', 'Server: VLC'], '461 Unsupported transport');
    expect((await pass(client, server, asked, refused))[1]).toBe(refused);
    await setUp(client, server, { cseq: 2 });
    expect(farm.proxy.engine.streams.size).toBe(1);
  });
});

describe('an answer to SETUP', () => {
  it('with a second Transport shows the client one', async () => {
    const { client, server } = await fakeFarm();
    client.send(request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']));
    await server.message();
    const transport = (port: number) => `Transport: RTP/AVP;source=10.9.9.9;server_port=${port}-${port + 1}`;
    server.send(answer(1, [transport(20600), 'Session: S1', transport(20700)]));
    const told = await client.message();
    expect(told.match(/^Transport:.*$/gm)).toEqual(['Transport: RTP/AVP;source=127.0.0.1;server_port=20600-20601']);
  });

  it('may be any success', async () => {
    const { farm, client, server } = await fakeFarm();
    const asked = request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501;mode=record']);
    const fields = ['Transport: RTP/AVP;unicast;client_port=20500-20501;server_port=20600-20601', 'Session: S1'];
    const [, told] = await pass(client, server, asked, answer(1, fields, '201 Created'));
    expect(field(told, 'Transport')).toContain('source=127.0.0.1');
    expect(serverIds(farm)).toEqual(['S1']);
  });

  it.each([
    '455 Method Not Valid in This State',
    '459 Aggregate operation not allowed',
    '460 Only aggregate operation allowed',
  ])('%s passes, and the session stays as it was', async (status) => {
    const { farm, client, server } = await fakeFarm();
    const { session } = await setUp(client, server);
    const fields = ['Transport: RTP/AVP/TCP;unicast;interleaved=0-1', `Session: ${session}`];
    const asked = request('SETUP', `${URL}/track1`, 2, fields);
    expect((await pass(client, server, asked, answer(2, [], status)))[1]).toBe(answer(2, [], status));
    expect(farm.proxy.engine.streams.size).toBe(1);
    for (const method of ['PLAY', 'TEARDOWN']) {
      const more = request(method, URL, 3, [`Session: ${session}`]);
      expect((await pass(client, server, more, answer(3, [], status)))[1]).toBe(answer(3, [], status));
    }
    expect(sessions(farm)).toHaveLength(1);
  });
});

describe('what is not RTP', () => {
  it('is relayed over UDP without a look at its packets', async () => {
    const { farm, client, server } = await fakeFarm();
    const transport = 'MP2T/H2221/UDP;unicast;client_port=20500';
    const seen = await setUp(client, server, { transport, reply: ';server_port=20600' });
    expect(seen.asked).toBe(transport);
    expect(seen.transport).toBe(`${transport};server_port=20600;source=127.0.0.1`);
    const { legFlags } = farm.proxy.region.layout;
    const flags = farm.proxy.table.readStream(0)?.legs.map(({ flags }) => flags & legFlags.opaque);
    expect(flags).toEqual(new Array(4).fill(legFlags.opaque));
    expect(farm.proxy.engine.streams.size).toBe(1);
    await setUp(client, server, { cseq: 2, serverId: 'S2', transport: 'RTP/AVP;unicast;client_port=20502-20503' });
    expect(farm.proxy.table.readStream(1)?.legs.map(({ flags }) => flags & legFlags.opaque)).toEqual([0, 0, 0, 0]);
  });

  it.each([
    ['RAW/RAW/TCP;unicast;interleaved=0-1', ''],
    ['x-real-rdt/tcp;mode=play', ';interleaved=0'],
  ])('is relayed in the connection: %s', async (transport, reply) => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    await setUp(client, server, { transport, reply });
    server.send(frame(0, 'anything'));
    expect(await client.frame()).toEqual(frame(0, 'anything'));
  });

  it('passes as it is where it names neither ports nor channels', async () => {
    const { farm, client, server } = await fakeFarm();
    const seen = await setUp(client, server, { transport: 'x-unknown/y;a="b,c"', reply: ';server=here' });
    expect(seen.asked).toBe('x-unknown/y;a="b,c"');
    expect(seen.transport).toBe('x-unknown/y;a="b,c";server=here');
    expect(farm.proxy.media.size).toBe(0);
    await pass(client, server, request('TEARDOWN', URL, 2, [`Session: ${seen.session}`]), answer(2));
    expect(sessions(farm)).toEqual([]);
  });
});

describe('a stream that is set up again with another transport', () => {
  it('goes from UDP to the connection', async () => {
    const { farm, client, server } = await fakeFarm();
    const { session } = await setUp(client, server);
    await setUp(client, server, { ...INTERLEAVED, cseq: 2, session });
    expect(farm.proxy.engine.streams.size).toBe(0);
    expect(sessions(farm)).toMatchObject([{ streams: 1, interleaved: true }]);
    server.send(frame(0, 'media'));
    expect(await client.frame()).toEqual(frame(0, 'media'));
    client.socket.end();
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });

  it('goes from the connection to UDP, and then outlives its connection', async () => {
    const { farm, client, server } = await fakeFarm();
    const { session } = await setUp(client, server, INTERLEAVED);
    await setUp(client, server, { cseq: 2, session });
    expect(farm.proxy.engine.streams.size).toBe(1);
    expect(sessions(farm)).toMatchObject([{ streams: 1, interleaved: false }]);
    server.send(frame(0, 'late'));
    await pass(client, server, request('OPTIONS', '*', 3), answer(3));
    expect(client.pending, 'the channel is gone').toBe('');
    client.socket.end();
    await server.rest();
    expect(sessions(farm)).toHaveLength(1);
  });

  it('over another connection leaves its former ports', async () => {
    const { farm, client, server } = await fakeFarm();
    const { session } = await setUp(client, server);
    await setUp(client, server, {
      ...{ cseq: 2, session, uri: `${URL}/track2` },
      transport: 'RTP/AVP;unicast;client_port=20502-20503',
    });
    client.socket.end();
    await server.rest();
    const again = await farm.connect();
    const fields = ['Transport: RTP/AVP;unicast;client_port=20504-20505', `Session: ${session}`];
    again.send(request('SETUP', `${URL}/track1`, 3, fields));
    const other = (await farm.servers[0]?.accepted()) as Peer;
    const asked = field(await other.message(), 'Transport');
    other.send(answer(3, [`Transport: ${asked};server_port=20604-20605`, 'Session: S1']));
    await again.message();
    const ports = [...farm.proxy.engine.streams.values()].map(({ server }) => server?.rtp.port);
    expect(ports.sort()).toEqual([20502, 20504]);
  });

  it('and is interleaved as long as one stream of the session is', async () => {
    const { farm, client, server } = await fakeFarm();
    const { session } = await setUp(client, server, INTERLEAVED);
    const second = { session, uri: `${URL}/track2` };
    await setUp(client, server, { ...second, cseq: 2, transport: 'RTP/AVP/TCP;interleaved=2-3', reply: '' });
    await setUp(client, server, { session, cseq: 3 });
    expect(sessions(farm)).toMatchObject([{ streams: 2, interleaved: true }]);
    client.socket.end();
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });
});

describe('a server that gives each stream of a presentation a session of its own', () => {
  async function siblings(): Promise<{ farm: Farm; client: Peer; server: Peer; ids: string[] }> {
    const { farm, client, server } = await fakeFarm();
    const ids: string[] = [];
    for (const [index, serverId] of ['S1', 'S2', 'S3'].entries()) {
      const port = 20500 + 2 * index;
      const named = ids[0] === undefined ? {} : { session: ids[0] };
      const transport = `RTP/AVP;unicast;client_port=${port}-${port + 1}`;
      const uri = `${URL}/track${index + 1}`;
      ids.push((await setUp(client, server, { ...named, cseq: index + 1, uri, transport, serverId })).session);
    }
    return { farm, client, server, ids };
  }

  it('shows the client each id, and takes requests with any of them', async () => {
    const { farm, client, server, ids } = await siblings();
    expect(ids).toEqual(['S1', 'S2', 'S3'].map((id) => farm.proxy.publicId(0, id)));
    for (const [index, id] of ids.entries()) {
      const asked = request('PLAY', URL, 4 + index, [`Session: ${id}`]);
      const [seen] = await pass(client, server, asked, answer(4 + index));
      expect(field(seen, 'Session')).toBe(`S${index + 1}`);
    }
  });

  it('keeps them all as long as the client speaks of one', async () => {
    const { farm, client, server, ids } = await siblings();
    for (let cseq = 4; cseq < 8; cseq++) {
      farm.proxy.pass(50_000);
      const id = ids[cseq % 2];
      await pass(client, server, request('GET_PARAMETER', URL, cseq, [`Session: ${id}`]), answer(cseq));
    }
    expect(serverIds(farm)).toEqual(['S1', 'S2', 'S3']);
  });

  it('is told of the others when the client tears one down', async () => {
    const { farm, client, server, ids } = await siblings();
    await pass(client, server, request('TEARDOWN', URL, 4, [`Session: ${ids[1]}`]), answer(4));
    expect(serverIds(farm)).toEqual([]);
    const told: string[] = [];
    for (const cseq of [1, 2]) {
      told.push(await server.message());
      server.send(answer(cseq, [], '454 Session Not Found'));
    }
    expect(told).toEqual(['S1', 'S3'].map((id, at) => request('TEARDOWN', URL, at + 1, [`Session: ${id}`])));
  });

  it('keeps apart what the client set up apart', async () => {
    const { farm, client, server } = await fakeFarm();
    const { session } = await setUp(client, server);
    const other = { transport: 'RTP/AVP;unicast;client_port=20502-20503', serverId: 'S2' };
    await setUp(client, server, { ...other, cseq: 2, uri: `${URL}/track2` });
    await pass(client, server, request('TEARDOWN', `${URL}/track1`, 3, [`Session: ${session}`]), answer(3));
    expect(serverIds(farm)).toEqual(['S2']);
  });
});

describe('a TEARDOWN of our own', () => {
  it('is made for each stream where the server allows no other (459)', async () => {
    const { farm, client, server } = await fakeFarm();
    const { session } = await setUp(client, server);
    const second = { uri: `${URL}/track2`, transport: 'RTP/AVP;unicast;client_port=20502-20503' };
    await setUp(client, server, { ...second, cseq: 2, session });
    farm.proxy.pass(61_000);
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
    server.send(answer(1, [], '459 Aggregate operation not allowed'));
    for (const cseq of [2, 3]) {
      expect(await server.message()).toBe(request('TEARDOWN', `${URL}/track${cseq - 1}`, cseq, ['Session: S1']));
      server.send(answer(cseq, [], '459 Aggregate operation not allowed'));
    }
    await pass(client, server, request('OPTIONS', '*', 9), answer(9));
  });
});

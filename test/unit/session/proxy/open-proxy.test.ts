import type { NetConnectOpts, Socket } from 'node:net';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { formatBinary, formatLine } from '../../../../src/proxy-protocol/header.js';
import { FakeSockets } from '../../../support/fake-sockets.js';
import type { Peer } from '../../../support/peer.js';
import { answer, type Farm, frame, INTERLEAVED, meet, pass, request, setUp, startFarm } from './farm.js';

// Nothing that a peer can write makes the appliance connect or send anywhere but to the farm and the session's own
// client. What it connects to is seen at node:net; what the engine may send to stands in the stream rows.

const STRANGER = '192.0.2.66';
const ABROAD = `rtsp://${STRANGER}:8554/live`;
const US = '127.0.0.1';

const dialled = vi.hoisted(() => [] as string[]);

vi.mock('node:net', async (original) => {
  const net = await original<typeof import('node:net')>();
  const connect = (options: NetConnectOpts & { host?: string; port: number }, ...rest: []): Socket => {
    dialled.push(`${options.host}:${options.port}`);
    return net.connect(options, ...rest);
  };
  return { ...net, connect };
});

beforeEach(() => {
  dialled.length = 0;
});

async function startHostileFarm(options: Parameters<typeof startFarm>[0] = {}): Promise<Farm> {
  const farm = await startFarm({ sockets: new FakeSockets(), ...options });
  farm.connect = async () => {
    const client = await farm.proxy.connect();
    dialled.pop(); // the client's own connection, to us
    return client;
  };
  return farm;
}

const farmOf = ({ servers }: Farm): string[] => servers.map(({ host, port }) => `${host}:${port}`);

/** Every address that packets of an open stream may be sent to before anything has come from anywhere. */
function destinations({ proxy }: Farm): string[] {
  const streams = [...proxy.table.streamSlotsOf(0)].flatMap((slot) => proxy.table.readStream(slot) ?? []);
  return [...new Set(streams.flatMap(({ legs }) => legs.flatMap(({ declared }) => declared?.ip ?? [])))];
}

function expectNobodyElse(farm: Farm): void {
  expect(dialled.filter((to) => !farmOf(farm).includes(to))).toEqual([]);
  expect(destinations(farm).filter((ip) => ip !== US)).toEqual([]);
}

/** All that a client can say. Where the server must be asked, it is the farm's. */
describe('a client cannot lead elsewhere by', () => {
  it('an absolute URI', async () => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    for (const [cseq, method] of ['DESCRIBE', 'OPTIONS', 'ANNOUNCE', 'PLAY', 'TEARDOWN', 'FOO'].entries()) {
      const [asked] = await pass(client, server, request(method, ABROAD, cseq), answer(cseq));
      expect(asked).toBe(request(method, ABROAD, cseq));
    }
    expectNobodyElse(farm);
  });

  it('an absolute URI of a session, whose TEARDOWN is ours later', async () => {
    const farm = await startHostileFarm({ config: { teardownOnDisconnect: true } });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server, { uri: `${ABROAD}/track1` });
    await pass(client, server, request('PLAY', ABROAD, 2, [`Session: ${session}`]), answer(2));
    server.destroy(); // so that the TEARDOWN needs a connection of its own
    await vi.waitFor(() => expect(server.socket.closed).toBe(true));
    client.destroy();
    const again = (await farm.servers[0]?.accepted()) as Peer;
    const teardown = await again.message();
    expect(teardown).toContain(`TEARDOWN ${ABROAD} RTSP/1.0`);
    expectNobodyElse(farm);
  });

  it.each(['prefix', 'suffix'] as const)('a Session id that names a stranger (%s)', async (sessionId) => {
    const farm = await startHostileFarm({ config: { sessionId } });
    const client = await farm.connect();
    const hex = 'c0000242216a'; // 192.0.2.66 port 8554
    for (const [cseq, id] of [`${hex}S1`, `S1${hex}`].entries()) {
      client.send(request('PLAY', ABROAD, cseq, [`Session: ${id}`]));
      expect(await client.message()).toBe(answer(cseq, [], '454 Session Not Found'));
    }
    expect(dialled).toEqual([]);
  });

  it('a sealed Session id of its own making', async () => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    const flipped = [...session].map(
      (char, at) => `${session.slice(0, at)}${char === '0' ? '1' : '0'}${session.slice(at + 1)}`,
    );
    for (const [cseq, id] of flipped.entries()) {
      client.send(request('PLAY', ABROAD, cseq + 2, [`Session: ${id}`]));
      expect(await client.message()).toBe(answer(cseq + 2, [], '454 Session Not Found'));
    }
    expectNobodyElse(farm);
  });

  it.each([
    ['destination=', `RTP/AVP;unicast;destination=${STRANGER};client_port=20500-20501`],
    ['source=', `RTP/AVP;unicast;source=${STRANGER};server_port=7000-7001;client_port=20500-20501`],
    ['destination= without ports', `RTP/AVP;unicast;destination=${STRANGER}`],
    ['destination= of a publisher', `RTP/AVP;unicast;destination=${STRANGER};client_port=20500-20501;mode=record`],
    ['a quoted destination=', `RTP/AVP;unicast;destination="${STRANGER}";client_port=20500-20501`],
    ['two destination=', `RTP/AVP;unicast;destination=${US};destination=${STRANGER};client_port=20500-20501`],
    ['destination= in another case', `RTP/AVP;unicast;DESTINATION=${STRANGER};client_port=20500-20501`],
    ['destination= with spaces', `RTP/AVP;unicast; destination = ${STRANGER} ;client_port=20500-20501`],
    ['destination= inside quotes', `RTP/AVP;unicast;x=";destination=${STRANGER};y";client_port=20500-20501`],
    ['destination= behind a quote that nobody closes', `RTP/AVP;client_port=20500-20501;x=";destination=${STRANGER}`],
    ['destination= in the place of a protocol', `destination=${STRANGER};RTP/AVP;client_port=20500,RTP/AVP;unicast`],
    ['destination= in a quoted protocol', `RTP/"AVP;destination=${STRANGER},RTP/AVP",RTP/AVP;unicast`],
    [
      'destination= of a second alternative',
      `RTP/AVP/TCP;interleaved=0-1,RTP/AVP;unicast;destination=${STRANGER};client_port=20500-20501`,
    ],
  ])('%s', async (_, transport) => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    const { asked } = await setUp(client, server, { transport });
    expect(asked).not.toContain(STRANGER);
    expectNobodyElse(farm);
  });

  it('destination= of a transport that we do not know', async () => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    const transport = `RAW/RAW/UDP;unicast;destination=${STRANGER};client_port=20500-20501`;
    const { asked } = await setUp(client, server, { transport, reply: '' });
    expect(asked).not.toContain(STRANGER);
    expectNobodyElse(farm);
  });

  it('fields that name other places', async () => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    const fields = ['Location', 'Content-Base', 'Referer', 'Via', 'X-Forwarded-For', 'Host', 'Proxy-Require'];
    const asked = request(
      'DESCRIBE',
      '*',
      1,
      fields.map((name) => `${name}: ${ABROAD}`),
    );
    expect((await pass(client, server, asked, answer(1)))[0]).toBe(asked);
    expectNobodyElse(farm);
  });
});

describe('a PROXY header cannot lead elsewhere', () => {
  const ends = { source: { ip: STRANGER, port: 8_554 }, destination: { ip: STRANGER, port: 8_554 } };
  const header = formatBinary(ends);
  const bytesOf = (from: number, ...more: number[]) => Buffer.from([...header.subarray(0, from), ...more]);

  it.each([
    ['v1', formatLine(ends)],
    ['v2', header],
  ])('of a client that nobody trusts (%s)', async (_, bytes) => {
    const farm = await startHostileFarm({ config: { proxyProtocolFrom: ['10.0.0.5/32'] } });
    const client = await farm.connect();
    client.send(Buffer.concat([bytes, Buffer.from(request('OPTIONS', ABROAD, 1))]));
    expect(await client.rest()).toBe('');
    expect(dialled).toEqual([]);
  });

  it.each([
    ['LOCAL, with addresses', Buffer.concat([bytesOf(12, 0x20), header.subarray(13)])],
    ['of unix sockets', Buffer.concat([bytesOf(13, 0x31, 0, 216), Buffer.alloc(216, STRANGER)])],
    ['UNKNOWN, with addresses', Buffer.from(`PROXY UNKNOWN ${STRANGER} ${STRANGER} 8554 8554\r\n`)],
  ])('of a trusted proxy, %s', async (_, bytes) => {
    const farm = await startHostileFarm({ config: { proxyProtocolFrom: [`${US}/32`] } });
    const client = await farm.connect();
    client.send(Buffer.concat([bytes, Buffer.from(request('OPTIONS', ABROAD, 0))]));
    const server = (await farm.servers[0]?.accepted()) as Peer;
    await server.message();
    server.send(answer(0));
    await client.message();
    await setUp(client, server);
    expectNobodyElse(farm);
  });

  it.each([
    ['cut short', header.subarray(0, -1)],
    ['with half of its addresses', Buffer.concat([bytesOf(14, 0, 6), header.subarray(16, 22)])],
    ['of every host', formatBinary({ ...ends, source: { ip: '255.255.255.255', port: 1 } })],
    ['of no host', formatBinary({ ...ends, source: { ip: '0.0.0.0', port: 1 } })],
    ['of no host, as IPv6 writes it', formatBinary({ ...ends, source: { ip: '::ffff:0.0.0.0', port: 1 } })],
    ['of a group', formatBinary({ ...ends, source: { ip: 'ff02::1', port: 1 } })],
    [
      'with a field that reaches beyond it',
      Buffer.concat([bytesOf(14, 0, 15), header.subarray(16), Buffer.from([2, 0, 9])]),
    ],
  ])('of a trusted proxy, %s', async (_, bytes) => {
    const farm = await startHostileFarm({ config: { proxyProtocolFrom: [`${US}/32`] } });
    const client = await farm.connect();
    client.send(bytes);
    client.socket.end();
    expect(await client.rest()).toBe('');
    expect(dialled).toEqual([]);
  });

  it('by what it tells of the client beside the addresses', async () => {
    const [client4, name] = ['192.0.2.7', Buffer.from(STRANGER)];
    const addresses = formatBinary({ source: { ip: client4, port: 1 }, destination: { ip: STRANGER, port: 554 } });
    const fields = Buffer.concat([addresses.subarray(16), Buffer.from([2, 0, name.length]), name]);
    const farm = await startHostileFarm({ config: { proxyProtocolFrom: [`${US}/32`] } });
    const client = await farm.connect();
    client.send(Buffer.concat([bytesOf(14, 0, fields.length), fields, Buffer.from(request('OPTIONS', ABROAD, 0))]));
    const server = (await farm.servers[0]?.accepted()) as Peer;
    await server.message();
    server.send(answer(0));
    await client.message();
    const { asked } = await setUp(client, server);
    expect(asked).not.toContain(STRANGER);
    expect(destinations(farm).sort()).toEqual([US, client4]);
    expect(dialled.filter((to) => !farmOf(farm).includes(to))).toEqual([]);
  });
});

describe('a server cannot lead elsewhere by', () => {
  it.each([
    ['source=', `;source=${STRANGER};server_port=20600-20601`],
    ['destination=', `;destination=${STRANGER};server_port=20600-20601`],
    ['both', `;destination=${STRANGER};source=${STRANGER};server_port=20600-20601`],
    ['source= of the same address in IPv6', `;source=::ffff:${STRANGER};server_port=20600-20601`],
  ])('%s in its answer to SETUP', async (_, reply) => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    const offers = ['20500-20501;mode=play', '20502-20503;mode=record'];
    for (const [cseq, offer] of offers.entries()) {
      const asked = { cseq, serverId: `S${cseq}`, transport: `RTP/AVP;unicast;client_port=${offer}`, reply };
      const { transport } = await setUp(client, server, asked);
      expect(transport).not.toContain(STRANGER);
      expect(destinations(farm)).toEqual([US]);
    }
    expectNobodyElse(farm);
    expect(farm.proxy.proxy.counters.foreignSources).toBe(reply.includes('source') ? offers.length : 0);
  });

  it('but an address that the configuration gives it for media is believed', async () => {
    const farm = await startHostileFarm({ mediaSources: [STRANGER] });
    const { client, server } = await meet(farm);
    await setUp(client, server, { reply: `;source=${STRANGER};server_port=20600-20601` });
    expect(destinations(farm)).toEqual([US, STRANGER]);
    expect(farm.proxy.proxy.counters.foreignSources).toBe(0);
  });

  const moves = ['301 Moved Permanently', '302 Moved Temporarily', '303 See Other', '305 Use Proxy'];
  const modes = ['rewrite', 'follow', 'pass'] as const;
  it.each(modes.flatMap((redirects) => moves.map((status) => [status, redirects] as const)))(
    '%s, where redirections are to %s',
    async (status, redirects) => {
      const farm = await startHostileFarm({ config: { redirects } });
      const { client, server } = await meet(farm);
      const moved = answer(1, [`Location: ${ABROAD}`], status);
      expect((await pass(client, server, request('DESCRIBE', '*', 1), moved))[1]).toBe(moved);
      await pass(client, server, request('DESCRIBE', '*', 2), answer(2));
      expectNobodyElse(farm);
    },
  );

  it('REDIRECT, a Content-Base, an RTP-Info or an SDP that names a stranger', async () => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    const sdp = `v=0\r\no=- 1 1 IN IP4 ${STRANGER}\r\nc=IN IP4 ${STRANGER}\r\nm=video 7000 RTP/AVP 96\r\na=control:${ABROAD}/1\r\n`;
    const fields = [`Content-Base: ${ABROAD}/`, 'Content-Type: application/sdp', `Content-Length: ${sdp.length}`];
    await pass(client, server, request('DESCRIBE', '*', 1), answer(1, fields) + sdp);
    const { session } = await setUp(client, server, { uri: `${ABROAD}/1`, cseq: 2 });
    await pass(
      client,
      server,
      request('PLAY', ABROAD, 3, [`Session: ${session}`]),
      answer(3, [`RTP-Info: url=${ABROAD}/1;seq=1`, 'Session: S1']),
    );
    server.send(request('REDIRECT', ABROAD, 9, [`Location: ${ABROAD}`, 'Session: S1']));
    await client.message();
    client.send(answer(9));
    await server.message();
    await pass(client, server, request('GET_PARAMETER', ABROAD, 4, [`Session: ${session}`]), answer(4));
    expectNobodyElse(farm);
  });

  it('frames on channels that nobody set up', async () => {
    const farm = await startHostileFarm();
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    server.send(frame(7, 'stray'));
    server.send(frame(0, 'media'));
    expect((await client.frame()).toString('latin1', 4)).toBe('media');
    expect(farm.proxy.proxy.counters.framesUnknownChannel).toBe(1);
    expectNobodyElse(farm);
  });
});

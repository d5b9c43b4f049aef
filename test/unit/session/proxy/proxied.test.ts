import { describe, expect, it, vi } from 'vitest';
import type { Config } from '../../../../src/config/types.js';
import { formatBinary, formatLine } from '../../../../src/proxy-protocol/header.js';
import { FakeSockets } from '../../../support/fake-sockets.js';
import type { Peer, ScriptedServer } from '../../../support/peer.js';
import { baseLimits } from '../../../support/proxy-harness.js';
import {
  answer,
  type Farm,
  type FarmOptions,
  field,
  INTERLEAVED,
  meet,
  request,
  setUp,
  startFarm,
  URL,
} from './farm.js';

// Clients whose connections a trusted proxy forwards, and servers that are told whose connection it is.

const PROXY = '127.0.0.1';
const CLIENT = { ip: '192.0.2.7', port: 7_777 };
const CLIENT6 = { ip: '2001:db8::7', port: 7_777 };
const REACHED = { ip: '198.51.100.1', port: 554 };
const REACHED6 = { ip: '2001:db8::1', port: 554 };
const ENDS = { source: CLIENT, destination: REACHED };

/** Every client of it comes through a proxy, and says so first. */
async function behindProxy(options: FarmOptions = {}, ends = ENDS): Promise<Farm> {
  const config: Partial<Config> = { proxyProtocolFrom: [`${PROXY}/32`], ...options.config };
  const farm = await startFarm({ sockets: new FakeSockets(), ...options, config });
  farm.connect = async () => {
    const client = await farm.proxy.connect();
    client.send(formatBinary(ends));
    return client;
  };
  return farm;
}

/** Where media of the open streams may go before any came, and where it is received: each side's addresses. */
function mediaOf({ proxy }: Farm) {
  const streams = [...proxy.table.streamSlotsOf(0)].flatMap((slot) => proxy.table.readStream(slot) ?? []);
  const sides = (legs: (typeof streams)[number]['legs']) => [legs.slice(0, 2), legs.slice(2)];
  return streams.map(({ legs }) =>
    sides(legs).map((side) => [...new Set(side.map(({ local, declared }) => `${declared?.ip} at ${local?.ip}`))]),
  );
}

describe('a client behind a proxy', () => {
  it('is who media goes to, and who the session and the log name', async () => {
    const farm = await behindProxy();
    const { client, server } = await meet(farm);
    await setUp(client, server);
    expect(mediaOf(farm)).toEqual([[[`${CLIENT.ip} at ${PROXY}`], [`${PROXY} at ${PROXY}`]]]);
    const [slot] = [...farm.proxy.table.ownSessions()];
    expect(farm.proxy.table.read(slot as number)?.client).toEqual(CLIENT);
    client.send(request('PLAY', URL, 3, ['Session: nonsense']));
    await client.message();
    expect(farm.proxy.logged('PENSTOCK_ERR_SESSION_NOT_FOUND')).toMatchObject([{ client: CLIENT.ip }]);
  });

  it.each([
    ['names itself', `destination=${PROXY}`, PROXY],
    ['names another', 'destination=192.0.2.66', CLIENT.ip],
  ])('a proxy that relays media too %s', async (_, destination, ip) => {
    const farm = await behindProxy();
    const { client, server } = await meet(farm);
    await setUp(client, server, { transport: `RTP/AVP;unicast;${destination};client_port=20500-20501` });
    expect(mediaOf(farm)[0]?.[0]).toEqual([`${ip} at ${PROXY}`]);
  });

  it('stays who it is for the successor of its worker, and so does its proxy', async () => {
    const farm = await behindProxy({ wires: true });
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server, INTERLEAVED);
    await vi.waitFor(() => expect(farm.wireEngine?.wires.size).toBe(2));
    await farm.takeOver();
    const transport = (destination: string) => `RTP/AVP;unicast;${destination}client_port=20500-20501`;
    await setUp(client, server, { cseq: 2, session, uri: `${URL}/track2`, transport: transport('') });
    const relayed = { session, uri: `${URL}/track3`, transport: transport(`destination=${PROXY};`) };
    await setUp(client, server, { cseq: 3, ...relayed });
    const udp = mediaOf(farm).map(([clientSide]) => clientSide?.[0]);
    expect(udp).toEqual(expect.arrayContaining([`${CLIENT.ip} at ${PROXY}`, `${PROXY} at ${PROXY}`]));
  });

  it('has the connections that one client may have, however many the proxy has', async () => {
    const limits = { clientConnections: 2 };
    const farm = await behindProxy({ config: { limits: { ...baseLimits, ...limits } } });
    const greet = async (ip: string): Promise<Peer> => {
      const client = await farm.proxy.connect();
      client.send(formatBinary({ ...ENDS, source: { ip, port: 7_777 } }));
      client.send(request('PLAY', URL, 1, ['Session: nonsense']));
      return client;
    };
    const refusals = async (ip: string) => {
      const replies = [];
      for (let n = 0; n < 3; n++) replies.push(await (await greet(ip)).message().catch(() => 'closed'));
      return replies.map((text) => text.includes('454'));
    };
    expect(await refusals('192.0.2.7')).toEqual([true, true, false]);
    expect(await refusals('192.0.2.8')).toEqual([true, true, false]);
    expect(farm.proxy.proxy.admission.counters.connectionsRefused).toBe(2);
  });
});

describe('a client of another family than the proxy', () => {
  const ends = { source: CLIENT6, destination: REACHED6 };

  it('gets 461 for UDP, and the server is not asked; interleaved media passes', async () => {
    const farm = await behindProxy({}, ends);
    const { client, server } = await meet(farm);
    client.send(request('SETUP', `${URL}/track1`, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']));
    expect(await client.message()).toBe(answer(1, [], '461 Unsupported transport'));
    expect(farm.proxy.logged('PENSTOCK_ERR_TRANSPORT')[0]?.msg).toContain('media-address');
    const both = 'RTP/AVP;unicast;client_port=20500-20501,RTP/AVP/TCP;unicast;interleaved=0-1';
    const { asked } = await setUp(client, server, { ...INTERLEAVED, cseq: 2, transport: both });
    expect(asked).toBe('RTP/AVP/TCP;unicast;interleaved=0-1');
  });

  it('gets media at an address of its family', async () => {
    const mediaAddresses = [
      { side: 'client' as const, address: '127.0.0.5' },
      { side: 'client' as const, address: '2001:db8::9', advertised: '2001:db8:1::9' },
    ];
    const farm = await behindProxy({ config: { mediaAddresses } }, ends);
    const { client, server } = await meet(farm);
    const { transport } = await setUp(client, server);
    expect(transport).toContain('source=2001:db8:1::9');
    expect(mediaOf(farm)[0]?.[0]).toEqual([`${CLIENT6.ip} at 2001:db8::9`]);
  });
});

describe('a server that is told', () => {
  let header: Buffer;
  let client: Peer;
  let server: Peer;
  let farm: Farm;

  async function start(version: 'v1' | 'v2', config: Partial<Config> = {}): Promise<void> {
    header = version === 'v1' ? formatLine(ENDS) : formatBinary(ENDS);
    farm = await behindProxy({ proxyProtocol: version, config });
    client = await farm.connect();
    client.send(request('OPTIONS', '*', 0));
    server = await (farm.servers[0] as ScriptedServer).accepted();
  }

  it.each(['v1', 'v2'] as const)(
    'hears by %s of the client and what that connected to, before anything else',
    async (version) => {
      await start(version);
      expect(await server.bytes(header.length)).toEqual(header);
      expect(await server.message()).toBe(request('OPTIONS', '*', 0));
      server.send(answer(0));
      expect(await client.message()).toBe(answer(0));
    },
  );

  it('is told to send media to us, not to the client whom it knows', async () => {
    await start('v2', { mediaAddresses: [{ side: 'server', address: PROXY, advertised: '203.0.113.9' }] });
    await server.bytes(header.length);
    await server.message();
    server.send(answer(0));
    await client.message();
    const { asked } = await setUp(client, server, {
      transport: 'RTP/AVP;unicast;destination=192.0.2.66;client_port=20500-20501',
    });
    expect(asked).toBe('RTP/AVP;unicast;client_port=20500-20501;destination=203.0.113.9');
    expect(mediaOf(farm)[0]?.[1]).toEqual([`${PROXY} at ${PROXY}`]);
  });

  it('hears that a TEARDOWN of ours is our own', async () => {
    await start('v2', { teardownOnDisconnect: true });
    await server.bytes(header.length);
    await server.message();
    server.send(answer(0));
    await client.message();
    await setUp(client, server);
    server.destroy();
    await vi.waitFor(() => expect(server.socket.closed).toBe(true));
    client.destroy();
    const again = await (farm.servers[0] as ScriptedServer).accepted();
    const local = formatBinary(undefined);
    expect(await again.bytes(local.length)).toEqual(local);
    expect(field(await again.message(), 'Session')).toBe('S1');
  });
});

it.each([
  ['UDP', undefined, ';source=127.0.0.1;server_port=20600-20601'],
  ['TCP', INTERLEAVED.transport, ';source=127.0.0.1'],
])('over %s a client is told the address that the NAT has', async (_, transport, reply) => {
  const mediaAddresses = [{ side: 'client' as const, address: '127.0.0.1', advertised: '203.0.113.77' }];
  const farm = await startFarm({ sockets: new FakeSockets(), config: { mediaAddresses } });
  const { client, server } = await meet(farm);
  const told = await setUp(client, server, { ...(transport ? { transport } : {}), reply });
  expect(told.transport).toContain(';source=203.0.113.77');
});

it('a server that is told nothing gets no header and no destination=', async () => {
  const farm = await behindProxy();
  const { client, server } = await meet(farm);
  const { asked } = await setUp(client, server);
  expect(asked).toBe('RTP/AVP;unicast;client_port=20500-20501');
});

import { describe, expect, it } from 'vitest';
import type { LimitsConfig } from '../../../../src/config/types.js';
import { FakeSockets } from '../../../support/fake-sockets.js';
import { type Peer, rtsp } from '../../../support/peer.js';
import { baseLimits } from '../../../support/proxy-harness.js';
import { answer, type Farm, INTERLEAVED, meet, pass, request, setUp, startFarm, URL } from './farm.js';

// Each limit at n and at n + 1, and somebody else who notices nothing.

const OTHER = '127.0.0.2';

async function limited(limits: Partial<LimitsConfig>): Promise<Farm> {
  const config = { limits: { ...baseLimits, ...limits }, idleTimeoutMs: 900_000, clientTimeoutMs: 900_000 };
  return await startFarm({ sockets: new FakeSockets(), config });
}

/** A client of another address, and its connection to the server. */
async function bystander(farm: Farm): Promise<() => Promise<void>> {
  const client = await farm.proxy.connect(OTHER);
  const server = await ask(farm, client, 1);
  let cseq = 1;
  return async () => {
    await pass(client, server, request('OPTIONS', URL, ++cseq), answer(cseq));
  };
}

/** The first request of a client, answered. */
async function ask(farm: Farm, client: Peer, cseq: number): Promise<Peer> {
  client.send(request('OPTIONS', URL, cseq));
  const server = (await farm.servers[0]?.accepted()) as Peer;
  await server.message();
  server.send(answer(cseq));
  await client.message();
  return server;
}

describe('a message', () => {
  const MIB = 1 << 20;
  const start = 'SET_PARAMETER * RTSP/1.0\r\n';
  const cases: [keyof LimitsConfig, number, (size: number) => string, string][] = [
    ['line', 300, (size) => `${start}X: ${'x'.repeat(size - 3)}\r\n\r\n`, '400 Bad Request'],
    ['headers', 10, (size) => `${start}${'X: y\r\n'.repeat(size)}\r\n`, '400 Bad Request'],
    ['head', 300, (size) => `${start}X: ${'x'.repeat(size - start.length - 7)}\r\n\r\n`, '400 Bad Request'],
    ['uri', 100, (size) => `SET_PARAMETER ${'u'.repeat(size)} RTSP/1.0\r\n\r\n`, '414 Request-URI Too Large'],
    [
      'body',
      50,
      (size) => `${start}Content-Length: ${size}\r\n\r\n${'b'.repeat(size)}`,
      '413 Request Entity Too Large',
    ],
  ];
  it.each(cases)('has a limited %s', async (name, limit, write, status) => {
    const farm = await limited({ [name]: limit });
    const pass = await bystander(farm);
    const { client, server } = await meet(farm);
    client.send(write(limit));
    expect(await server.message()).toBe(write(limit));
    server.send(answer(0));
    await client.message();
    client.send(write(limit + 1));
    expect(await client.rest()).toBe(rtsp([`RTSP/1.0 ${status}`]));
    expect(await server.rest()).toBe('');
    expect(farm.proxy.proxy.counters.badInput).toBe(1);
    await pass();
  });

  it.each(cases)('of a server has the same %s', async (name, limit, write) => {
    const farm = await limited({ [name]: limit });
    const { client, server } = await meet(farm);
    server.send(write(limit));
    expect(await client.message()).toBe(write(limit));
    client.send(request('OPTIONS', URL, 5));
    await server.message();
    server.send(write(limit + 1));
    expect(await client.message()).toBe(answer(5, [], '502 Bad Gateway'));
  });

  it('must be complete in time', async () => {
    const farm = await limited({ messageMs: 3_000 });
    const { client, server } = await meet(farm);
    const passes = await bystander(farm);
    client.send(`${request('OPTIONS', URL, 1)}OPTIONS * RT`);
    await server.message();
    server.send(answer(1));
    await client.message();
    farm.proxy.pass(1);
    farm.proxy.pass(3_000);
    expect(client.over).toBe(false);
    farm.proxy.pass(1);
    expect(await client.rest()).toBe(rtsp(['RTSP/1.0 408 Request Time-out']));
    await passes();
    expect(farm.proxy.proxy.counters.badInput).toBe(1);
  });

  it('of ours may wait for a client that does not read, up to a limit', async () => {
    const farm = await limited({ messageBacklog: MIB });
    const pass = await bystander(farm);
    const { client, server } = await meet(farm);
    client.socket.pause();
    const question = rtsp(['SET_PARAMETER * RTSP/1.0', 'CSeq: 1', 'Content-Length: 200000'], 'x'.repeat(200_000));
    // What the kernel takes does not count: so much of it that no kernel takes all.
    for (let sent = 0; sent < 64 * MIB && farm.proxy.proxy.connections === 2; sent += question.length) {
      server.send(question);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(() => farm.proxy.proxy.connections).toBe(1);
    await pass();
  });
});

describe('a connection', () => {
  it('must ask something soon', async () => {
    const farm = await limited({ firstRequestMs: 5_000, idleMs: 60_000 });
    const { client: asked, server } = await meet(farm);
    const silent = await farm.connect();
    await expect.poll(() => farm.proxy.proxy.connections).toBe(2);
    farm.proxy.pass(5_000);
    expect(farm.proxy.proxy.connections).toBe(2);
    farm.proxy.pass(1);
    expect(await silent.rest()).toBe('');
    expect(farm.proxy.proxy.counters.connectionsIdle).toBe(1);
    await pass(asked, server, request('OPTIONS', URL, 1), answer(1));
  });

  it('without a session must go on asking', async () => {
    const farm = await limited({ firstRequestMs: 5_000, idleMs: 60_000 });
    const { client } = await meet(farm);
    const other = await meet(farm);
    await setUp(other.client, other.server, INTERLEAVED);
    farm.proxy.pass(60_000);
    expect(client.over).toBe(false);
    farm.proxy.pass(1);
    expect(await client.rest()).toBe('');
    expect(farm.proxy.proxy.counters.connectionsIdle).toBe(1);
    await pass(other.client, other.server, request('OPTIONS', URL, 2), answer(2));
  });

  it('may have so many requests waiting; more stay in its socket', async () => {
    const farm = await limited({ pendingRequests: 2 });
    const pass = await bystander(farm);
    const { client, server } = await meet(farm);
    const { counters } = farm.proxy.proxy;
    for (let cseq = 1; cseq <= 3; cseq++) client.send(request('OPTIONS', URL, cseq));
    await server.message(); // the first is asked, two wait
    await pass();
    expect(counters.connectionsHeldBack).toBe(0);
    client.send(request('OPTIONS', URL, 4));
    await expect.poll(() => counters.connectionsHeldBack).toBe(1);
    for (let cseq = 1; cseq <= 4; cseq++) {
      server.send(answer(cseq));
      expect(await client.message()).toBe(answer(cseq));
      if (cseq < 4) await server.message();
    }
    await pass();
  });
});

describe('connections', () => {
  it('in all are as many as may be', async () => {
    const farm = await limited({ connections: 2 });
    const pass = await bystander(farm);
    const { client } = await meet(farm);
    const third = await farm.connect();
    expect(await third.rest()).toBe('');
    expect(farm.proxy.proxy.admission.counters.connectionsRefused).toBe(1);
    await pass();
    client.destroy();
    await expect.poll(() => farm.proxy.proxy.connections).toBe(1);
    await meet(farm);
  });

  it('of one client are as many as may be', async () => {
    const farm = await limited({ clientConnections: 1 });
    const { client } = await meet(farm);
    const second = await farm.connect();
    expect(await second.rest()).toBe('');
    expect(farm.proxy.proxy.admission.counters.connectionsRefused).toBe(1);
    await bystander(farm);
    client.destroy();
    await expect.poll(() => farm.proxy.proxy.connections).toBe(1);
    await meet(farm);
  });
});

describe('sessions of one client', () => {
  const refused = (cseq: number) => answer(cseq, [], '453 Not Enough Bandwidth');
  const setup = (cseq: number, fields: string[] = []) =>
    request('SETUP', `${URL}/track${cseq}`, cseq, ['Transport: RTP/AVP;unicast;client_port=20500', ...fields]);

  it('are as many as may be, over all of its connections', async () => {
    const farm = await limited({ clientSessions: 2 });
    const one = await meet(farm);
    const two = await meet(farm);
    const { session } = await setUp(one.client, one.server, { serverId: 'S1' });
    await setUp(two.client, two.server, { serverId: 'S2' });
    one.client.send(setup(3));
    expect(await one.client.message()).toBe(refused(3));
    expect(one.server.pending, 'the server does not hear of it').toBe('');
    expect(farm.proxy.proxy.admission.counters.sessionsLimited).toBe(1);
    expect(farm.proxy.logged('PENSTOCK_ERR_TOO_MANY_SESSIONS')).toHaveLength(1);
    // One more stream of a session is no session, and another client has its own.
    await setUp(one.client, one.server, { serverId: 'S1', session, uri: `${URL}/track2`, cseq: 4 });
    const other = await farm.proxy.connect(OTHER);
    const server = await ask(farm, other, 1);
    await setUp(other, server, { serverId: 'S3', cseq: 2 });
    await pass(one.client, one.server, request('TEARDOWN', URL, 5, [`Session: ${session}`]), answer(5));
    await setUp(one.client, one.server, { serverId: 'S4', cseq: 6 });
  });

  it('count from the first SETUP on, and not where it came to nothing', async () => {
    const farm = await limited({ clientSessions: 1 });
    const one = await meet(farm);
    const two = await meet(farm);
    one.client.send(setup(1));
    await one.server.message();
    two.client.send(setup(2));
    expect(await two.client.message()).toBe(refused(2));
    one.server.send(answer(1, [], '404 Not Found'));
    await one.client.message();
    await setUp(two.client, two.server, { cseq: 3 });
  });
});

it('a session has as many SETUPs as may be', async () => {
  const farm = await limited({ sessionSetups: 2 });
  const { client, server } = await meet(farm);
  const { session } = await setUp(client, server);
  await setUp(client, server, { session, cseq: 2 });
  client.send(request('SETUP', URL, 3, ['Transport: RTP/AVP;unicast;client_port=20500', `Session: ${session}`]));
  expect(await client.message()).toBe(answer(3, [], '453 Not Enough Bandwidth'));
  expect(server.pending).toBe('');
  expect(farm.proxy.proxy.admission.counters.setupsLimited).toBe(1);
  await setUp(client, server, { serverId: 'S2', cseq: 4 });
  await pass(client, server, request('PLAY', URL, 5, [`Session: ${session}`]), answer(5));
});

it('a client asks as often as it may, over all of its connections', async () => {
  const farm = await limited({ clientRequests: 4 });
  const one = await meet(farm);
  const two = await meet(farm);
  const other = await bystander(farm);
  await pass(one.client, one.server, request('OPTIONS', URL, 1), answer(1));
  await pass(two.client, two.server, request('OPTIONS', URL, 1), answer(1));
  one.client.send(request('OPTIONS', URL, 2));
  expect(await one.client.message()).toBe(answer(2, ['Retry-After: 1'], '503 Service Unavailable'));
  expect(one.server.pending).toBe('');
  expect(farm.proxy.proxy.admission.counters.requestsLimited).toBe(1);
  await other();
  farm.proxy.pass(250);
  await pass(two.client, two.server, request('OPTIONS', URL, 3), answer(3));
  two.client.send(request('OPTIONS', URL, 4));
  expect(await two.client.message()).toContain(' 503 ');
});

it('the rate of a stream is told to the engine', async () => {
  const farm = await limited({ streamRate: 150_001 });
  const { client, server } = await meet(farm);
  await setUp(client, server);
  const { region } = farm.proxy;
  const [slot = -1] = [...farm.proxy.table.streamSlotsOf(0)];
  const rates = [0, 1, 2, 3].map((leg) => region.getU16(region.legAt(slot, leg) + region.layout.leg.maxRate));
  expect(rates).toEqual([2, 2, 2, 2]);
});

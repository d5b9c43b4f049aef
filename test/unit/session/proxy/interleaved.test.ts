import { describe, expect, it, vi } from 'vitest';
import type { Peer } from '../../../support/peer.js';
import { answer, type Farm, frame, INTERLEAVED, meet, pass, request, setUp, startFarm, URL } from './farm.js';

async function interleaved(): Promise<{ farm: Farm; client: Peer; server: Peer; session: string }> {
  const farm = await startFarm();
  const { client, server } = await meet(farm);
  const { session } = await setUp(client, server, INTERLEAVED);
  return { farm, client, server, session };
}

/** A second server on the same client connection: by a session that this farm issued. */
async function secondServer(farm: Farm, client: Peer): Promise<Peer> {
  const session = farm.proxy.publicId(1, 'T1');
  client.send(request('OPTIONS', URL, 50, [`Session: ${session}`]));
  const server = (await farm.servers[1]?.accepted()) as Peer;
  await server.message();
  server.send(answer(50));
  await client.message();
  return server;
}

describe('interleaved frames', () => {
  it('pass both ways, between messages and right behind a body', async () => {
    const { farm, client, server } = await interleaved();
    server.send(Buffer.concat([frame(0, 'a'), frame(1, ''), Buffer.from(request('OPTIONS', '*', 5)), frame(0, '$$')]));
    expect(await client.frame()).toEqual(frame(0, 'a'));
    expect(await client.frame()).toEqual(frame(1, ''));
    expect(await client.message()).toBe(request('OPTIONS', '*', 5));
    expect(await client.frame()).toEqual(frame(0, '$$'));
    client.send(Buffer.concat([frame(1, 'rr'), Buffer.from(answer(5)), frame(0, 'x'.repeat(65_535))]));
    expect(await server.frame()).toEqual(frame(1, 'rr'));
    expect(await server.message()).toBe(answer(5));
    expect(await server.frame()).toEqual(frame(0, 'x'.repeat(65_535)));
    expect(farm.proxy.proxy.counters).toMatchObject({ framesToClient: 3, framesToServer: 2, framesDropped: 0 });
    expect(farm.proxy.engine.handedOver).toBe(0);
  });

  it('right behind the answer to SETUP and PLAY reach the client right behind it', async () => {
    const farm = await startFarm();
    const { client, server } = await meet(farm);
    client.send(request('SETUP', URL, 1, [`Transport: ${INTERLEAVED.transport}`]));
    await server.message();
    const told = answer(1, ['Session: S1', `Transport: ${INTERLEAVED.transport}`]);
    server.send(Buffer.concat([Buffer.from(told), frame(0, 'early'), Buffer.from(request('OPTIONS', '*', 5))]));
    expect(await client.message()).toBe(told.replace('S1', farm.proxy.publicId(0, 'S1')));
    expect(await client.frame()).toEqual(frame(0, 'early'));
    expect(await client.message()).toBe(request('OPTIONS', '*', 5));
    expect(farm.proxy.proxy.counters.framesUnknownChannel).toBe(0);
  });

  it('of channels that nobody set up are dropped and counted', async () => {
    const { farm, client, server } = await interleaved();
    server.send(Buffer.concat([frame(2, 'no'), frame(255, 'no'), frame(1, 'yes')]));
    expect(await client.frame()).toEqual(frame(1, 'yes'));
    client.send(Buffer.concat([frame(7, 'no'), frame(0, 'yes')]));
    expect(await server.frame()).toEqual(frame(0, 'yes'));
    expect(farm.proxy.proxy.counters.framesUnknownChannel).toBe(3);
  });

  it('before any SETUP are dropped, and the connection works on', async () => {
    const farm = await startFarm();
    const client = await farm.connect();
    client.send(Buffer.concat([frame(0, 'early'), Buffer.from(request('OPTIONS', '*', 1))]));
    const server = (await farm.servers[0]?.accepted()) as Peer;
    expect(await server.message()).toBe(request('OPTIONS', '*', 1));
    server.send(answer(1));
    await client.message();
    expect(farm.proxy.proxy.counters.framesUnknownChannel).toBe(1);
  });

  it('of a second server with the same numbers get other ones towards the client', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    const other = await secondServer(farm, client);
    const session = farm.proxy.publicId(1, 'T1');
    const { asked, transport } = await setUp(client, other, { ...INTERLEAVED, session, serverId: 'T1', cseq: 2 });
    expect([asked, transport]).toEqual([INTERLEAVED.transport, 'RTP/AVP/TCP;unicast;interleaved=2-3']);
    server.send(frame(0, 'first'));
    expect(await client.frame()).toEqual(frame(0, 'first'));
    other.send(frame(0, 'second'));
    expect(await client.frame()).toEqual(frame(2, 'second'));
    client.send(Buffer.concat([frame(3, 'to second'), frame(1, 'to first')]));
    expect(await other.frame()).toEqual(frame(1, 'to second'));
    expect(await server.frame()).toEqual(frame(1, 'to first'));
  });

  it('stop with the TEARDOWN of their stream, and the channels can be set up again', async () => {
    const { farm, client, server, session } = await interleaved();
    const second = { session, uri: `${URL}/track2`, transport: 'RTP/AVP/TCP;interleaved=2-3', reply: '', cseq: 2 };
    await setUp(client, server, second);
    await pass(client, server, request('TEARDOWN', `${URL}/track1`, 3, [`Session: ${session}`]), answer(3));
    server.send(Buffer.concat([frame(0, 'gone'), frame(2, 'here')]));
    expect(await client.frame()).toEqual(frame(2, 'here'));
    await setUp(client, server, { ...second, uri: `${URL}/track3`, transport: INTERLEAVED.transport, cseq: 4 });
    server.send(frame(0, 'again'));
    expect(await client.frame()).toEqual(frame(0, 'again'));
    expect(farm.proxy.table.stats().streams).toBe(2);
  });

  it('stay with the stream that took their channels over when the former one is torn down', async () => {
    const { client, server, session } = await interleaved();
    await setUp(client, server, { ...INTERLEAVED, session, uri: `${URL}/track2`, cseq: 2 });
    await pass(client, server, request('TEARDOWN', `${URL}/track1`, 3, [`Session: ${session}`]), answer(3));
    server.send(frame(0, 'track2'));
    expect(await client.frame()).toEqual(frame(0, 'track2'));
  });

  it('that a slow client does not read are lost whole, and counted', async () => {
    const { farm, client, server } = await interleaved();
    client.socket.pause();
    const sent = 1500;
    for (let n = 0; n < sent; n++) server.send(frame(0, `${String(n).padStart(6, '0')}${'x'.repeat(9_994)}`));
    const { counters } = farm.proxy.proxy;
    await vi.waitFor(() => expect(counters.framesToClient + counters.framesDropped).toBe(sent), { timeout: 20_000 });
    expect(counters.framesDropped).toBeGreaterThan(0);
    client.socket.resume();
    let last = -1;
    for (let n = 0; n < counters.framesToClient; n++) {
      const whole = await client.frame();
      expect(whole.length).toBe(10_004);
      const number = Number(whole.toString('latin1', 4, 10));
      expect(number).toBeGreaterThan(last);
      last = number;
    }
    await pass(client, server, request('OPTIONS', '*', 9), answer(9));
  }, 30_000);

  it('that a client does not read cost it its connection where that is the policy', async () => {
    const farm = await startFarm({ config: { interleavedOverflow: 'close', interleavedBacklog: 65_536 } });
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    client.socket.pause();
    const sending = setInterval(() => server.send(Buffer.concat(Array(100).fill(frame(0, 'x'.repeat(9_994))))), 1);
    await vi.waitFor(() => expect(farm.proxy.proxy.connections).toBe(0), { timeout: 20_000 });
    clearInterval(sending);
    expect(farm.proxy.proxy.counters.framesDropped).toBeGreaterThan(0);
  }, 30_000);

  it('that reach the client keep the session alive, the server alone does not', async () => {
    const { farm, client, server } = await interleaved();
    const sessions = () => farm.proxy.table.stats().sessions;
    for (let i = 0; i < 4; i++) {
      server.send(frame(0, 'x'));
      await client.frame();
      farm.proxy.pass(50_000);
    }
    expect(sessions()).toBe(1);
    farm.proxy.pass(61_000);
    expect(sessions()).toBe(0);
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });
});

describe('an interleaved session', () => {
  it('ends with its client, and the server hears of it on the same connection', async () => {
    const { farm, client, server } = await interleaved();
    client.socket.end();
    expect(await server.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
    server.send(answer(1));
    expect(await server.rest()).toBe('');
    expect(await client.rest()).toBe('');
    expect(farm.proxy.table.stats().sessions).toBe(0);
    expect(farm.servers[0]?.connections).toBe(1);
  });

  it('ends with its server connection, and the client sees the end', async () => {
    const { farm, client, server } = await interleaved();
    server.socket.end();
    expect(await client.rest()).toBe('');
    expect(farm.proxy.table.stats().sessions).toBe(0);
    const again = (await farm.servers[0]?.accepted()) as Peer;
    expect(await again.message()).toBe(request('TEARDOWN', URL, 1, ['Session: S1']));
  });

  it('of one server goes on when the other server is lost', async () => {
    const farm = await startFarm({ servers: 2 });
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    const other = await secondServer(farm, client);
    other.socket.end();
    await other.rest();
    server.send(frame(0, 'on'));
    expect(await client.frame()).toEqual(frame(0, 'on'));
    expect(farm.proxy.table.stats().sessions).toBe(1);
  });

  it('two of them on one connection both end with a TEARDOWN there', async () => {
    const { client, server } = await interleaved();
    await setUp(client, server, { transport: 'RTP/AVP/TCP;interleaved=2-3', reply: '', serverId: 'S2', cseq: 2 });
    client.destroy();
    for (const cseq of [1, 2]) {
      expect(await server.message()).toBe(request('TEARDOWN', URL, cseq, [`Session: S${cseq}`]));
      server.send(answer(cseq));
    }
    expect(await server.rest()).toBe('');
  });
});

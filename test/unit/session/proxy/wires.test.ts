import { describe, expect, it, vi } from 'vitest';
import type { FakeWireEngine } from '../../../support/fake-wire-engine.js';
import type { Peer } from '../../../support/peer.js';
import { answer, type Farm, frame, INTERLEAVED, meet, pass, request, setUp, startFarm, URL } from './farm.js';

const TICK_MS = 500;

interface Moved {
  farm: Farm;
  client: Peer;
  server: Peer;
  session: string;
}

/** An interleaved session, which moves at once. */
async function interleaved(): Promise<Moved> {
  const farm = await startFarm({ wires: true });
  const { client, server } = await meet(farm);
  const { session } = await setUp(client, server, INTERLEAVED);
  await wiresAre(farm, 2);
  return { farm, client, server, session };
}

/** A session over UDP, which moves when it is quiet. */
async function overUdp(): Promise<Moved> {
  const farm = await startFarm({ wires: true });
  const { client, server } = await meet(farm);
  const { session } = await setUp(client, server);
  expect(farm.wireEngine?.wires.size).toBe(0);
  await vi.waitFor(() => {
    farm.proxy.pass(TICK_MS);
    expect(farm.wireEngine?.wires.size).toBe(2);
  });
  return { farm, client, server, session };
}

async function wiresAre(farm: Farm, count: number): Promise<void> {
  await vi.waitFor(() => expect(farm.wireEngine?.wires.size).toBe(count));
}

/** A request within the session and its answer, each passed once. */
async function keepAlive({ client, server, session }: Moved, cseq: number): Promise<void> {
  const sent = request('GET_PARAMETER', URL, cseq, [`Session: ${session}`]);
  const [asked, told] = await pass(client, server, sent, answer(cseq, ['Session: S1']));
  expect(asked).toBe(request('GET_PARAMETER', URL, cseq, ['Session: S1']));
  expect(told).toBe(answer(cseq, [`Session: ${session}`]));
}

async function tearDown({ client, server, session, farm }: Moved, cseq: number): Promise<void> {
  const sent = request('TEARDOWN', URL, cseq, [`Session: ${session}`]);
  expect((await pass(client, server, sent, answer(cseq)))[1]).toBe(answer(cseq));
  expect(farm.proxy.table.stats()).toMatchObject({ sessions: 0 });
}

/** Nothing was said twice: what comes next is what we ask for. */
async function nothingElse(moved: Moved, cseq: number): Promise<void> {
  await keepAlive(moved, cseq);
  expect(moved.client.pending + moved.server.pending).toBe('');
}

/** The ways in which a worker and an engine die with a message that both had and nobody wrote. */
const LOSSES: [string, (farm: Farm, engine: FakeWireEngine) => Promise<void>][] = [
  [
    'the worker dies and then the engine',
    async (farm, engine) => {
      await farm.takeOver();
      await vi.waitFor(() => expect(engine.unheard).toBe(0));
      engine.stuck = false;
      engine.restart();
    },
  ],
  [
    'the engine dies while the successor of the worker begins',
    async (farm, engine) => {
      await farm.takeOver();
      engine.stuck = false;
      engine.restart();
    },
  ],
  [
    'the engine and then the worker dies',
    async (farm, engine) => {
      engine.stuck = false;
      await farm.kill();
      engine.restart();
      await farm.takeOver();
    },
  ],
];

describe.each([
  ['interleaved', interleaved],
  ['over UDP', overUdp],
])('a connection with a session %s', (_, start) => {
  it('goes on in the engine', async () => {
    const moved = await start();
    await keepAlive(moved, 5);
    await tearDown(moved, 6);
  });

  it('is asked by its server, and answers', async () => {
    const { client, server } = await start();
    const [asked, told] = await pass(server, client, request('OPTIONS', URL, 9), answer(9));
    expect([asked, told]).toEqual([request('OPTIONS', URL, 9), answer(9)]);
  });

  it('goes on when its worker dies', async () => {
    const moved = await start();
    await moved.farm.takeOver();
    await keepAlive(moved, 5);
    await moved.farm.takeOver();
    await keepAlive(moved, 6);
    await tearDown(moved, 7);
  });

  it('goes on when the engine dies', async () => {
    const moved = await start();
    moved.farm.wireEngine?.restart();
    await keepAlive(moved, 5);
    moved.farm.wireEngine?.restart();
    await tearDown(moved, 6);
  });

  it.each(['GET_PARAMETER', 'PLAY', 'SET_PARAMETER'])(
    'gets one answer to %s when its worker dies meanwhile',
    async (method) => {
      const moved = await start();
      const { client, server, session, farm } = moved;
      client.send(request(method, URL, 5, [`Session: ${session}`]));
      expect(await server.message()).toBe(request(method, URL, 5, ['Session: S1']));
      await farm.takeOver();
      server.send(answer(5, ['Session: S1']));
      expect(await client.message()).toBe(answer(5, [`Session: ${session}`]));
      await nothingElse(moved, 6);
    },
  );

  it('gets one answer that came while no worker was there', async () => {
    const moved = await start();
    const { client, server, session, farm } = moved;
    client.send(request('PAUSE', URL, 5, [`Session: ${session}`]));
    await server.message();
    await farm.kill();
    server.send(answer(5, ['Session: S1']));
    await vi.waitFor(() => expect([...(farm.wireEngine?.wires.values() ?? [])].every(({ held }) => held)).toBe(true));
    await farm.takeOver();
    expect(await client.message()).toBe(answer(5, [`Session: ${session}`]));
    await nothingElse(moved, 6);
  });

  it('is asked on its behalf once more where its worker died before it could', async () => {
    const moved = await start();
    const { client, server, session, farm } = moved;
    await farm.kill();
    client.send(request('PLAY', URL, 5, [`Session: ${session}`]));
    await farm.takeOver();
    expect(await server.message()).toBe(request('PLAY', URL, 5, ['Session: S1']));
    server.send(answer(5));
    expect(await client.message()).toBe(answer(5));
    await nothingElse(moved, 6);
  });

  it('answers what a server asked by the worker that died', async () => {
    const moved = await start();
    const { client, server, farm } = moved;
    server.send(request('OPTIONS', URL, 9));
    await client.message();
    await farm.takeOver();
    client.send(answer(9));
    expect(await server.message()).toBe(answer(9));
    await nothingElse(moved, 5);
  });

  it('can set up one more stream, also when the worker dies in the middle of it', async () => {
    const moved = await start();
    const { client, server, session, farm } = moved;
    client.send(
      request('SETUP', `${URL}/track2`, 5, [`Transport: RTP/AVP/TCP;interleaved=2-3`, `Session: ${session}`]),
    );
    await server.message();
    await farm.takeOver();
    server.send(answer(5, ['Session: S1', 'Transport: RTP/AVP/TCP;interleaved=2-3']));
    expect(await server.message()).toContain(`SETUP ${URL}/track2`);
    server.send(answer(5, ['Session: S1', 'Transport: RTP/AVP/TCP;interleaved=2-3']));
    expect(await client.message()).toContain('interleaved=2-3');
    server.send(frame(2, 'media'));
    expect(await client.frame()).toEqual(frame(2, 'media'));
    await tearDown(moved, 6);
  });

  it('loses nothing to a ring without room', async () => {
    const moved = await start();
    const engine = moved.farm.wireEngine as NonNullable<Farm['wireEngine']>;
    moved.client.send(request('PLAY', URL, 5, [`Session: ${moved.session}`]));
    engine.full = true;
    setTimeout(() => {
      engine.full = false;
    }, 20);
    await moved.server.message();
    moved.server.send(answer(5));
    expect(await moved.client.message()).toBe(answer(5));
    await nothingElse(moved, 6);
  });

  it.each(LOSSES)('gets one answer when %s', async (_, die) => {
    const moved = await start();
    const { client, server, session, farm } = moved;
    const engine = farm.wireEngine as FakeWireEngine;
    engine.stuck = true;
    client.send(request('PLAY', URL, 5, [`Session: ${session}`]));
    await vi.waitFor(() => expect(engine.unwritten).toBe(1));
    await die(farm, engine);
    expect(await server.message()).toBe(request('PLAY', URL, 5, ['Session: S1']));
    server.send(answer(5, ['Session: S1']));
    expect(await client.message()).toBe(answer(5, [`Session: ${session}`]));
    await nothingElse(moved, 6);
  });

  it.each(LOSSES)('sets up one more stream when %s', async (_, die) => {
    const moved = await start();
    const { client, server, session, farm } = moved;
    const engine = farm.wireEngine as FakeWireEngine;
    engine.stuck = true;
    const transport = `Transport: RTP/AVP/TCP;interleaved=2-3`;
    client.send(request('SETUP', `${URL}/track2`, 5, [transport, `Session: ${session}`]));
    await vi.waitFor(() => expect(engine.unwritten).toBe(1));
    await die(farm, engine);
    // Whose place the SETUP had whose ports are gone is not known to the server.
    let asked = await server.message();
    if (asked.startsWith('OPTIONS * ')) {
      server.send(answer(5));
      asked = await server.message();
    }
    expect(asked).toContain(`SETUP ${URL}/track2`);
    server.send(answer(5, ['Session: S1', transport]));
    expect(await client.message()).toContain('interleaved=2-3');
    await nothingElse(moved, 6);
  });

  it.each(LOSSES)('is asked again for an answer that was on its way to the client when %s', async (_, die) => {
    const moved = await start();
    const { client, server, session, farm } = moved;
    const engine = farm.wireEngine as FakeWireEngine;
    client.send(request('GET_PARAMETER', URL, 5, [`Session: ${session}`]));
    await server.message();
    engine.stuck = true;
    server.send(answer(5, ['Session: S1']));
    await vi.waitFor(() => expect(engine.unwritten).toBe(1));
    await die(farm, engine);
    expect(await server.message()).toBe(request('GET_PARAMETER', URL, 5, ['Session: S1']));
    server.send(answer(5, ['Session: S1']));
    expect(await client.message()).toBe(answer(5, [`Session: ${session}`]));
    await nothingElse(moved, 6);
  });

  it('is refused what is no RTSP', async () => {
    const { client, farm } = await start();
    await farm.takeOver();
    client.send('NONSENSE\r\n\r\n');
    expect(await client.message()).toMatch(/^RTSP\/1.0 400 /);
  });
});

describe('an interleaved session', () => {
  it('has its frames passed by the engine, before and after its worker died', async () => {
    const moved = await interleaved();
    const { client, server, farm } = moved;
    for (const _ of [1, 2]) {
      server.send(Buffer.concat([frame(0, 'a'), frame(1, 'b')]));
      expect(await client.frame()).toEqual(frame(0, 'a'));
      expect(await client.frame()).toEqual(frame(1, 'b'));
      client.send(frame(1, 'c'));
      expect(await server.frame()).toEqual(frame(1, 'c'));
      await farm.takeOver();
    }
    expect(farm.proxy.proxy.counters).toMatchObject({ connectionsAdopted: 1, framesToClient: 0, framesToServer: 0 });
    await tearDown(moved, 5);
  });

  it('ends with its client, adopted or not', async () => {
    const { client, server, farm } = await interleaved();
    await farm.takeOver();
    client.destroy();
    expect(await server.message()).toMatch(/^TEARDOWN /);
    server.send(answer(1));
    await vi.waitFor(() => expect(farm.proxy.table.stats()).toMatchObject({ sessions: 0, streams: 0 }));
  });

  it('ends with its server, adopted or not', async () => {
    const { client, server, farm } = await interleaved();
    await farm.takeOver();
    server.destroy();
    await vi.waitFor(() => expect(client.over).toBe(true));
    await vi.waitFor(() => expect(farm.proxy.table.stats()).toMatchObject({ sessions: 0 }));
  });

  it('moves with requests that wait behind its SETUP', async () => {
    const farm = await startFarm({ wires: true });
    const { client, server } = await meet(farm);
    const told = answer(1, ['Session: S1', `Transport: ${INTERLEAVED.transport}`]);
    client.send(
      request('SETUP', URL, 1, [`Transport: ${INTERLEAVED.transport}`]) +
        request('OPTIONS', URL, 2) +
        request('OPTIONS', URL, 3),
    );
    await server.message();
    server.send(told);
    expect(await client.message()).toMatch(/^RTSP\/1.0 200 /);
    await wiresAre(farm, 2);
    client.send(request('OPTIONS', URL, 4));
    for (const cseq of [2, 3, 4]) {
      expect(await server.message()).toBe(request('OPTIONS', URL, cseq));
      server.send(answer(cseq));
      expect(await client.message()).toBe(answer(cseq));
    }
  });

  it('asks a second server over a wire of its own', async () => {
    const farm = await startFarm({ wires: true, servers: 2 });
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    const session = farm.proxy.publicId(1, 'T1');
    client.send(request('OPTIONS', URL, 50, [`Session: ${session}`]));
    const other = (await farm.servers[1]?.accepted()) as Peer;
    expect(await other.message()).toBe(request('OPTIONS', URL, 50, ['Session: T1']));
    other.send(answer(50));
    expect(await client.message()).toBe(answer(50));
    expect(farm.wireEngine?.wires.size).toBe(3);
  });
});

it('a session over UDP outlives its connection, adopted or not', async () => {
  const { client, farm } = await overUdp();
  await farm.takeOver();
  client.destroy();
  await vi.waitFor(() => expect(farm.proxy.proxy.connections).toBe(0));
  expect(farm.proxy.table.stats()).toMatchObject({ sessions: 1, streams: 1 });
  await farm.takeOver();
  expect(farm.proxy.proxy.connections).toBe(0);
  expect(farm.proxy.table.stats()).toMatchObject({ sessions: 1, streams: 1 });
});

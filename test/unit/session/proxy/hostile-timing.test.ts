import { describe, expect, it } from 'vitest';
import type { Config, LimitsConfig } from '../../../../src/config/types.js';
import { FakeSockets } from '../../../support/fake-sockets.js';
import { MemorySocket } from '../../../support/memory-socket.js';
import { Peer, rtsp } from '../../../support/peer.js';
import { baseLimits } from '../../../support/proxy-harness.js';
import { answer, type Farm, field, frame, INTERLEAVED, meet, pass, request, setUp, startFarm, URL } from './farm.js';

// Peers that end at the worst moment, that are slow, and servers that answer as no server should. In each case nothing
// is left behind (startFarm sees to that) and another client notices nothing.

const HALF_ANSWER = 'RTSP/1.0 200 OK\r\nCSe';

async function farmOf(config: Partial<Config> = {}, limits: Partial<LimitsConfig> = {}): Promise<Farm> {
  const patient = { ...baseLimits, idleMs: 3_600_000, firstRequestMs: 3_600_000, ...limits };
  return await startFarm({ sockets: new FakeSockets(), config: { limits: patient, ...config } });
}

/** Another client, with a session that plays; the function shows that all is well with it. */
async function bystander(farm: Farm): Promise<() => Promise<void>> {
  const { client, server } = await meet(farm);
  const { session } = await setUp(client, server, { ...INTERLEAVED, serverId: 'BYSTANDER' });
  let cseq = 10;
  return async () => {
    server.send(frame(0, 'media'));
    expect((await client.frame()).toString('latin1', 4)).toBe('media');
    const fields = [`Session: ${session}`];
    await pass(client, server, request('GET_PARAMETER', URL, ++cseq, fields), answer(cseq));
  };
}

interface Scene {
  client: Peer;
  server: Peer;
}

/** How far a client and its server have come. */
const STATES: Record<string, (scene: Scene) => Promise<unknown>> = {
  'with nothing to do': async () => {},
  'in the middle of a request': async ({ client }) => client.send('OPTIONS * RTSP/1.0\r\nCS'),
  'in the middle of a body': async ({ client }) => client.send('ANNOUNCE * RTSP/1.0\r\nContent-Length: 9\r\n\r\nv='),
  'before an answer': async ({ client, server }) => {
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
  },
  'with several requests waiting': async ({ client, server }) => {
    client.send(request('DESCRIBE', URL, 1) + request('OPTIONS', URL, 2) + request('OPTIONS', URL, 3));
    await server.message();
  },
  'in the middle of an answer': async ({ client, server }) => {
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(HALF_ANSWER);
  },
  'before the answer to SETUP': async ({ client, server }) => {
    client.send(request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']));
    await server.message();
  },
  'with a session over UDP': ({ client, server }) => setUp(client, server),
  'with an interleaved session': ({ client, server }) => setUp(client, server, INTERLEAVED),
  'in the middle of a frame': async ({ client, server }) => {
    await setUp(client, server, INTERLEAVED);
    server.send(frame(0, 'whole'));
    await client.frame();
    server.send('$\0\0');
    client.send('$\x01\0');
  },
  'before the answer to PLAY': async ({ client, server }) => {
    const { session } = await setUp(client, server, INTERLEAVED);
    client.send(request('PLAY', URL, 2, [`Session: ${session}`]));
    await server.message();
  },
  'before the answer to TEARDOWN': async ({ client, server }) => {
    const { session } = await setUp(client, server);
    client.send(request('TEARDOWN', URL, 2, [`Session: ${session}`]));
    await server.message();
  },
  'before the answer to a request of the server': async ({ client, server }) => {
    await setUp(client, server, INTERLEAVED);
    server.send(request('OPTIONS', '*', 7));
    await client.message();
  },
};

const ENDS: Record<string, (scene: Scene) => void> = {
  'a client that resets': ({ client }) => client.socket.resetAndDestroy(),
  'a client that sends FIN': ({ client }) => client.socket.end(),
  'a server that resets': ({ server }) => server.socket.resetAndDestroy(),
  'a server that sends FIN': ({ server }) => server.socket.end(),
  'both resetting': ({ client, server }) => {
    client.socket.resetAndDestroy();
    server.socket.resetAndDestroy();
  },
};

describe.each(Object.keys(ENDS))('%s', (end) => {
  it.each(Object.keys(STATES))('%s', { timeout: 20_000 }, async (state) => {
    const farm = await farmOf({ connectTimeoutMs: 500, replyTimeoutMs: 200 });
    const isWell = await bystander(farm);
    const scene = await meet(farm);
    await STATES[state]?.(scene);
    ENDS[end]?.(scene);
    await isWell();
    // What the one side still does when the other is gone reaches nobody, and what is left of the session is idle.
    scene.server.send(answer(1, ['Session: S1']));
    scene.client.destroy();
    await isWell();
    scene.server.destroy();
    await expect.poll(() => farm.proxy.proxy.connections, { timeout: 5_000 }).toBe(1);
    for (let minute = 0; minute < 4; minute++) {
      farm.proxy.pass(60_000);
      await isWell();
    }
    expect(farm.proxy.table.stats()).toMatchObject({ sessions: 1, streams: 1 });
  });
});

describe('a client that asked much and is gone', () => {
  it('has nothing more asked for it but a TEARDOWN', async () => {
    const farm = await farmOf();
    const isWell = await bystander(farm);
    const { client, server } = await meet(farm);
    const { session } = await setUp(client, server);
    const ids = [`Session: ${session}`];
    const asked = ['DESCRIBE', 'OPTIONS', 'TEARDOWN', 'PLAY'].map((method, cseq) => request(method, URL, cseq, ids));
    client.send(asked.join(''));
    await server.message();
    client.socket.resetAndDestroy();
    await isWell(); // and so the reset has been seen
    server.send(answer(0));
    expect(await server.message()).toContain('TEARDOWN');
    server.send(answer(2));
    expect(await server.rest()).toBe('');
    expect(farm.proxy.table.stats()).toMatchObject({ sessions: 1 });
  });
});

describe('one byte a second', () => {
  /** A client in memory: each byte is read at once, so that time can pass between two of them. */
  async function trickle(farm: Farm, bytes: string): Promise<Peer> {
    const [near, far] = MemorySocket.pair();
    farm.proxy.accept(near);
    const client = new Peer(far);
    for (const byte of bytes) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
      farm.proxy.pass(1_000);
    }
    return client;
  }

  it('of a request that is short enough is a request', async () => {
    const farm = await farmOf({}, { messageMs: 60_000 });
    const isWell = await bystander(farm);
    await trickle(farm, 'OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n');
    const server = (await farm.servers[0]?.accepted()) as Peer;
    expect(await server.message()).toBe(request('OPTIONS', '*', 1));
    server.send(answer(1));
    await isWell();
  });

  it('of a longer one is 408 when its time is over', async () => {
    const farm = await farmOf({}, { messageMs: 20_000 });
    const isWell = await bystander(farm);
    const client = await trickle(farm, 'OPTIONS * RTSP/1.0\r\nX');
    await isWell();
    expect(client.over).toBe(false);
    farm.proxy.pass(1_000);
    expect(await client.rest()).toBe(rtsp(['RTSP/1.0 408 Request Time-out']));
    await isWell();
  });

  it('of an answer is 502 when its time is over', async () => {
    const farm = await farmOf({}, { messageMs: 5_000 });
    const isWell = await bystander(farm);
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    for (const byte of HALF_ANSWER.slice(0, 8)) {
      server.send(byte);
      farm.proxy.pass(1_000);
      await isWell();
    }
    expect(await client.message()).toBe(answer(1, [], '502 Bad Gateway'));
    expect(await server.rest()).toBe('');
    await isWell();
  });

  it('of frames, each in its time, is media', async () => {
    const farm = await farmOf({}, { messageMs: 8_000 });
    const { client, server } = await meet(farm);
    await setUp(client, server, INTERLEAVED);
    for (let second = 0; second < 3; second++) {
      for (const byte of frame(0, 'abc')) {
        server.send(Buffer.from([byte]));
        farm.proxy.pass(1_000);
      }
      expect((await client.frame()).toString('latin1', 4)).toBe('abc');
    }
  });
});

describe('a server that answers', () => {
  it('twice is heard once, and the next answer is the next one', async () => {
    const { client, server } = await meet(await farmOf());
    client.send(request('OPTIONS', URL, 1));
    await server.message();
    server.send(answer(1, ['X: one']) + answer(1, ['X: two']));
    expect(await client.message()).toBe(answer(1, ['X: one']));
    expect(await pass(client, server, request('OPTIONS', URL, 2), answer(2))).toEqual([
      request('OPTIONS', URL, 2),
      answer(2),
    ]);
    expect(client.pending).toBe('');
  });

  it('SETUP twice opens one stream', async () => {
    const farm = await farmOf();
    const { client, server } = await meet(farm);
    client.send(request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']));
    const asked = field(await server.message(), 'Transport');
    const granted = answer(1, ['Session: S1', `Transport: ${asked};server_port=20600-20601`]);
    server.send(granted + granted);
    await client.message();
    expect(farm.proxy.table.stats()).toMatchObject({ sessions: 1, streams: 1 });
    await pass(client, server, request('OPTIONS', URL, 2), answer(2));
  });

  it('another request than the one that waits is not heard', async () => {
    const { client, server } = await meet(await farmOf());
    client.send(request('OPTIONS', URL, 5));
    await server.message();
    server.send(answer(6) + answer(4) + answer(5, ['X: right']));
    expect(await client.message()).toBe(answer(5, ['X: right']));
  });

  it('before it was asked is not heard', async () => {
    const { client, server } = await meet(await farmOf());
    server.send(answer(1, ['X: early']));
    server.send(request('OPTIONS', '*', 9)); // behind it, so that it has been read
    await client.message();
    await pass(client, server, request('OPTIONS', URL, 1), answer(1));
  });

  it('late is not heard: 504 has gone out, and the next request goes over another connection', async () => {
    const farm = await farmOf({ replyTimeoutMs: 50 });
    const isWell = await bystander(farm);
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    expect(await client.message()).toBe(answer(1, [], '504 Gateway Time-out'));
    server.send(answer(1, ['X: late']));
    client.send(request('DESCRIBE', URL, 2));
    const again = (await farm.servers[0]?.accepted()) as Peer;
    await again.message();
    again.send(answer(2));
    expect(await client.message()).toBe(answer(2));
    expect(client.pending).toBe('');
    await isWell();
  });

  it('SETUP late: the session that it began ends, and holds nothing here', async () => {
    const farm = await farmOf({ replyTimeoutMs: 50 });
    const { client, server } = await meet(farm);
    client.send(request('SETUP', URL, 1, ['Transport: RTP/AVP;unicast;client_port=20500-20501']));
    await server.message();
    expect(await client.message()).toBe(answer(1, [], '504 Gateway Time-out'));
    expect(farm.proxy.media.size).toBe(0);
    expect(farm.proxy.table.stats()).toMatchObject({ sessions: 0, streams: 0 });
  });

  it('with 100 Continue for ever has failed all the same', async () => {
    const farm = await farmOf({ replyTimeoutMs: 100 });
    const isWell = await bystander(farm);
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    const sending = setInterval(() => server.send(answer(1, [], '100 Continue')), 10);
    for (let message = ''; !message.includes('504'); ) message = await client.message();
    clearInterval(sending);
    await isWell();
  });

  it.each([
    ['a body without an end', `RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 262144\r\n\r\n${'x'.repeat(10_000)}`],
    ['a head without an end', `RTSP/1.0 200 OK\r\n${'X: y\r\n'.repeat(50)}`],
  ])('with %s is 502 when its time is over', async (_, begun) => {
    const farm = await farmOf({}, { messageMs: 3_000 });
    const isWell = await bystander(farm);
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(begun);
    for (let second = 0; second < 6; second++) {
      server.send('x');
      await isWell();
      farm.proxy.pass(1_000);
    }
    expect(await client.message()).toBe(answer(1, [], '502 Bad Gateway'));
    await isWell();
  });

  it.each([
    ['a head beyond the limit', `RTSP/1.0 200 OK\r\n${'X: y\r\n'.repeat(200)}`],
    ['a body beyond the limit', 'RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n'],
    ['a body that it does not announce', `${answer(1)}<html>`],
  ])('with %s: 502 or its answer, and its connection ends', async (_, reply) => {
    const farm = await farmOf();
    const isWell = await bystander(farm);
    const { client, server } = await meet(farm);
    client.send(request('DESCRIBE', URL, 1));
    await server.message();
    server.send(reply);
    expect(await client.message()).toMatch(/^RTSP\/1\.0 (502 Bad Gateway|200 OK)\r\nCSeq: 1\r\n/);
    server.send('\0');
    expect(await server.rest()).toBe('');
    await isWell();
  });
});

describe('requests of a server that nobody answers', () => {
  it('are forgotten, oldest first, and the connection works on', async () => {
    const farm = await farmOf();
    const { client, server } = await meet(farm);
    const many = 200;
    for (let cseq = 0; cseq < many; cseq++) server.send(request('OPTIONS', '*', cseq));
    for (let cseq = 0; cseq < many; cseq++) await client.message();
    await pass(client, server, request('OPTIONS', URL, 1), answer(1));
    client.send(answer(0)); // of one that is long forgotten
    await pass(client, server, request('OPTIONS', URL, 2), answer(2));
    expect(server.pending).toBe('');
  });
});

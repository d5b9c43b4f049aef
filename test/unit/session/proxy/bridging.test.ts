import { describe, expect, it, vi } from 'vitest';
import { FakeSockets } from '../../../support/fake-sockets.js';
import type { Peer } from '../../../support/peer.js';
import { answer, type Farm, field, meet, pass, request, startFarm, URL } from './farm.js';

// A server that refuses the transport of its client is asked for the other one, and the engine converts.

const REFUSED = '461 Unsupported Transport';
const TCP = 'RTP/AVP/TCP;unicast;interleaved=0-1';
const UDP = 'RTP/AVP;unicast;client_port=20500-20501';

interface Met {
  farm: Farm;
  client: Peer;
  server: Peer;
}

async function start(options: Parameters<typeof startFarm>[0] = {}): Promise<Met> {
  const farm = await startFarm({ wires: true, sockets: new FakeSockets(), ...options });
  return { farm, ...(await meet(farm)) };
}

interface Asked {
  cseq: number;
  transport: string;
  /** What is to be set up, and in which session. */
  track?: string;
  session?: string;
}

/** A SETUP that is refused, and the one that comes in its place. */
async function turned({ client, server }: Met, { cseq, transport, track = 'track1', session }: Asked, ahead = 0) {
  const uri = `${URL}/${track}`;
  const more = session === undefined ? [] : [`Session: ${session}`];
  client.send(request('SETUP', uri, cseq, [`Transport: ${transport}`, ...more]));
  const first = await server.message();
  expect(field(first, 'CSeq')).toBe(String(cseq + ahead));
  server.send(answer(cseq + ahead, [], REFUSED));
  const second = await server.message();
  expect(second).toMatch(new RegExp(`^SETUP ${uri} `));
  return { second, cseq: Number(field(second, 'CSeq')), shown: field(second, 'Transport') };
}

/** The same, granted; what the client is told. */
async function setUpTurned(met: Met, asked: Asked, ahead = 0) {
  const { cseq, shown } = await turned(met, asked, ahead);
  const ports = shown.includes('client_port') ? ';server_port=20600-20601' : '';
  met.server.send(answer(cseq, [`Transport: ${shown}${ports};ssrc=0A0B0C0D`, 'Session: S1;timeout=60']));
  const told = await met.client.message();
  expect(field(told, 'CSeq')).toBe(String(asked.cseq));
  return { shown, cseq, transport: field(told, 'Transport'), session: field(told, 'Session').split(';')[0] ?? '' };
}

async function tearDown({ client, server, farm }: Met, session: string, cseq: number, ahead: number): Promise<void> {
  const sent = request('TEARDOWN', URL, cseq, [`Session: ${session}`]);
  const [asked, told] = await pass(client, server, sent, answer(cseq + ahead));
  expect([field(asked, 'CSeq'), field(told, 'CSeq')]).toEqual([String(cseq + ahead), String(cseq)]);
  expect(farm.proxy.table.stats()).toMatchObject({ sessions: 0 });
}

const rows = ({ farm }: Met) =>
  [...farm.proxy.table.ownStreams()]
    .filter(({ closing }) => !closing)
    .map(({ slot }) => farm.proxy.table.readStream(slot));
const wiresAre = ({ farm }: Met, count: number) => vi.waitFor(() => expect(farm.wireEngine?.wires.size).toBe(count));

describe.each([
  {
    what: 'a client over TCP of a server over UDP',
    transport: TCP,
    shown: /^RTP\/AVP;unicast;client_port=(\d+)-(\d+)$/,
    told: 'RTP/AVP/TCP;unicast;ssrc=0A0B0C0D;interleaved=0-1',
    second: 'RTP/AVP/TCP;unicast;interleaved=2-3',
  },
  {
    what: 'a client over UDP of a server over TCP',
    transport: UDP,
    shown: /^RTP\/AVP\/TCP;unicast;interleaved=0-1$/,
    told: /^RTP\/AVP;unicast;ssrc=0A0B0C0D;client_port=20500-20501;server_port=(\d+)-(\d+);source=127\.0\.0\.1$/,
    second: 'RTP/AVP;unicast;client_port=20502-20503',
  },
])('$what', ({ transport, shown, told, second }) => {
  it('is served, its requests numbered as it wrote them', async () => {
    const met = await start();
    const setUp = await setUpTurned(met, { cseq: 1, transport });
    expect(setUp.cseq).toBe(2);
    expect(setUp.shown).toMatch(shown);
    expect(setUp.transport).toMatch(told);
    await wiresAre(met, 2);
    const { transports } = met.farm.proxy.table;
    expect(rows(met)).toMatchObject([{ transport: transports.bridged, clientWire: expect.any(Number) }]);
    expect(met.farm.proxy.engine.streams.size).toBe(1);
    expect(met.farm.proxy.engine.told).toContain(rows(met)[0]?.slot);
    await tearDown(met, setUp.session, 2, 1);
  });

  it('has several streams, each set up again at will', async () => {
    const met = await start();
    const { session, transport: first } = await setUpTurned(met, { cseq: 1, transport });
    const more = await setUpTurned(met, { cseq: 2, transport: second, track: 'track2', session }, 1);
    expect(more.transport).not.toBe(first);
    expect(rows(met)).toHaveLength(2);
    const [row] = rows(met);
    await setUpTurned(met, { cseq: 3, transport, session }, 2);
    expect(rows(met)).toHaveLength(2);
    expect(rows(met).map((each) => each?.generation)).not.toContain(
      row?.slot === rows(met)[0]?.slot ? row?.generation : -1,
    );
    await tearDown(met, session, 4, 3);
  });

  it('goes on when its worker dies, with the same numbers', async () => {
    const met = await start();
    const { session } = await setUpTurned(met, { cseq: 1, transport });
    await wiresAre(met, 2);
    await met.farm.takeOver();
    const sent = request('PLAY', URL, 2, [`Session: ${session}`]);
    const [asked, reply] = await pass(met.client, met.server, sent, answer(3, ['Session: S1']));
    expect([field(asked, 'CSeq'), field(reply, 'CSeq')]).toEqual(['3', '2']);
    const more = await setUpTurned(met, { cseq: 3, transport: second, track: 'track2', session }, 1);
    expect(more.cseq).toBe(5);
    expect(new Set(rows(met).map((row) => JSON.stringify([row?.clientChannels, row?.serverChannels]))).size).toBe(2);
    await tearDown(met, session, 4, 2);
  });

  it('ends with its connection, and its server is told', async () => {
    const met = await start();
    await setUpTurned(met, { cseq: 1, transport });
    await wiresAre(met, 2);
    met.client.destroy();
    expect(await met.server.message()).toMatch(/^TEARDOWN /);
    expect(met.farm.proxy.table.stats()).toMatchObject({ sessions: 0 });
  });

  it('gets the refusal where the server refuses the other way too, and nothing is left', async () => {
    const met = await start();
    const { cseq } = await turned(met, { cseq: 1, transport });
    met.server.send(answer(cseq, ['Server: obstinate'], REFUSED));
    expect(await met.client.message()).toBe(answer(1, [], REFUSED));
    expect(met.farm.proxy.table.stats()).toMatchObject({ sessions: 0, streams: 0 });
    expect(met.farm.proxy.media.size).toBe(0);
    // Later requests are one ahead.
    const [asked] = await pass(met.client, met.server, request('OPTIONS', URL, 2), answer(3));
    expect(field(asked, 'CSeq')).toBe('3');
  });

  it.each(['404 Not Found', '500 Internal Server Error', '453 Not Enough Bandwidth'])(
    'gets the refusal where the other way ends with %s',
    async (status) => {
      const met = await start();
      const { cseq } = await turned(met, { cseq: 1, transport });
      met.server.send(answer(cseq, [], status));
      expect(await met.client.message()).toBe(answer(1, [], REFUSED));
      expect(met.farm.proxy.media.size).toBe(0);
    },
  );

  it('is asked for its password', async () => {
    const met = await start();
    const { cseq } = await turned(met, { cseq: 1, transport });
    const challenge = 'WWW-Authenticate: Digest realm="r", nonce="n"';
    met.server.send(answer(cseq, [challenge], '401 Unauthorized'));
    expect(await met.client.message()).toBe(answer(1, [challenge], '401 Unauthorized'));
  });

  it('gets 461 where the server then answers with what it was not asked for', async () => {
    const met = await start();
    const { cseq } = await turned(met, { cseq: 1, transport });
    met.server.send(answer(cseq, [`Transport: ${transport}`, 'Session: S1']));
    expect(await met.client.message()).toMatch(/^RTSP\/1.0 461 /);
    expect(await met.server.message()).toMatch(/^TEARDOWN /);
    expect(met.farm.proxy.media.size).toBe(0);
  });

  it.each([
    ['is switched off', { config: { bridge: 'off' as const } }],
    ['has no engine to move to, as over TLS', { wires: false }],
  ])('gets the refusal where bridging %s', async (_, options) => {
    const met = await start(options);
    const asked = request('SETUP', `${URL}/track1`, 1, [`Transport: ${transport}`]);
    expect((await pass(met.client, met.server, asked, answer(1, [], REFUSED)))[1]).toBe(answer(1, [], REFUSED));
    expect(met.server.pending).toBe('');
  });

  it('is set up anew where its worker dies while the server is asked the other way', async () => {
    const met = await start();
    const { session } = await setUpTurned(met, { cseq: 1, transport });
    await wiresAre(met, 2);
    const { cseq, shown } = await turned(met, { cseq: 2, transport: second, track: 'track2', session }, 1);
    await met.farm.takeOver();
    // What the dead worker had prepared is gone; its answer is of no use.
    met.server.send(answer(cseq, [`Transport: ${shown}`, 'Session: S1']));
    const again = await met.server.message();
    expect(field(again, 'Transport')).not.toBe(shown);
    met.server.send(answer(Number(field(again, 'CSeq')), [], REFUSED));
    const last = await met.server.message();
    const reply = [`Transport: ${field(last, 'Transport')}`, 'Session: S1'];
    met.server.send(answer(Number(field(last, 'CSeq')), reply));
    const told = await met.client.message();
    expect(told).toMatch(/^RTSP\/1.0 200 /);
    expect(field(told, 'CSeq')).toBe('2');
    expect(rows(met)).toHaveLength(2);
    await tearDown(met, session, 3, 3);
  });
});

it('a client that offered both ways gets the refusal as it is', async () => {
  const met = await start();
  const asked = request('SETUP', `${URL}/track1`, 1, [`Transport: ${UDP},${TCP}`]);
  expect((await pass(met.client, met.server, asked, answer(1, [], REFUSED)))[1]).toBe(answer(1, [], REFUSED));
  expect(met.server.pending).toBe('');
});

it('several ways over UDP are all refused before the other one is asked for', async () => {
  const met = await start();
  const transport = `RTP/AVP;unicast;client_port=20500-20501,RTP/AVPF;unicast;client_port=20502-20503`;
  const { transport: told } = await setUpTurned(met, { cseq: 1, transport });
  expect(told).toMatch(/^RTP\/AVP;unicast;ssrc=0A0B0C0D;client_port=20500-20501;server_port=/);
  expect(met.farm.proxy.media.size).toBe(2);
});

it('a client over TCP keeps its session when the connection of its UDP server closes', async () => {
  const met = await start();
  const { session } = await setUpTurned(met, { cseq: 1, transport: TCP });
  await wiresAre(met, 2);
  met.server.destroy();
  await wiresAre(met, 1);
  expect(met.farm.proxy.table.stats()).toMatchObject({ sessions: 1, streams: 1 });
  met.client.send(request('TEARDOWN', URL, 5, [`Session: ${session}`]));
  const again = await (met.farm.servers[0] as Farm['servers'][number]).accepted();
  // A new connection, on which the server counts as the client does.
  expect(field(await again.message(), 'CSeq')).toBe('5');
  again.send(answer(5));
  expect(await met.client.message()).toBe(answer(5));
});

it('a client over UDP loses its session with the connection that the media is in', async () => {
  const met = await start();
  await setUpTurned(met, { cseq: 1, transport: UDP });
  await wiresAre(met, 2);
  met.server.destroy();
  await vi.waitFor(() => expect(met.farm.proxy.table.stats()).toMatchObject({ sessions: 0, streams: 0 }));
});

it('a stream that is set up again by the transport that the server speaks is bridged no more', async () => {
  const met = await start();
  const { session } = await setUpTurned(met, { cseq: 1, transport: TCP });
  met.client.send(request('SETUP', `${URL}/track1`, 2, [`Transport: ${UDP}`, `Session: ${session}`]));
  const shown = field(await met.server.message(), 'Transport');
  met.server.send(answer(3, [`Transport: ${shown};server_port=20600-20601`, 'Session: S1']));
  expect(field(await met.client.message(), 'Transport')).toContain('client_port=20500-20501');
  expect(rows(met)).toMatchObject([{ transport: met.farm.proxy.table.transports.udp }]);
  await tearDown(met, session, 3, 1);
});

it('a channel of a bridged stream is nobody else’s', async () => {
  const met = await start();
  const { session } = await setUpTurned(met, { cseq: 1, transport: TCP });
  // The second stream of this server can be had in the connection, on the very same channels.
  met.client.send(request('SETUP', `${URL}/track2`, 2, [`Transport: ${TCP}`, `Session: ${session}`]));
  await met.server.message();
  met.server.send(answer(3, [`Transport: ${TCP}`, 'Session: S1']));
  expect(field(await met.client.message(), 'Transport')).toBe('RTP/AVP/TCP;unicast;interleaved=2-3');
  await tearDown(met, session, 3, 1);
});

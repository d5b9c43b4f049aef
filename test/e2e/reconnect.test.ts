import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { NET, TestNetwork } from '../support/netns.js';
import { type GstServer, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { listenToy, RtspClient, TestSession } from '../support/rtsp-client.js';

// The id alone leads to the server: gst-rtsp-server answers 454 to a session that is not its own.
const URL = `rtsp://${NET.client.edge}:8554/test`;
const options = { transport: 'udp', address: NET.client.ip } as const;

let net: TestNetwork;
let servers: GstServer[];
let stateDir: string;
let appliance: Penstock | undefined;

beforeAll(async () => {
  net = TestNetwork.create();
  servers = [await startGstServer(net.serverA), await startGstServer(net.serverB)];
});
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'penstock-state-'));
  return () => rmSync(stateDir, { recursive: true, force: true });
});
afterEach(async () => await appliance?.stop());
afterAll(() => net.destroy());

const POOL = ['--server', `${NET.serverA.ip}:8554`, '--server', `${NET.serverB.ip}:8554`];

async function start(pool = POOL, ...flags: string[]): Promise<Penstock> {
  appliance = await Penstock.start(net.appliance, ['--listen', `${NET.client.edge}:8554`, ...pool, ...flags], stateDir);
  return appliance;
}

async function connect(): Promise<RtspClient> {
  return await RtspClient.connect(net.client, NET.client.edge, 8554);
}

const openSessions = (): number => servers.reduce((sum, { state }) => sum + state.open, 0);

it.each(['sealed', 'prefix', 'suffix'])(
  'a second connection reaches the server of the session, %s ids',
  async (mode) => {
    await start(POOL, '--session-id', mode);
    const before = openSessions();
    const sessions: TestSession[] = [];
    for (let i = 0; i < 4; i++) sessions.push(await TestSession.play(net.client, URL, options));
    for (const { id } of sessions) {
      const second = await connect();
      const answer = await second.ok('GET_PARAMETER', URL, { Session: id });
      expect(answer.headers.get('CSeq')).toBe('1');
      await second.ok('TEARDOWN', URL, { Session: id });
      second.destroy();
    }
    await eventually('all are closed at the servers', () => openSessions() === before || undefined);
    for (const session of sessions) session.abandon();
  },
);

it('an appliance restarted after a crash routes the old ids', async () => {
  const first = await start();
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) {
    const session = await TestSession.play(net.client, URL, options);
    ids.push(session.id);
    session.abandon();
  }
  await first.crash();
  await start();
  for (const id of ids) {
    // gst-rtsp-server lets go of the media when the connection of a session ends, but still knows the session.
    const client = await connect();
    await client.ok('GET_PARAMETER', URL, { Session: id });
    client.destroy();
  }
});

it('a forged id gets 454 and reaches no server', async () => {
  const toy = await listenToy(
    net.serverA,
    NET.serverA.ip,
    8600,
    ({ headers }) => `RTSP/1.0 200 OK\r\nCSeq: ${headers.get('CSeq')}\r\n\r\n`,
  );
  // No monitor, and a weight that leaves it no share: a connection to the toy could only come from an id.
  const [a, b] = [NET.serverA.ip, NET.serverB.ip].map((ip) => `${ip}:8554?weight=1000`) as [string, string];
  await start(['--server', a, '--server', b, '--server', `${NET.serverA.ip}:8600`], '--monitor', 'none');
  const session = await TestSession.play(net.client, URL, options);
  const another = (char: string | undefined): string => (char === 'a' ? 'b' : 'a');
  const forged = [
    session.id.slice(0, -1) + another(session.id.at(-1)),
    another(session.id[0]) + session.id.slice(1),
    session.id.slice(0, 10),
    'L9F2t3UcU+eUgQ6D',
    '0'.repeat(session.id.length),
  ];
  for (const id of forged) {
    const client = await connect();
    const answer = await client.request('GET_PARAMETER', URL, { Session: id });
    expect([id, answer.status]).toEqual([id, 454]);
    client.destroy();
  }
  expect(toy.connections()).toBe(0);
  await session.teardown();
  await toy.close();
});

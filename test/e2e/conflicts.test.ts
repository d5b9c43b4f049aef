import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { playFfmpeg, startGstServer } from '../support/peers.js';
import { Penstock, startOrigin } from '../support/penstock.js';
import { TestSession } from '../support/rtsp-client.js';

// Two ends that use the same port numbers meet in one appliance: to a server it is one client, to a client one server.
const PACKETS = 20;
let net: TestNetwork;
let appliance: Penstock;

beforeAll(() => {
  net = TestNetwork.create();
});
afterEach(async () => await appliance.stop());
afterAll(() => net.destroy());

async function start(...servers: string[]): Promise<void> {
  const flags = servers.flatMap((server) => ['--server', server]);
  appliance = await Penstock.start(net.appliance, ['--listen', '0.0.0.0:8554', ...flags]);
}

async function play(namespace: Namespace, link: { ip: string; edge: string }, clientPort?: number) {
  const ports = clientPort === undefined ? {} : { clientPort };
  return await TestSession.play(namespace, `rtsp://${link.edge}:8554/test`, {
    transport: 'udp',
    address: link.ip,
    ...ports,
  });
}

async function allReceive(sessions: TestSession[]): Promise<void> {
  for (const session of sessions) for (const stream of session.streams) await stream.more(PACKETS);
}

it('two clients with the same client_port numbers both play', async () => {
  await startGstServer(net.serverA);
  await start(`${NET.serverA.ip}:8554`);
  const sessions = [await play(net.client, NET.client, 41_000), await play(net.client2, NET.client2, 41_000)];
  await allReceive(sessions);
  const listeners = await appliance.show('listener');
  const towardsServer = listeners.flatMap((row) =>
    row.kind === 'media' && row.side === 'server' ? [row.address] : [],
  );
  expect(new Set(towardsServer).size).toBe(towardsServer.length);
  expect(towardsServer).toHaveLength(8); // two sessions, two streams, RTP and RTCP
  for (const session of sessions) await session.teardown();
});

it('all sessions of a server with one server_port for everybody play', async () => {
  await startOrigin(net.serverB, ['--listen', `${NET.serverB.ip}:8554`, '--shared-ports']);
  await start(`${NET.serverB.ip}:8554`);
  const sessions = [
    await play(net.client, NET.client),
    await play(net.client, NET.client),
    await play(net.client2, NET.client2, 42_000),
  ];
  const announced = sessions.flatMap(({ streams }) => streams.map(({ serverPort }) => serverPort));
  expect(new Set(announced.slice(0, 4)).size).toBe(4); // our pairs on one address differ, though the server's do not
  await allReceive(sessions);
  const url = `rtsp://${NET.client.edge}:8554/test`;
  const played = await playFfmpeg(net.client, url, { transport: 'udp', seconds: 2 });
  expect(played).toEqual({ frames: expect.any(Number) });
  expect(played.frames).toBeGreaterThan(0);
  for (const session of sessions) await session.teardown();
});

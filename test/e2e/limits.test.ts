import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { certificateFile } from '../support/certificates.js';
import { MediaClient } from '../support/media-client.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { RtspClient } from '../support/rtsp-client.js';
import { SilentServer } from '../support/silent-server.js';
import { bindPair } from '../support/udp.js';

// What only a whole appliance shows of limits and of where it sends to.

const PORT = 8554;
const TLS_PORT = 8322;
const EDGE = NET.client.edge;
const URL = `rtsp://${EDGE}:${PORT}/live`;

let net: TestNetwork;
beforeAll(() => {
  net = TestNetwork.create();
});
afterAll(() => net.destroy());

async function start(args: string[], extra = ''): Promise<{ appliance: Penstock; server: SilentServer }> {
  const server = await SilentServer.listen(net.serverA, {
    ...{ address: NET.serverA.ip, peer: NET.serverA.edge, port: PORT, sessions: 12, extra },
  });
  onTestFinished(() => server.close());
  const appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${EDGE}:${PORT}`, '--server', `${NET.serverA.ip}:${PORT}`, '--monitor', 'none', ...args],
  ]);
  onTestFinished(() => appliance.stop(/ended: SIGKILL; starting another/));
  return { appliance, server };
}

async function stat(appliance: Penstock, name: string): Promise<number> {
  return (await appliance.show('stat')).find((each) => each.name === name)?.value ?? Number.NaN;
}

/** A connection that was answered; undefined where it was closed instead. */
async function connect(from: Namespace): Promise<RtspClient | undefined> {
  const client = await RtspClient.connect(from, EDGE, PORT);
  onTestFinished(() => client.destroy());
  return await client.ok('OPTIONS', '*').then(
    () => client,
    () => undefined,
  );
}

async function open(from: Namespace, address: string): Promise<MediaClient> {
  const client = await MediaClient.setUp(from, address, EDGE, PORT);
  onTestFinished(() => client.close());
  return client;
}

it('connections of one client count over all workers, and those of others do not', async () => {
  const limit = 5;
  const { appliance } = await start(['--workers', '2', '--limit-client-connections', String(limit)]);
  const clients = [];
  for (let i = 0; i < 2 * limit; i++) clients.push(await connect(net.client));
  const accepted = clients.filter((client) => client !== undefined);
  expect(accepted).toHaveLength(limit);
  expect(clients.slice(0, limit)).toEqual(accepted);
  const refused = async () => (await stat(appliance, 'worker_connections_refused')) === limit || undefined;
  await eventually('the refused are counted', refused);
  expect(await connect(net.client2)).toBeDefined();
  accepted[0]?.destroy();
  await eventually('one of its own is gone', () => connect(net.client));
});

it('connections of one client count before they have said what they are', async () => {
  const said = [
    [PORT, ''],
    [PORT, 'G'],
    [PORT, 'GET /live HTTP/1.0\r\n'],
    [TLS_PORT, ''],
    [TLS_PORT, '\x16\x03\x01'],
  ] as const;
  const { appliance } = await start([
    ...['--workers', '2', '--limit-client-connections', String(said.length), '--listen', `rtsps://${EDGE}:${TLS_PORT}`],
    ...['--tls-certificate', certificateFile('edge.pem'), '--tls-key', certificateFile('edge.key')],
  ]);
  const begun = async (port: number, text: string): Promise<Socket> => {
    const socket = await net.client.connect(EDGE, port);
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => {}).resume();
    socket.write(text, 'latin1');
    return socket;
  };
  const sockets = [];
  for (const [port, text] of said) sockets.push(await begun(port, text));
  expect(await connect(net.client)).toBeUndefined();
  const refused = async () => (await stat(appliance, 'worker_connections_refused')) === 1 || undefined;
  await eventually('it is counted', refused);
  expect(sockets.map(({ closed }) => closed)).toEqual(said.map(() => false));
  expect(await connect(net.client2)).toBeDefined();
  for (const [index] of said.entries()) {
    sockets[index]?.destroy();
    const fresh = await eventually('one more may come', () => connect(net.client));
    fresh.destroy();
  }
});

it('sessions of one client count over all workers, also when a worker has a successor', async () => {
  const { appliance } = await start(['--workers', '2', '--limit-client-sessions', '3']);
  const sessions = [];
  for (let i = 0; i < 3; i++) sessions.push(await open(net.client, NET.client.ip));
  await expect(open(net.client, NET.client.ip)).rejects.toThrow('453');
  const workers = (await appliance.show('process')).filter(({ name }) => name.startsWith('worker'));
  expect(workers).toHaveLength(2);
  for (const { name, pid } of workers) {
    process.kill(pid, 'SIGKILL');
    await eventually(`${name} has a successor`, async () => {
      const now = (await appliance.show('process')).find((each) => each.name === name);
      return (now?.pid !== pid && now?.state === 'ready') || undefined;
    });
  }
  await expect(open(net.client, NET.client.ip)).rejects.toThrow('453');
  await open(net.client2, NET.client2.ip);
  // Any connection will do for the TEARDOWN; the old one may be gone with its worker.
  const control = await RtspClient.connect(net.client, EDGE, PORT);
  onTestFinished(() => control.destroy());
  await control.ok('TEARDOWN', URL, { Session: sessions[0]?.session ?? '' });
  await open(net.client, NET.client.ip);
});

it('a stream beyond its rate loses packets, counted, and others lose none', async () => {
  const { appliance, server } = await start(['--limit-stream-rate', '100', '--packet-path', 'auto']);
  const client = await open(net.client, NET.client.ip);
  await client.play();
  client.punch();
  server.newest.start(); // 212 bytes every 10 ms are 170 kbit/s
  await eventually('packets are dropped', async () => (await stat(appliance, 'over_rate')) > 10 || undefined);
  const before = client.rtp.length;
  await client.more(20);
  expect(client.rtp.length).toBeGreaterThan(before); // and others pass
  const legs = (await appliance.show('listener')).filter((leg) => leg.kind === 'media' && leg.side === 'server');
  expect(legs[0]).toMatchObject({ part: 'rtp', tierReason: 'its rate is limited' });
});

it.each(['same-ip', 'any'])('a server cannot point a publisher at a third party (latching %s)', async (latching) => {
  const { appliance, server } = await start(['--latching', latching], `;source=${NET.client2.ip}`);
  const client = await open(net.client, NET.client.ip);
  // The third party has the very ports that the server named.
  const { serverPort } = server.newest;
  const third = await bindPair(net.client2, NET.client2.ip, serverPort);
  onTestFinished(() => {
    for (const socket of [third.rtp, third.rtcp]) socket.close();
  });
  const astray: Buffer[] = [];
  for (const socket of [third.rtp, third.rtcp]) socket.on('message', (packet: Buffer) => astray.push(packet));
  await client.play();
  client.publish(50);
  await eventually('the server hears the publisher', () => server.newest.received.length >= 50 || undefined);
  expect(astray).toEqual([]);
  // Workers tell their counts now and then.
  const counted = async () => (await stat(appliance, 'worker_foreign_sources')) >= 1 || undefined;
  await eventually('the foreign source is counted', counted);
  expect(await stat(appliance, 'worker_foreign_sources')).toBe(1);
});

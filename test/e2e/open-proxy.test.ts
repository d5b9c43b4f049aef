import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { formatBinary, formatLine } from '../../src/proxy-protocol/header.js';
import type { RtspRequest } from '../../src/rtsp/message.js';
import { Capture } from '../support/capture.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { rtpPacket } from '../support/rtp-packets.js';
import { listenToy, RtspClient } from '../support/rtsp-client.js';
import { bindPair, type UdpPair } from '../support/udp.js';

// A hostile client and a hostile server, together, with all that they can write: on the link to a third party there is
// nothing of the appliance, although media flows between the two.

const STRANGER = NET.client2.ip;
const ABROAD = `rtsp://${STRANGER}:8554/live`;
const PROXY = NET.serverB.ip;
const SERVER = NET.serverA.ip;
const PACKETS = 20;
const EVERYWHERE = ['Content-Base', 'Content-Location', 'Host', 'Via', 'Referer', 'X-Forwarded-For', 'RTP-Info'];

let net: TestNetwork;
let appliance: Penstock;
let served: UdpPair;
let server: Awaited<ReturnType<typeof listenToy>>;

beforeAll(async () => {
  net = TestNetwork.create();
  served = await bindPair(net.serverA, SERVER);
  server = await listenToy(net.serverA, SERVER, 8554, hostileAnswer);
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8554`, '--listen', `${NET.serverB.edge}:8554`, '--monitor', 'none'],
    ...['--server', `${SERVER}:8554`, '--redirects', 'follow', '--proxy-protocol-from', PROXY],
  ]);
});
afterAll(async () => {
  await appliance.stop();
  await server.close();
  for (const socket of [served.rtp, served.rtcp]) socket.close();
  net.destroy();
});

/** A DESCRIBE is sent away, everything else is granted; each field that can name a place names the stranger's. */
function hostileAnswer({ method, headers }: RtspRequest): string {
  const lines = [
    `RTSP/1.0 ${method === 'DESCRIBE' ? '302 Moved Temporarily' : '200 OK'}`,
    ...[`CSeq: ${headers.get('CSeq')}`, `Location: ${ABROAD}`, 'Session: S1'],
    ...EVERYWHERE.map((name) => `${name}: ${name === 'RTP-Info' ? `url=${ABROAD};seq=1` : ABROAD}`),
  ];
  const ports = `server_port=${served.port}-${served.port + 1}`;
  const places = `source=${STRANGER};destination=${STRANGER}`;
  if (method === 'SETUP') lines.push(`Transport: ${headers.get('Transport')};${ports};${places}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

const ends = (ip: string) => ({ source: { ip, port: 8_554 }, destination: { ip: STRANGER, port: 8_554 } });
/** As a header of UNIX sockets may be: addresses that are none. */
const UNIX = Buffer.concat([
  formatBinary(undefined).subarray(0, 12),
  Buffer.from([0x21, 0x31, 0, 216]),
  Buffer.alloc(216, STRANGER),
]);
/** LOCAL, with addresses behind it. */
const LOCAL = Buffer.from(formatBinary(ends(STRANGER)));
LOCAL[12] = 0x20;

/** It says that it is that short. */
const HALF = Buffer.from(formatBinary(ends(STRANGER)).subarray(0, 22));
HALF.writeUInt16BE(6, 14);

/** A session with all that a client can write of other places; media flows when this resolves. */
async function playHostile(from: Namespace, address: string, edge: string, header: Buffer): Promise<void> {
  const socket = await from.connect(edge, 8554);
  socket.write(header);
  const client = new RtspClient(socket);
  const pair = await bindPair(from, address);
  onTestFinished(() => {
    client.destroy();
    for (const one of [pair.rtp, pair.rtcp]) one.close();
  });
  let heard = 0;
  pair.rtp.on('message', () => heard++);
  const places = Object.fromEntries(EVERYWHERE.map((name) => [name, ABROAD]));
  expect((await client.request('DESCRIBE', ABROAD, places)).status).toBe(302);
  const ports = `client_port=${pair.port}-${pair.port + 1}`;
  const Transport = `RTP/AVP;unicast;destination=${STRANGER};source=${STRANGER};${ports};mode=play`;
  const granted = await client.ok('SETUP', `${ABROAD}/1`, { ...places, Transport });
  const Session = granted.headers.get('Session') ?? '';
  await client.ok('PLAY', ABROAD, { ...places, Session });
  const asked = server.requests.findLast(({ method }) => method === 'SETUP')?.headers.get('Transport') ?? '';
  const ours = Number(/client_port=(\d+)/.exec(asked)?.[1]);
  const edgeOfServer = NET.serverA.edge;
  let sequence = 0;
  await eventually('media comes', () => {
    served.rtp.send(rtpPacket(7, ++sequence, 200), ours, edgeOfServer);
    return heard >= PACKETS || undefined;
  });
  // What a publisher would send goes to the server, or nowhere.
  const theirs = Number(/server_port=(\d+)/.exec(granted.headers.get('Transport') ?? '')?.[1]);
  for (let n = 0; n < PACKETS; n++) pair.rtp.send(rtpPacket(8, n, 200), theirs, edge);
  await client.ok('TEARDOWN', ABROAD, { Session });
}

it.each([
  ['a client', 'client', ''],
  ['a trusted proxy that speaks for itself', 'proxy', LOCAL],
  ['a trusted proxy that forwards a unix socket', 'proxy', UNIX],
] as const)('%s', async (_, who, header) => {
  const at = who === 'client' ? net.client : net.serverB;
  const { ip, edge } = who === 'client' ? NET.client : NET.serverB;
  const capture = await Capture.start(net.client2);
  await playHostile(at, ip, edge, Buffer.from(header));
  expect(await capture.stop()).toEqual([]);
});

it.each([
  ['a client with a PROXY header (v2)', 'client', formatBinary(ends(STRANGER))],
  ['a client with a PROXY header (v1)', 'client', formatLine(ends(STRANGER))],
  ['a trusted proxy that names nobody', 'proxy', formatBinary(ends('0.0.0.0'))],
  ['a trusted proxy that names everybody', 'proxy', formatBinary(ends('255.255.255.255'))],
  ['a trusted proxy that names this machine', 'proxy', formatBinary(ends('127.0.0.1'))],
  ['a trusted proxy that names a group', 'proxy', formatBinary(ends('ff02::1'))],
  ['a trusted proxy that names half an address', 'proxy', HALF],
])('%s gets nowhere', async (_, who, header) => {
  const at = who === 'client' ? net.client : net.serverB;
  const { edge } = who === 'client' ? NET.client : NET.serverB;
  const before = server.connections();
  const capture = await Capture.start(net.client2);
  const socket = await at.connect(edge, 8554);
  const gone = new Promise<void>((resolve) => socket.on('error', () => {}).once('close', () => resolve()));
  socket.resume().end(Buffer.concat([header, Buffer.from(`OPTIONS ${ABROAD} RTSP/1.0\r\nCSeq: 1\r\n\r\n`)]));
  await gone;
  expect(await capture.stop()).toEqual([]);
  expect(server.connections()).toBe(before);
});

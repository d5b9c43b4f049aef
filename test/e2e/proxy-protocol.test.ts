import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Capture } from '../support/capture.js';
import { certificateFile } from '../support/certificates.js';
import { flows } from '../support/flows.js';
import { MEDIA } from '../support/media.js';
import { type Namespace, NET, TestNetwork } from '../support/netns.js';
import { type Played, playFfmpeg, playGst, startGstServer, type Transport } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { RtspClient, TestSession } from '../support/rtsp-client.js';
import { startHaproxy, startNginx, type TcpProxy } from '../support/tcp-proxies.js';

// client — haproxy or nginx (host B) — appliance — haproxy, nginx or another appliance — gst-rtsp-server (host A).
// What the proxies are told and tell is their own doing.

const SECONDS = 3;
const FRAMES = SECONDS * MEDIA.framesPerSecond - 2;
const A = NET.serverA.ip;
const PROXY = NET.serverB.ip;
/** Where the proxies of host B reach the appliance. */
const EDGE = NET.serverB.edge;
const LIMIT = 6;

let net: TestNetwork;
let directory: string;
let appliance: Penstock;
let inner: Penstock;
let before: { haproxy: TcpProxy; nginx: TcpProxy };
let behind: { haproxy: TcpProxy; nginx: TcpProxy };

const vserver = (name: string, listen: string[], address: string, proxy?: 'v1' | 'v2') => ({
  name,
  listen,
  services: [{ name: `of-${name}`, address, ...(proxy ? { 'proxy-protocol': proxy } : {}) }],
});

beforeAll(async () => {
  net = TestNetwork.create();
  directory = mkdtempSync(join(tmpdir(), 'penstock-proxied-'));
  await startGstServer(net.serverA);
  await startGstServer(net.serverA, { port: 8556 });
  behind = {
    haproxy: await startHaproxy(net.serverA, [{ port: 9001, listen: 'accept-proxy', to: `${A}:8554` }]),
    nginx: await startNginx(net.serverA, [{ port: 9002, listen: 'proxy_protocol', to: `${A}:8554` }]),
  };
  inner = await Penstock.start(net.serverB, [
    ...['--listen', `${PROXY}:7554`, '--server', `${A}:8554`, '--proxy-protocol-from', EDGE],
  ]);
  appliance = await Penstock.start(net.appliance, ['--config', configure([PROXY])]);
  // After the appliance: haproxy takes a server whose first check fails for dead.
  before = {
    haproxy: await startHaproxy(net.serverB, [
      { port: 8001, to: `${EDGE}:8554`, server: 'send-proxy-v2 proxy-v2-options crc32c,unique-id check' },
      { port: 8002, to: `${EDGE}:8322`, server: 'send-proxy-v2' },
      { port: 8003, to: `${EDGE}:8554`, server: 'send-proxy' },
      { port: 8005, to: `${EDGE}:8554` },
    ]),
    nginx: await startNginx(net.serverB, [{ port: 8004, to: `${EDGE}:8554`, server: 'proxy_protocol on;' }]),
  };
});
afterAll(async () => {
  await appliance.stop(/worker \d: .*SIGKILL/);
  await inner.stop();
  for (const { haproxy, nginx } of [before, behind]) await Promise.all([haproxy.stop(), nginx.stop()]);
  net.destroy();
  rmSync(directory, { recursive: true });
});

/** The file; JSON is YAML. */
function configure(trusted: readonly string[], more: object = {}): string {
  const file = join(directory, 'penstock.yaml');
  const vservers = [
    {
      ...vserver('main', [`${EDGE}:8554`, `rtsps://${EDGE}:8322`, `${NET.client.edge}:8554`], `${A}:8554`),
      method: 'source-hash',
    },
    vserver('haproxy-v2', [`${NET.client.edge}:9001`], `${A}:9001`, 'v2'),
    vserver('haproxy-v1', [`${NET.client.edge}:9003`], `${A}:9001`, 'v1'),
    vserver('nginx-v2', [`${NET.client.edge}:9002`], `${A}:9002`, 'v2'),
    vserver('inner', [`${NET.client.edge}:7554`], `${PROXY}:7554`, 'v2'),
  ];
  vservers[0]?.services.push({ name: 'another', address: `${A}:8556` });
  const own = { 'tls-certificate': [certificateFile('edge.pem')], 'tls-key': [certificateFile('edge.key')] };
  const rest = { 'proxy-protocol-from': trusted, workers: 2, 'limit-client-connections': LIMIT, ...more };
  writeFileSync(file, JSON.stringify({ vservers, ...own, ...rest }));
  return file;
}

/** `play`, and meanwhile the client that the session's row names. */
async function watched(play: () => Promise<Played[]>, at = appliance): Promise<{ played: Played[]; client: string }> {
  const playing = play();
  const client = await eventually('a session', async () => (await at.show('session'))[0]?.client);
  const played = await playing;
  await eventually('it has ended', async () => (await at.show('session')).length === 0 || undefined);
  return { played, client: client.replace(/:\d+$/, '') };
}

function expectWhole(played: readonly Played[]): void {
  for (const { error, frames } of played) {
    expect(error).toBeUndefined();
    expect(frames).toBeGreaterThanOrEqual(FRAMES);
  }
}

describe('a client behind', () => {
  it.each([
    ['haproxy, v2 with a checksum', 'udp', `rtsp://${PROXY}:8001/test`],
    ['haproxy, v2 with a checksum', 'tcp', `rtsp://${PROXY}:8001/test`],
    ['haproxy, v2 with a checksum', 'HTTP', `rtsph://${PROXY}:8001/test`],
    ['haproxy, v2 before TLS', 'tcp', `rtsps://${PROXY}:8002/test`],
    ['haproxy, v1', 'udp', `rtsp://${PROXY}:8003/test`],
    ['nginx, v1', 'udp', `rtsp://${PROXY}:8004/test`],
    ['nginx, v1', 'tcp', `rtsp://${PROXY}:8004/test`],
  ])('%s, plays over %s as itself', async (_, how, url) => {
    const options = { transport: (how === 'udp' ? 'udp' : 'tcp') as Transport, seconds: SECONDS };
    const { played, client } = await watched(async () => [await playFfmpeg(net.client, url, options)]);
    expectWhole(played);
    expect(client).toBe(NET.client.ip);
  });

  it('haproxy gets media from the appliance itself, and rtspsrc is content with that', async () => {
    const capture = await Capture.start(net.client);
    expectWhole(await playGst(net.client, [`rtsp://${PROXY}:8001/test`], { transport: 'udp', seconds: SECONDS }));
    const packets = (await capture.stop()).filter(({ protocol }) => protocol === 'udp');
    expect(new Set(packets.flatMap(({ src, dst }) => [src, dst]))).toEqual(new Set([NET.client.ip, EDGE]));
  });

  it('a proxy that does not say who it is, is refused, and the log says why', async () => {
    const refused = await RtspClient.connect(net.client, PROXY, 8005);
    await expect(refused.request('OPTIONS', '*')).rejects.toThrow('no answer');
    const line = await appliance.log('a PROXY header was expected: there is none');
    expect(line).toMatchObject({ code: 'PENSTOCK_ERR_PROXY_HEADER', client: PROXY });
  });

  it('nobody, cannot pass for one', async () => {
    const stranger = await net.client.connect(NET.client.edge, 8554);
    const gone = new Promise<void>((resolve) => stranger.on('error', () => {}).once('close', () => resolve()));
    stranger.write('PROXY TCP4 192.0.2.7 192.0.2.8 1 554\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n');
    stranger.resume();
    await gone;
    await appliance.log(`${NET.client.ip} is not in proxy-protocol-from`);
  });
});

describe('the true client counts', () => {
  it('for source-hash: the same server, directly and through haproxy', async () => {
    const addresses = Array.from({ length: 6 }, (_, n) => `10.77.1.${20 + n}`);
    for (const address of addresses) net.client.ip('addr', 'add', `${address}/24`, 'dev', 'eth0');
    const serviceOf = async (host: string, port: number, from: string): Promise<string | undefined> => {
      const client = new RtspClient(await net.client.connect(host, port, from));
      const url = `rtsp://${host}:${port}/test`;
      const transport = 'RTP/AVP/TCP;unicast;interleaved=0-1';
      const answer = await client.ok('SETUP', `${url}/stream=0`, { Transport: transport });
      const shown = await appliance.show('session');
      const session = shown.find((one) => one.client.startsWith(`${from}:`));
      await client.ok('TEARDOWN', url, { Session: answer.headers.get('Session')?.replace(/;.*/, '') ?? '' });
      await client.close();
      return session?.service;
    };
    const direct = [];
    const proxied = [];
    for (const address of addresses) {
      direct.push(await serviceOf(NET.client.edge, 8554, address));
      proxied.push(await serviceOf(PROXY, 8001, address));
    }
    expect(proxied).toEqual(direct);
    expect(new Set(proxied)).toEqual(new Set(['of-main', 'another']));
  });

  it('for its limit, whether its connections have begun or not; its proxy has none', async () => {
    const sockets: Socket[] = [];
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
    });
    const silent = async (from: Namespace, port: number) => {
      const socket = await from.connect(PROXY, port);
      sockets.push(socket.on('error', () => {}).resume());
    };
    const refusals = async () =>
      (await appliance.show('stat')).find(({ name }) => name === 'worker_connections_refused')?.value ?? Number.NaN;
    const left = async () => (await appliance.show('process')).reduce((sum, one) => sum + (one.connections ?? 0), 0);
    await eventually('those of other tests are gone', async () => (await left()) === 0 || undefined);
    const refusedBefore = await refusals();
    // In clear, and in TLS handshakes that never begin. haproxy may pass them on in another order.
    for (let n = 0; n <= LIMIT; n++) await silent(net.client, n % 2 === 0 ? 8001 : 8002);
    const closed = () => sockets.filter(({ destroyed }) => destroyed).length;
    await eventually('one is closed', () => closed() > 0 || undefined);
    await eventually('it is counted', async () => (await refusals()) > refusedBefore || undefined);
    expect([closed(), await refusals()]).toEqual([1, refusedBefore + 1]);
    // Another client of the same proxy.
    const other = await RtspClient.connect(net.client2, PROXY, 8001);
    await other.ok('OPTIONS', '*');
    await other.close();
    sockets.find(({ destroyed }) => !destroyed)?.destroy();
    await eventually('one may come again', async () => {
      const again = await RtspClient.connect(net.client, PROXY, 8001);
      const is = await again.ok('OPTIONS', '*').then(
        () => true,
        () => undefined,
      );
      again.destroy();
      return is;
    });
  });
});

describe('a server behind', () => {
  it.each([
    ['haproxy, by v2', 9001, 'haproxy'],
    ['haproxy, by v1', 9003, 'haproxy'],
    ['nginx, by v2', 9002, 'nginx'],
  ] as const)('%s, is told who plays, and checks are told apart', async (_, port, name) => {
    const url = `rtsp://${NET.client.edge}:${port}/test`;
    const logged = behind[name].log.length;
    expectWhole([await playFfmpeg(net.client, url, { transport: 'tcp', seconds: SECONDS })]);
    const line = await eventually('a line of the proxy', () =>
      behind[name].log
        .slice(logged)
        .split('\n')
        .find((text) => text.startsWith(`${NET.client.ip}:`)),
    );
    expect(line).toContain(`, ${NET.client.edge}:${port}`);
    expect((await appliance.show('service')).filter(({ state }) => state !== 'up')).toEqual([]);
  });

  it.each(['udp', 'tcp'] as const)('another appliance, plays over %s through both', async (transport) => {
    const capture = await Capture.start(net.client);
    const url = `rtsp://${NET.client.edge}:7554/test`;
    const play = async () => [await playFfmpeg(net.client, url, { transport, seconds: SECONDS })];
    const { played, client } = await watched(play, inner);
    expectWhole(played);
    expect(client, 'the second one knows who plays').toBe(NET.client.ip);
    const strangers = (await capture.stop()).filter(
      ({ protocol, src, dst }) =>
        protocol === 'udp' && ![src, dst].every((ip) => ip === NET.client.ip || ip === NET.client.edge),
    );
    expect(flows(strangers), 'but sends its media to the first').toEqual([]);
  });
});

it('a client that came to its proxy by IPv6 gets media by IPv6, where there is an address for it', async () => {
  const url = `rtsp://[${NET.serverB.ip6}]:8001/test`;
  const options = { transport: 'udp', seconds: SECONDS } as const;
  const client = await RtspClient.connect(net.client, NET.serverB.ip6, 8001);
  const transport = { Transport: 'RTP/AVP;unicast;client_port=31000-31001' };
  expect((await client.request('SETUP', `${url}/stream=0`, transport)).status).toBe(461);
  expectWhole(await playGst(net.client, [url], { ...options, transport: 'tcp' }));
  configure([PROXY], { 'media-address': [NET.serverB.edge6] });
  expect(await appliance.reload()).toEqual(['reload: media-address']);
  await eventually('it is used', async () => {
    const { status, headers } = await client.request('SETUP', `${url}/stream=0`, transport);
    if (status === 461) return undefined;
    expect(headers.get('Transport')).toContain(`;source=${NET.serverB.edge6}`);
    await client.ok('TEARDOWN', url, { Session: headers.get('Session')?.replace(/;.*/, '') ?? '' });
    return true;
  });
  await client.close();
  const { played, client: shown } = await watched(async () => [await playFfmpeg(net.client, url, options)]);
  expectWhole(played);
  expect(shown).toContain(NET.client.ip6);
  configure([PROXY]);
  expect(await appliance.reload()).toEqual(['reload: media-address']);
});

it('who is trusted may change while sessions go on', async () => {
  const session = await TestSession.play(net.client, `rtsp://${PROXY}:8001/test`, {
    ...{ transport: 'udp', address: NET.client.ip, streams: 1 },
  });
  const answered = async (port: number) => {
    const client = await RtspClient.connect(net.client, PROXY, port);
    const is = await client.ok('OPTIONS', '*').then(
      () => true,
      () => undefined,
    );
    client.destroy();
    return is;
  };
  configure([]);
  expect(await appliance.reload()).toEqual(['reload: proxy-protocol-from']);
  await eventually('a proxy that says nothing is a client', () => answered(8005));
  expect(await answered(8001)).toBeUndefined();
  await session.streams[0]?.more(20);
  await session.client.ok('GET_PARAMETER', session.url, { Session: session.id });
  configure([PROXY]);
  expect(await appliance.reload()).toEqual(['reload: proxy-protocol-from']);
  await eventually('it is believed again', () => answered(8001));
  await session.teardown();
});

it('media and limits stay the client’s when its worker has a successor', async () => {
  const session = await TestSession.play(net.client, `rtsp://${PROXY}:8001/test`, {
    ...{ transport: 'udp', address: NET.client.ip, streams: 1 },
  });
  const workers = (await appliance.show('process')).filter(({ name }) => name.startsWith('worker'));
  await eventually('its connection has moved', async () => (await appliance.show('session'))[0]?.wire ?? undefined);
  for (const { pid } of workers) process.kill(pid, 'SIGKILL');
  await session.streams[0]?.more(20);
  await session.client.ok('GET_PARAMETER', session.url, { Session: session.id });
  expect((await appliance.show('session')).map(({ client }) => client.split(':')[0])).toEqual([NET.client.ip]);
  await session.teardown();
});

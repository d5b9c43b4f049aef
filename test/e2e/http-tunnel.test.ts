import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CLIP_FPS } from '../../src/origin/clip.js';
import { certificateFile } from '../support/certificates.js';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import { request } from '../support/peer.js';
import { playFfmpeg, playGst, startGstServer } from '../support/peers.js';
import { Penstock, resources, startOrigin } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { startHttpProxy } from '../support/tcp-proxies.js';

// Two workers: the two halves of a tunnel meet at the same one by chance only.
const SECONDS = 3;
const TUNNELS = 50;
const ca = certificateFile('ca.pem');
const servers = {
  'gst-rtsp-server': { port: 8554, path: '/test', frames: SECONDS * MEDIA.framesPerSecond - 2 },
  origin: { port: 8555, path: '/clip', frames: SECONDS * CLIP_FPS - 2 },
};
type ServerName = keyof typeof servers;

let net: TestNetwork;
const appliances: Partial<Record<ServerName, Penstock>> = {};

beforeAll(async () => {
  net = TestNetwork.create();
  await startGstServer(net.serverA);
  await startOrigin(net.serverA, ['--listen', `${NET.serverA.ip}:8555`]);
  for (const [name, { port }] of Object.entries(servers)) {
    appliances[name as ServerName] = await Penstock.start(net.appliance, [
      ...['--listen', `${NET.client.edge}:${port}`, '--listen', `rtsps://${NET.client.edge}:${port + 100}`],
      ...['--tls-certificate', certificateFile('edge.pem'), '--tls-key', certificateFile('edge.key')],
      ...['--server', `${NET.serverA.ip}:${port}`, '--workers', '2'],
    ]);
  }
});
afterAll(async () => {
  for (const appliance of Object.values(appliances)) await appliance.stop(/worker \d: .*SIGKILL/);
  net.destroy();
});

async function stat(name: ServerName, counter: string): Promise<number> {
  const stats = (await appliances[name]?.show('stat')) ?? [];
  return stats.find((one) => one.name === `worker_${counter}`)?.value ?? Number.NaN;
}

describe.each(Object.keys(servers) as ServerName[])('through the appliance to %s', (server) => {
  const { port, path, frames } = servers[server];
  it.each([
    ['HTTP', `rtsph://${NET.client.edge}:${port}${path}`],
    ['HTTP in TLS', `rtspsh://${NET.client.edge}:${port + 100}${path}`],
  ])('ffmpeg and rtspsrc play over %s', async (_, url) => {
    const options = { transport: 'tcp', seconds: SECONDS, ca } as const;
    const before = await stat(server, 'tunnels');
    const played = [await playFfmpeg(net.client, url, options), ...(await playGst(net.client, [url, url], options))];
    for (const one of played) {
      expect(one.error).toBeUndefined();
      expect(one.frames).toBeGreaterThanOrEqual(frames);
    }
    await eventually(
      'the tunnels are counted',
      async () => (await stat(server, 'tunnels')) - before === 3 || undefined,
    );
  });
});

it('ffmpeg and rtspsrc play through a reverse proxy for HTTP, which knows of no tunnel', async () => {
  const { port, path, frames } = servers['gst-rtsp-server'];
  const proxy = await startHttpProxy(net.serverB, { port: 8001, to: `${NET.client.edge}:${port}` });
  onTestFinished(() => proxy.stop());
  const url = `rtsph://${NET.serverB.ip}:8001${path}`;
  const options = { transport: 'tcp', seconds: SECONDS } as const;
  const played = [await playFfmpeg(net.client, url, options), ...(await playGst(net.client, [url, url], options))];
  for (const one of played) {
    expect(one.error).toBeUndefined();
    expect(one.frames).toBeGreaterThanOrEqual(frames);
  }
});

/** Of clients, as the workers count them. */
async function connections(appliance: Penstock): Promise<number> {
  return (await appliance.show('process')).reduce((sum, one) => sum + (one.connections ?? 0), 0);
}

async function secured(socket: Socket): Promise<Socket> {
  const stream = connect({ socket, rejectUnauthorized: false });
  await once(stream, 'secureConnect');
  return stream;
}

const halfOf = (method: string, cookie: string): string =>
  `${method} /test HTTP/1.0\r\nx-sessioncookie: ${cookie}\r\nContent-Length: 32767\r\n\r\n`;

/** Reads on until `end` has come, and returns all up to there. */
async function until(socket: Socket, end: string): Promise<string> {
  let text = '';
  while (!text.includes(end)) text += String((await once(socket, 'data'))[0]);
  return text;
}

it('a client may close its POST after each request, and each may come to another worker', async () => {
  const port = servers.origin.port;
  const cookies = Array.from({ length: 8 }, (_, n) => `cookie-${n}`);
  for (const cookie of cookies) {
    const get = await net.client.connect(NET.client.edge, port);
    get.write(halfOf('GET', cookie));
    expect(await until(get, '\r\n\r\n')).toContain('200 OK');
    for (const cseq of [1, 2, 3]) {
      const post = await net.client.connect(NET.client.edge, port);
      const asked = Buffer.from(request('OPTIONS', `rtsp://${NET.client.edge}:${port}/clip`, cseq)).toString('base64');
      post.write(halfOf('POST', cookie) + asked.slice(0, 7));
      post.end(asked.slice(7));
      expect(await until(get, `CSeq: ${cseq}\r\n`)).toContain('RTSP/1.0 200');
    }
    get.destroy();
  }
  // 24 times the same worker of two: about once in 17 million runs.
  await eventually('halves were passed', async () => (await stat('origin', 'tunnel_halves_passed')) > 0 || undefined);
});

it.each([
  ['in the clear', async (socket: Socket) => socket],
  ['in TLS', (socket: Socket) => secured(socket)],
] as const)('tunnels %s come and go, and leave nothing behind in any process', async (how, over) => {
  const appliance = appliances.origin as Penstock;
  const listening = servers.origin.port + (how === 'in TLS' ? 100 : 0);
  const dial = async () => await over(await net.client.connect(NET.client.edge, listening));
  const port = servers.origin.port;
  const asked = (cseq: number) =>
    Buffer.from(request('OPTIONS', `rtsp://${NET.client.edge}:${port}/clip`, cseq)).toString('base64');
  const roundOf = async (name: string): Promise<void> => {
    const cookies = Array.from({ length: TUNNELS }, (_, n) => `${name}-${n}`.replaceAll(' ', '-'));
    await Promise.all(
      cookies.map(async (cookie, n) => {
        const get = await dial();
        get.write(halfOf('GET', cookie));
        await until(get, '\r\n\r\n');
        const post = await dial();
        post.on('error', () => {}).write(halfOf('POST', cookie) + asked(1));
        await until(get, 'CSeq: 1\r\n');
        // One half goes first, or the other.
        for (const half of n % 2 === 0 ? [get, post] : [post, get]) half.on('error', () => {}).destroy();
      }),
    );
  };
  const held = () => appliance.pids().map((pid) => resources(pid).sockets);
  const before = held();
  const passed = await stat('origin', 'tunnel_halves_passed');
  for (const name of ['first', 'second', 'third']) await roundOf(`${how} ${name}`);
  await eventually('nothing is left', () => held().every((count, n) => count <= (before[n] ?? 0)) || undefined);
  await eventually('no connection is counted', async () => (await connections(appliance)) === 0 || undefined);
  await eventually(
    'halves were passed',
    async () => (await stat('origin', 'tunnel_halves_passed')) > passed || undefined,
  );
});

it('an upgrade ends tunnels, with a POST or without; the new version takes the same cookies', async () => {
  const appliance = appliances.origin as Penstock;
  const port = servers.origin.port;
  const begin = async (cookie: string): Promise<Socket> => {
    const get = await net.client.connect(NET.client.edge, port);
    get.write(halfOf('GET', cookie));
    expect(await until(get, '\r\n\r\n')).toContain('200 OK');
    return get;
  };
  const gets = [await begin('waiting'), await begin('used')];
  const post = await net.client.connect(NET.client.edge, port);
  const asked = request('OPTIONS', `rtsp://${NET.client.edge}:${port}/clip`, 1);
  post.write(halfOf('POST', 'used') + Buffer.from(asked).toString('base64'));
  await until(gets[1] as Socket, 'CSeq: 1\r\n');
  const ended = Promise.all(gets.map((get) => once(get.on('error', () => {}).resume(), 'close')));
  post.on('error', () => {});
  expect((await appliance.upgrade()).mode).toBe('adopt');
  await ended;
  for (const cookie of ['waiting', 'used']) (await begin(cookie)).destroy();
});

it('a worker that is killed takes its tunnels with it; the next one begins anew with the same cookie', async () => {
  const appliance = appliances.origin as Penstock;
  const workers = async () => (await appliance.show('process')).filter(({ name }) => name.startsWith('worker'));
  const get = await net.client.connect(NET.client.edge, servers.origin.port);
  get.write(halfOf('GET', 'cookie'));
  await until(get, '\r\n\r\n');
  const before = await workers();
  for (const { pid } of before) process.kill(pid, 'SIGKILL');
  await once(get.resume(), 'close');
  await eventually('workers are back', async () => {
    const now = await workers();
    return now.every(({ state, starts }, n) => state === 'ready' && starts > (before[n]?.starts ?? 0)) || undefined;
  });
  const again = await net.client.connect(NET.client.edge, servers.origin.port);
  again.write(halfOf('GET', 'cookie'));
  expect(await until(again, '\r\n\r\n')).toContain('200 OK');
  again.destroy();
});

import { afterAll, beforeAll, expect, it } from 'vitest';
import { NET, TestNetwork } from '../support/netns.js';
import { Penstock, type Resources, resources, startOrigin } from '../support/penstock.js';
import { eventually, type Program } from '../support/program.js';
import { RtspClient } from '../support/rtsp-client.js';

// Many sessions, a third of them ended badly: in the end everything is as it was before the first.
// With fewer than some 10,000 the heaps of the workers have not yet found their size.
const SESSIONS = Number(process.env.CHURN_SESSIONS ?? 20_000);
const AT_ONCE = 24;
const SAMPLES = 20;
const GROWTH = 1.1; // of memory, from the middle of the run to its end
const SLACK_KIB = 8192; // the garbage collector's own ups and downs
const BASE = `rtsp://${NET.client.edge}:8554/clip`;

let net: TestNetwork;
let origins: Program[];
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  // Each session is a connection of its own, tens of thousands within a minute.
  for (const namespace of [net.client, net.appliance]) {
    namespace.exec('sysctl', ['-qw', 'net.ipv4.tcp_tw_reuse=1', 'net.ipv4.ip_local_port_range=2000 19999']);
  }
  origins = [
    await startOrigin(net.serverA, ['--listen', `${NET.serverA.ip}:8554`]),
    await startOrigin(net.serverB, ['--listen', `${NET.serverB.ip}:8554`]),
  ];
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8554`, '--workers', '2', '--teardown-on-disconnect'],
    ...['--server', `${NET.serverA.ip}:8554`, '--server', `${NET.serverB.ip}:8554`],
  ]);
});
afterAll(() => net.destroy());

async function connect(): Promise<RtspClient> {
  return await RtspClient.connect(net.client, NET.client.edge, 8554);
}

const udpTransport = (number: number): string => {
  const port = 30_000 + (number % 500) * 2; // the same numbers come again and again, also at the same time
  return `RTP/AVP;unicast;client_port=${port}-${port + 1}`;
};

async function setup(client: RtspClient, track: string, number: number): Promise<string> {
  const answer = await client.ok('SETUP', track, { Transport: udpTransport(number) });
  return (answer.headers.get('Session') ?? '').replace(/;.*/, '');
}

type Ending = (client: RtspClient, track: string, number: number) => Promise<void>;

const well: Ending = async (client, track, number) => {
  const id = await setup(client, track, number);
  await client.ok('PLAY', BASE, { Session: id });
  await client.ok('TEARDOWN', BASE, { Session: id });
};

const badly: Record<string, Ending> = {
  async 'no TEARDOWN'(client, track, number) {
    const id = await setup(client, track, number);
    await client.ok('PLAY', BASE, { Session: id });
  },
  async 'half a request, then silence and a reset'(client, track, number) {
    await setup(client, track, number);
    client.socket.write(`PLAY ${BASE} RTSP/1.0\r\nCSeq: 9\r\nSess`);
  },
  async 'a FIN, and nobody reads the answer'(client, track, number) {
    client.socket.pause();
    client.socket.end(`SETUP ${track} RTSP/1.0\r\nCSeq: 1\r\nTransport: ${udpTransport(number)}\r\n\r\n`);
    await new Promise((resolve) => setImmediate(resolve));
  },
  async 'refused by the server'(client, track) {
    const answer = await client.request('SETUP', `${track}-of-nobody`, { Transport: udpTransport(0) });
    if (answer.status < 400) throw new Error(`expected a refusal, got ${answer.status}`);
  },
};
const endings = Object.values(badly);

async function session(track: string, number: number): Promise<void> {
  const client = await connect();
  const ending = number % 3 === 2 ? endings[((number / 3) % endings.length) | 0] : well;
  await (ending ?? well)(client, track, number);
  client.destroy();
}

async function firstTrack(): Promise<string> {
  const client = await connect();
  const { headers, body } = await client.ok('DESCRIBE', BASE);
  client.destroy();
  const control = /^m=[\s\S]*?^a=control:(\S+)/m.exec(body.toString('latin1'))?.[1] ?? '';
  const base = (headers.get('Content-Base') ?? BASE).replace(/\/$/, '');
  return control.startsWith('rtsp:') ? control : `${base}/${control}`;
}

interface Row {
  name: string;
  pid: number;
}
const measure = (rows: Row[]): Record<string, Resources> =>
  Object.fromEntries(rows.map(({ name, pid }) => [name, resources(pid)]));

const udpSockets = (): number => net.appliance.exec('ss', ['-Huan']).split('\n').filter(Boolean).length;

it(`${SESSIONS} sessions leave nothing behind`, async () => {
  const track = await firstTrack();
  // Showing lists starts a thread in the primary, with descriptors of its own.
  for (const what of ['session', 'listener'] as const) await appliance.show(what);
  const rows = await appliance.show('process');
  const start = measure(rows);
  const samples: Record<string, Resources>[] = [];
  const began = performance.now();
  let next = 0;
  const player = async (): Promise<void> => {
    while (next < SESSIONS) {
      const number = next++;
      if (number % Math.ceil(SESSIONS / SAMPLES) === 0) samples.push(measure(rows));
      await session(track, number);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, player));
  const seconds = (performance.now() - began) / 1000;

  await eventually('no session is left', async () => (await appliance.show('session')).length === 0 || undefined);
  await eventually('no media port is left', () => udpSockets() === 0 || undefined);
  const listeners = await appliance.show('listener');
  expect(listeners.filter(({ kind }) => kind === 'media')).toEqual([]);
  const more = () => {
    const now = measure(rows);
    return rows.filter(({ name }) => (now[name]?.descriptors ?? 0) > (start[name]?.descriptors ?? 0));
  };
  await expect.poll(more, { timeout: 60_000 }).toEqual([]);
  // Nobody died on the way: the processes are still the ones of the start.
  expect((await appliance.show('process')).map(({ pid }) => pid)).toEqual(rows.map(({ pid }) => pid));

  samples.push(measure(rows));
  const highest = (name: string, part: Record<string, Resources>[]): number =>
    Math.max(...part.map((sample) => sample[name]?.residentKiB ?? 0));
  const memory = rows.map(({ name }) => ({
    name,
    start: start[name]?.residentKiB,
    middle: highest(name, samples.slice(SAMPLES * 0.3, SAMPLES * 0.6)),
    end: highest(name, samples.slice(SAMPLES * 0.6)),
  }));
  const rate = { sessions: SESSIONS, seconds: Math.round(seconds), perSecond: Math.round(SESSIONS / seconds) };
  process.stdout.write(`${JSON.stringify({ measured: 'sessions opened and ended', ...rate, residentKiB: memory })}\n`);
  for (const { name, middle, end } of memory) {
    expect([name, end <= middle * GROWTH + SLACK_KIB]).toEqual([name, true]);
  }
  await appliance.stop();
  for (const origin of origins) expect(origin.running).toBe(true);
}, 600_000);

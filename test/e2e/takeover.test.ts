import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ProcessReport } from '../../src/admin/source.js';
import { CheckedClient, CheckedOrigin } from '../support/checked-peers.js';
import { NET, TestNetwork } from '../support/netns.js';
import { Penstock, resources } from '../support/penstock.js';
import { eventually } from '../support/program.js';

// kill -9 of workers and engine at random moments, while clients and an origin that know every byte look on: each frame
// comes once, whole and in order, each request is answered once. TAKEOVER_KILLS=500 for a long run.
const KILLS = Number(process.env.TAKEOVER_KILLS ?? 12);
const CLIENTS = 8;
const LONGEST_PAUSE_MS = 600;
const PORT = 8554;

let net: TestNetwork;
let origin: CheckedOrigin;
let appliance: Penstock;

beforeAll(() => {
  net = TestNetwork.create();
});
afterAll(() => net.destroy());

beforeEach(async () => {
  origin = await CheckedOrigin.start((connected) => net.serverA.listen(NET.serverA.ip, PORT, connected));
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:${PORT}`, '--workers', '2', '--monitor', 'none'],
    ...['--server', `${NET.serverA.ip}:${PORT}`],
  ]);
});
afterEach(async () => {
  origin.close();
  await appliance.stop(/ended: SIGKILL; starting another/);
});

async function play(number: number): Promise<CheckedClient> {
  const socket = await net.client.connect(NET.client.edge, PORT);
  const client = new CheckedClient(origin, socket, `rtsp://${NET.client.edge}:${PORT}/checked-${number}`);
  await client.play();
  return client;
}

const sum = (list: number[]): number => list.reduce((total, each) => total + each, 0);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function kill(victim: ProcessReport): Promise<void> {
  process.kill(victim.pid, 'SIGKILL');
  await eventually(`${victim.name} has a successor`, async () => {
    const now = (await appliance.show('process')).find(({ name }) => name === victim.name);
    return (now?.pid !== victim.pid && now?.state === 'ready') || undefined;
  });
}

async function killAtRandom(which: RegExp, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await sleep(Math.random() * LONGEST_PAUSE_MS);
    const candidates = (await appliance.show('process')).filter(({ name }) => which.test(name));
    await kill(candidates[Math.floor(Math.random() * candidates.length)] as ProcessReport);
  }
}

it.each([
  ['workers', /^worker/],
  ['the engine', /^engine/],
  ['workers and the engine', /^(worker|engine)/],
])('kill -9 of %s at random moments ends no connection, loses no byte and answers nothing twice', async (_, which) => {
  const held = () => resources(appliance.pid).descriptors;
  const before = held();
  const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => play(i)));
  let killed = false;
  const talks = clients.map((client) => client.talk(() => killed));
  await killAtRandom(which, KILLS);
  killed = true;
  await Promise.all(talks);
  expect([...origin.amiss, ...clients.flatMap(({ amiss }) => amiss)]).toEqual([]);
  for (const client of clients) await client.tearDown();
  expect([...origin.amiss, ...clients.flatMap(({ amiss }) => amiss)]).toEqual([]);
  for (const [from, to] of [
    [origin.ends, clients],
    [clients, origin.ends],
  ] as const) {
    const sent = sum(from.map(({ framesSent }) => framesSent));
    expect(sent).toBeGreaterThan(0);
    await eventually(
      'all frames have come',
      () => sum(to.map(({ framesReceived }) => framesReceived)) === sent || undefined,
    );
  }
  expect(origin.ends).toHaveLength(CLIENTS);
  await eventually('the table is empty', async () => (await appliance.show('session')).length === 0 || undefined);
  const wires = async () => (await appliance.show('listener')).filter(({ kind }) => kind === 'wire');
  await eventually('the wires are gone', async () => (await wires()).length === 0 || undefined);
  await eventually('the primary holds no descriptor more than before', () => held() <= before || undefined);
});

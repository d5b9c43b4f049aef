import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { CheckedClient, CheckedOrigin } from '../support/checked-peers.js';
import { NET, TestNetwork } from '../support/netns.js';
import { Penstock, resources } from '../support/penstock.js';
import { eventually } from '../support/program.js';

// A client stops reading while its server sends on, ten times as fast. What becomes of its media is a matter of policy;
// the framing, its answers and all other clients are not. Each end knows every byte that must come.

const PORT = 8554;
const READERS = 3;
/** Frames that are dropped before memory is measured for the first and for the last time; they are 25 MB. */
const DROPPED = [100, 35_000] as const;
const MOST_GROWN_KIB = 10 * 1024;

let net: TestNetwork;
beforeAll(() => {
  net = TestNetwork.create();
});
afterAll(() => net.destroy());

interface Scene {
  appliance: Penstock;
  origin: CheckedOrigin;
  readers: CheckedClient[];
  stopped: CheckedClient;
}

async function scene(overflow: string): Promise<Scene> {
  const origin = await CheckedOrigin.start((connected) => net.serverA.listen(NET.serverA.ip, PORT, connected));
  onTestFinished(() => origin.close());
  const appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:${PORT}`, '--server', `${NET.serverA.ip}:${PORT}`, '--monitor', 'none'],
    ...['--workers', '1', '--interleaved-backlog', '64K', '--interleaved-overflow', overflow],
  ]);
  onTestFinished(() => appliance.stop());
  const clients: CheckedClient[] = [];
  for (let i = 0; i <= READERS; i++) clients.push(await play(origin, i));
  const [stopped, ...readers] = clients as [CheckedClient, ...CheckedClient[]];
  return { appliance, origin, readers, stopped };
}

async function play(origin: CheckedOrigin, number: number): Promise<CheckedClient> {
  const socket = await net.client.connect(NET.client.edge, PORT);
  const client = new CheckedClient(origin, socket, `rtsp://${NET.client.edge}:${PORT}/checked-${number}`);
  await client.play();
  return client;
}

/** While `what` goes on, the readers get all of their media, and answers. */
async function whileOthersRead({ readers }: Scene, what: () => Promise<void>): Promise<void> {
  let over = false;
  const before = readers.map(({ framesReceived, answered }) => ({ framesReceived, answered }));
  const talks = readers.map((reader) => reader.talk(() => over));
  await what();
  over = true;
  await Promise.all(talks);
  for (const [i, reader] of readers.entries()) {
    expect(reader.amiss).toEqual([]);
    expect(reader.framesReceived).toBeGreaterThan(before[i]?.framesReceived ?? 0);
    expect(reader.answered).toBeGreaterThan(before[i]?.answered ?? 0);
  }
}

async function count(appliance: Penstock, name: string): Promise<number> {
  return (await appliance.show('stat')).find((stat) => stat.name === name)?.value ?? Number.NaN;
}

/** Of the process that holds the connections. */
async function engineMemory(appliance: Penstock): Promise<number> {
  const engine = (await appliance.show('process')).find(({ name }) => name.startsWith('engine'));
  return resources(engine?.pid as number).residentKiB;
}

it('a client that stops reading loses whole frames and no answer; the others lose nothing, and memory does not grow', async () => {
  const all = await scene('drop-frames');
  const { appliance, origin, readers, stopped } = all;
  const dropped = async (frames: number) => (await count(appliance, 'wire_frames_dropped')) >= frames || undefined;
  stopped.mayMiss = true;
  await whileOthersRead(all, async () => {
    stopped.flooded = true;
    stopped.socket.pause();
    const asked = stopped.keepAlive().catch(() => {}); // what is amiss is noted
    await eventually('frames are dropped', () => dropped(DROPPED[0]));
    const before = await engineMemory(appliance);
    await eventually('many frames are dropped', () => dropped(DROPPED[1]));
    expect((await engineMemory(appliance)) - before).toBeLessThan(MOST_GROWN_KIB);
    stopped.flooded = false;
    stopped.socket.resume();
    await asked;
  });
  // It reads again and misses nothing more.
  await stopped.keepAlive();
  const { framesReceived } = stopped;
  await eventually('media goes on', () => stopped.framesReceived > framesReceived || undefined);
  await Promise.all([stopped, ...readers].map((client) => client.tearDown()));
  expect([...stopped.amiss, ...origin.amiss]).toEqual([]);
  expect(stopped.framesMissed).toBe(await count(appliance, 'wire_frames_dropped'));
  expect(await count(appliance, 'wire_overflow_closes')).toBe(0);
});

it('a client that stops reading is closed where that is the policy, and nobody else', async () => {
  const all = await scene('close');
  const { appliance, readers, stopped } = all;
  await whileOthersRead(all, async () => {
    stopped.flooded = true;
    stopped.socket.pause();
    const left = async () => (await appliance.show('session')).length === READERS || undefined;
    await eventually('its session is over', left);
  });
  expect(await count(appliance, 'wire_overflow_closes')).toBe(1);
  stopped.socket.resume();
  await eventually('it sees the end', () => stopped.closed || undefined);
  await Promise.all(readers.map((client) => client.tearDown()));
  expect(readers.flatMap(({ amiss }) => amiss)).toEqual([]);
});

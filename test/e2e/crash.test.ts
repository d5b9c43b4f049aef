import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ProcessReport } from '../../src/admin/source.js';
import { NET, TestNetwork } from '../support/netns.js';
import { Penstock, startOrigin } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { RtspClient, TestSession } from '../support/rtsp-client.js';

// kill -9 of any process but the primary while media flows. The gaps are printed, not judged: they depend on the machine.
const STREAMS = 20;
const PACKETS = 50;
const URL = `rtsp://${NET.client.edge}:8554/clip`;

let net: TestNetwork;
let appliance: Penstock;
let sessions: TestSession[];

beforeAll(async () => {
  net = TestNetwork.create();
  await startOrigin(net.serverA, ['--listen', `${NET.serverA.ip}:8554`]);
  await startOrigin(net.serverB, ['--listen', `${NET.serverB.ip}:8554`]);
});
afterAll(() => net.destroy());

async function start(path: 'offload' | 'gso'): Promise<void> {
  appliance = await Penstock.start(net.appliance, [
    ...['--listen', `${NET.client.edge}:8554`, '--workers', '2', '--packet-path', path],
    ...['--server', `${NET.serverA.ip}:8554`, '--server', `${NET.serverB.ip}:8554`],
  ]);
  sessions = [];
  for (let i = 0; i < STREAMS; i++) {
    sessions.push(await TestSession.play(net.client, URL, { transport: 'udp', address: NET.client.ip, streams: 1 }));
  }
  await eventually(`tier ${path}`, async () => {
    return (await appliance.show('session')).every(({ tier }) => tier === path) || undefined;
  });
}
afterEach(async () => {
  for (const session of sessions) session.abandon();
  await appliance.stop(/ended: SIGKILL; starting another/);
});

const streams = () => sessions.flatMap((session) => session.streams);

/** Waits until every stream has received `count` more packets; the longest silence of each, ms. */
async function flow(count: number): Promise<number[]> {
  for (const stream of streams()) stream.reset();
  await Promise.all(streams().map((stream) => stream.more(count)));
  return streams().map(({ longestGap }) => longestGap);
}

async function processNamed(prefix: string): Promise<ProcessReport> {
  const found = (await appliance.show('process')).find(({ name }) => name.startsWith(prefix));
  if (!found) throw new Error(`no process ${prefix}`);
  return found;
}

/** Kills it and waits until its successor works and every stream flows again. How many packets were lost. */
async function killAndWatch(prefix: string): Promise<number> {
  const victim = await processNamed(prefix);
  const before = await flow(PACKETS);
  for (const stream of streams()) stream.reset();
  process.kill(victim.pid, 'SIGKILL');
  await eventually(`${victim.name} has a successor`, async () => {
    const now = await processNamed(victim.name);
    return (now.pid !== victim.pid && now.state === 'ready') || undefined;
  });
  await Promise.all(streams().map((stream) => stream.more(PACKETS)));
  const gaps = streams().map(({ longestGap }) => longestGap);
  const lost = streams().reduce((sum, stream) => sum + stream.lost, 0);
  report(victim.name, before, gaps, lost);
  return lost;
}

function report(killed: string, before: number[], gaps: number[], packetsLost: number): void {
  const longest = (list: number[]): number => Math.round(Math.max(...list));
  const median = (list: number[]): number => Math.round([...list].sort((x, y) => x - y)[list.length >> 1] ?? 0);
  const line = {
    measured: 'gap in milliseconds between packets of a stream',
    killed,
    streams: STREAMS,
    before: { median: median(before), longest: longest(before) },
    around: { median: median(gaps), longest: longest(gaps) },
    packetsLost,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Every session answers on a new connection, and ends when asked to. */
async function allSessionsLive(): Promise<void> {
  for (const { id } of sessions) {
    const client = await RtspClient.connect(net.client, NET.client.edge, 8554);
    await client.ok('GET_PARAMETER', URL, { Session: id });
    await client.ok('TEARDOWN', URL, { Session: id });
    client.destroy();
  }
  await eventually('the table is empty', async () => (await appliance.show('session')).length === 0 || undefined);
  const media = async () => (await appliance.show('listener')).filter(({ kind }) => kind === 'media');
  await eventually('the media ports are free', async () => (await media()).length === 0 || undefined);
}

describe.each(['offload', 'gso'] as const)('with tier %s', (path) => {
  it.each(['worker', 'engine'])('kill -9 of the %s ends no session', async (victim) => {
    await start(path);
    const lost = await killAndWatch(victim);
    // Packets wait in the sockets of tier gso, in the kernel's tables they do not even do that.
    if (path === 'offload') expect(lost).toBe(0);
    await allSessionsLive();
  });

  it('an engine killed after a worker finds the streams of both', async () => {
    await start(path);
    await killAndWatch('worker');
    await killAndWatch('engine');
    await allSessionsLive();
  });
});

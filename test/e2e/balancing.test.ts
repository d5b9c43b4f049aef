import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NET, TestNetwork } from '../support/netns.js';
import { type GstServer, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';
import { TestSession } from '../support/rtsp-client.js';

const CLIENTS = 20;
const URL = `rtsp://${NET.client.edge}:8554/test`;
const A = `${NET.serverA.ip}:8554`;
const B = `${NET.serverB.ip}:8554`;

let net: TestNetwork;
let a: GstServer;
let b: GstServer;
let appliance: Penstock;
let open: TestSession[] = [];

beforeAll(async () => {
  net = TestNetwork.create();
  a = await startGstServer(net.serverA);
  b = await startGstServer(net.serverB);
});
afterAll(() => net.destroy());
afterEach(async () => {
  for (const session of open) session.abandon();
  open = [];
  await appliance.stop();
});

async function start(...flags: string[]): Promise<void> {
  appliance = await Penstock.start(net.appliance, ['--listen', `${NET.client.edge}:8554`, '--workers', '2', ...flags]);
}

/** Plays `count` clients one after the other and leaves them playing. */
async function play(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    open.push(await TestSession.play(net.client, URL, { transport: 'udp', address: NET.client.ip, streams: 1 }));
  }
}

/** Sessions that each server itself says it opened while `body` ran. */
async function openedDuring(expected: number, body: () => Promise<void>): Promise<{ a: number; b: number }> {
  const before = { a: a.state.opened, b: b.state.opened };
  await body();
  return await eventually('the servers count every session', () => {
    const now = { a: a.state.opened - before.a, b: b.state.opened - before.b };
    return now.a + now.b === expected ? now : undefined;
  });
}

describe.each(['round-robin', 'least-sessions'])('%s', (method) => {
  it('gives two equal servers ten each', async () => {
    await start('--method', method, '--server', A, '--server', B);
    expect(await openedDuring(CLIENTS, async () => await play(CLIENTS))).toEqual({ a: 10, b: 10 });
  });

  it('gives weights 3 and 1 fifteen and five', async () => {
    await start('--method', method, '--server', `${A}?weight=3`, '--server', `${B}?weight=1`);
    expect(await openedDuring(CLIENTS, async () => await play(CLIENTS))).toEqual({ a: 15, b: 5 });
  });
});

it('gives the sessions of a killed server to the other one, and notices its return', async () => {
  await start('--server', A, '--server', B, '--monitor-interval', '0.5');
  await openedDuring(2, async () => await play(2));
  await a.kill();
  // At once: before a monitor can have noticed. No client may see an error.
  const after = b.state.opened;
  await play(4);
  await eventually('the other server has them all', () => b.state.opened === after + 4 || undefined);
  const stateOf = async (address: string) =>
    (await appliance.show('service')).find((service) => service.address === address)?.state;
  await eventually('the monitor sees the failure', async () => ((await stateOf(A)) === 'down' ? true : undefined));
  a = await startGstServer(net.serverA);
  await eventually('the monitor sees the return', async () => ((await stateOf(A)) === 'up' ? true : undefined));
  const { a: again } = await openedDuring(4, async () => await play(4));
  expect(again).toBeGreaterThan(0);
});

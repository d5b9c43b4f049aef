import { afterAll, beforeAll, expect, it } from 'vitest';
import { Capture } from '../support/capture.js';
import { NET, TestNetwork } from '../support/netns.js';

let net: TestNetwork;
beforeAll(() => {
  net = TestNetwork.create();
});
afterAll(() => net.destroy());

it.each([
  ['IPv4', NET.client.ip, NET.serverA.ip],
  ['IPv6', NET.client.ip6, NET.serverA.ip6],
])('shows every packet with its addresses, ports and bytes, %s', async (_family, from, to) => {
  const sender = await net.client.bindUdp(from);
  const receiver = await net.serverA.bindUdp(to);
  const capture = await Capture.start(net.serverA);
  const arrived = new Promise<void>((resolve) => {
    let count = 0;
    receiver.on('message', () => ++count === 3 && resolve());
  });
  for (const text of ['one', 'two', 'three']) sender.send(text, receiver.address().port, to);
  await arrived;
  const packets = (await capture.stop()).filter(({ protocol }) => protocol === 'udp');
  expect(packets.map(({ payload }) => payload.toString())).toEqual(['one', 'two', 'three']);
  for (const packet of packets) {
    expect(packet).toMatchObject({ src: from, sport: sender.address().port, dst: to, dport: receiver.address().port });
  }
  sender.close();
  receiver.close();
});

import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { NET, TestNetwork } from '../support/netns.js';

// The other tests stand on this network: programs and our own sockets live inside it.
let net: TestNetwork;
beforeAll(() => {
  net = TestNetwork.create();
});
afterAll(() => net.destroy());

it('joins every peer to the appliance', async () => {
  const server = await net.appliance.listen('::', 7100, () => {});
  const peers = [
    [net.client, NET.client],
    [net.client2, NET.client2],
    [net.serverA, NET.serverA],
    [net.serverB, NET.serverB],
  ] as const;
  for (const [namespace, { edge, edge6, ip, ip6 }] of peers) {
    const four = await namespace.connect(edge, 7100);
    const six = await namespace.connect(edge6, 7100);
    expect([four.localAddress, six.localAddress]).toEqual([ip, ip6]);
    four.destroy();
    six.destroy();
  }
  server.close();
});

it('gives this process TCP sockets that live in the namespaces', async () => {
  const server = await net.serverA.listen(NET.serverA.ip, 7000, (socket) => {
    socket.end(`hello ${socket.remoteAddress}`);
  });
  const socket = await net.client.connect(NET.serverA.ip, 7000);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'end');
  expect(Buffer.concat(chunks).toString()).toBe(`hello ${NET.client.ip}`);
  await expect(net.client.connect(NET.serverA.ip, 7001)).rejects.toThrow('ECONNREFUSED');
  socket.destroy();
  server.close();
});

it('gives this process UDP sockets that live in the namespaces', async () => {
  const a = await net.client.bindUdp(NET.client.ip6);
  const b = await net.serverB.bindUdp(NET.serverB.ip6);
  const received = once(b, 'message') as Promise<[Buffer, { address: string; port: number }]>;
  a.send('ping', b.address().port, NET.serverB.ip6);
  const [data, from] = await received;
  expect([data.toString(), from.address, from.port]).toEqual(['ping', NET.client.ip6, a.address().port]);
  a.close();
  b.close();
});

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { expect, it, onTestFinished } from 'vitest';
import { loadBinding } from '../../../src/engine/binding.js';
import { detach } from '../../../src/process/meeting-point.js';
import { TunnelRegistry } from '../../../src/process/tunnel-registry.js';

const asks = (question: 'open' | 'find', key: string) => ({ type: 'tunnel-question', id: 1, question, key }) as const;

it('a key belongs to the worker that opened it, until it closes it or dies', () => {
  const registry = new TunnelRegistry();
  expect(registry.answer(0, asks('find', 'a'))).toBe(false);
  expect(registry.answer(0, asks('open', 'a'))).toBe(true);
  expect(registry.answer(1, asks('open', 'a'))).toBe(false);
  expect(registry.answer(1, asks('find', 'a'))).toBe(true);
  expect(registry.workerOf('a')).toBe(0);
  registry.closed(1, 'a');
  expect(registry.workerOf('a')).toBe(0);
  registry.closed(0, 'a');
  expect(registry.workerOf('a')).toBeUndefined();
  for (const key of ['b', 'c']) registry.answer(1, asks('open', key));
  registry.answer(0, asks('open', 'd'));
  registry.forget(1);
  expect(['b', 'c', 'd'].map((key) => registry.workerOf(key))).toEqual([undefined, undefined, 0]);
});

/** What another process would make of the socket. */
function received(socket: Socket): Socket {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const there = new Socket({ fd: loadBinding().dupFd(fd), readable: true, writable: true });
  socket.destroy();
  onTestFinished(() => void there.destroy());
  return there;
}

async function text(socket: Socket): Promise<string> {
  let all = '';
  for await (const chunk of socket) all += chunk;
  return all;
}

it('a plain connection is given away with what was read of it, and goes on elsewhere', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => void client.destroy());
  const [ours] = (await once(server, 'connection')) as [Socket];
  client.write('read here, ');
  await once(ours, 'readable');
  const { socket, bytes } = detach(loadBinding(), ours);
  expect(ours.destroyed).toBe(true);
  const there = received(socket);
  client.end('read there');
  expect(`${bytes}${await text(there)}`).toBe('read here, read there');
});

it('of a stream that has no socket of its own the bytes go on through a pipe, and its end', async () => {
  const stream = new PassThrough();
  stream.write('all of ');
  const { socket, bytes } = detach(loadBinding(), stream);
  expect(bytes).toHaveLength(0);
  const there = received(socket);
  stream.end('it');
  expect(await text(there)).toBe('all of it');
});

it('where the far end of the pipe is closed, the stream is', async () => {
  const stream = new PassThrough();
  const there = received(detach(loadBinding(), stream).socket);
  there.destroy();
  await once(stream, 'close');
});

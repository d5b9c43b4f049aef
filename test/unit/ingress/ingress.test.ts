import type { Socket } from 'node:net';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { type MeetingPoint, Tunnels } from '../../../src/ingress/http/tunnels.js';
import { FIRST_BYTES_TIMEOUT_MS, Ingress, MAX_WAITING } from '../../../src/ingress/ingress.js';
import { createLogger } from '../../../src/log/logger.js';
import type { Vserver } from '../../../src/router/vserver.js';
import type { ByteStream } from '../../../src/rtsp/stream-transport.js';
import { MemorySocket } from '../../support/memory-socket.js';

const entrance = { vserver: { name: 'main' } as Vserver, tls: undefined };
const silent = createLogger({ level: 'silent', process: 'test' });
let accepted: ByteStream[];
let ingress: Ingress;

beforeEach(() => {
  accepted = [];
  ingress = new Ingress({
    log: silent,
    tunnels: new Tunnels({} as MeetingPoint),
    accept: (stream) => accepted.push(stream),
  });
});

/** A client of the ingress, and the socket of its connection there. */
function connect(): [client: Socket, ours: Socket] {
  const [client, ours] = MemorySocket.pair();
  ingress.accept(ours, entrance);
  return [client, ours];
}

it('a connection begins with its first byte, and misses none', async () => {
  const [client, ours] = connect();
  await new Promise(setImmediate);
  expect(accepted).toEqual([]);
  client.write('O');
  await vi.waitFor(() => expect(accepted).toEqual([ours]));
  client.write('PTIONS');
  let came = '';
  ours.on('data', (chunk) => {
    came += chunk;
  });
  await vi.waitFor(() => expect(came).toBe('OPTIONS'));
});

it('as many may wait as the limit says, and not one more; who has begun does not count', async () => {
  const clients = Array.from({ length: MAX_WAITING }, connect);
  expect(clients.every(([, ours]) => !ours.destroyed)).toBe(true);
  expect(connect()[1].destroyed).toBe(true);
  expect(ingress.counters).toMatchObject({ waitingRefused: 1 });
  clients[0]?.[0].write('x');
  await vi.waitFor(() => expect(accepted).toHaveLength(1));
  await new Promise(setImmediate);
  expect(connect()[1].destroyed).toBe(false);
  ingress.close();
});

it('who says nothing is closed when the time is over', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const [, ours] = connect();
  vi.advanceTimersByTime(FIRST_BYTES_TIMEOUT_MS - 1);
  expect(ours.destroyed).toBe(false);
  vi.advanceTimersByTime(1);
  expect(ours.destroyed).toBe(true);
  expect(ingress.counters).toMatchObject({ silent: 1 });
});

it.each([
  ['ends', (client: Socket) => client.end()],
  ['is reset', (_client: Socket, ours: Socket) => ours.destroy(new Error('ECONNRESET'))],
])('a connection that %s before its first byte is closed', async (_, end) => {
  const [client, ours] = connect();
  end(client, ours);
  await vi.waitFor(() => expect(ours.destroyed).toBe(true));
  expect(accepted).toEqual([]);
});

it('at the end of the worker those that wait are closed', () => {
  const [, ours] = connect();
  ingress.close();
  expect(ours.destroyed).toBe(true);
});

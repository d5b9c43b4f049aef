import type { Socket } from 'node:net';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type MeetingPoint, Tunnels } from '../../../src/ingress/http/tunnels.js';
import { type Entered, Ingress, LAST_WAIT_MS, MAX_UNNAMED } from '../../../src/ingress/ingress.js';
import { TrustedProxies } from '../../../src/ingress/trusted-proxies.js';
import { createLogger } from '../../../src/log/logger.js';
import { formatBinary, formatLine } from '../../../src/proxy-protocol/header.js';
import type { Vserver } from '../../../src/router/vserver.js';
import { MemorySocket } from '../../support/memory-socket.js';

const MAX_CONNECTIONS = 5;
const limits = { firstRequestMs: 30_000, messageMs: 10_000 };
const entrance = { vserver: { name: 'main' } as Vserver, tls: undefined };

let accepted: Entered[];
let lines: Record<string, unknown>[];
/** Connections that are counted, by client. */
let counted: string[];

beforeEach(() => {
  accepted = [];
  lines = [];
  counted = [];
});

function start(trusted: string[] = []): Ingress {
  const write = (line: string) => lines.push(JSON.parse(line));
  return new Ingress({
    log: createLogger({ level: 'info', process: 'test', destination: { write } }),
    limits,
    connections: {
      connect: (ip) => counted.length < MAX_CONNECTIONS && counted.push(ip) > 0,
      disconnect: (ip) => void counted.splice(counted.indexOf(ip), 1),
    },
    trusted: new TrustedProxies(trusted),
    tunnels: new Tunnels({} as MeetingPoint),
    accept: (entered) => accepted.push(entered),
  });
}

/** A client of the ingress, and the socket of its connection there. */
function connect(ingress: Ingress, ...sent: (string | Buffer)[]): [client: Socket, ours: Socket] {
  const [client, ours] = MemorySocket.pair();
  ingress.accept(ours, entrance);
  for (const part of sent) client.write(part);
  return [client, ours];
}

/** All that comes on a stream. */
function textOf({ stream }: Pick<Entered, 'stream'>): () => string {
  let text = '';
  stream.on('data', (chunk) => {
    text += chunk;
  });
  return () => text;
}

describe('a connection', () => {
  it('begins with its first byte, and misses none', async () => {
    const [client, ours] = connect(start());
    await new Promise(setImmediate);
    expect(accepted).toEqual([]);
    expect(counted).toEqual(['127.0.0.1']);
    client.write('O');
    await vi.waitFor(() => expect(accepted).toHaveLength(1));
    expect(accepted[0]).toEqual({ stream: ours, vserver: entrance.vserver, client: { ip: '127.0.0.1', port: 1 } });
    client.write('PTIONS');
    const came = textOf(accepted[0] as Entered);
    await vi.waitFor(() => expect(came()).toBe('OPTIONS'));
    expect(counted, 'it is counted on').toEqual(['127.0.0.1']);
  });

  it('counts from the first moment, and no more of them are let in than may be', async () => {
    const ingress = start();
    const clients = Array.from({ length: MAX_CONNECTIONS }, () => connect(ingress));
    expect(clients.every(([, ours]) => !ours.destroyed)).toBe(true);
    const [, one] = connect(ingress);
    await vi.waitFor(() => expect(one.destroyed).toBe(true));
    expect(counted).toHaveLength(MAX_CONNECTIONS);
    clients[0]?.[0].end();
    await vi.waitFor(() => expect(counted).toHaveLength(MAX_CONNECTIONS - 1));
    const [, next] = connect(ingress, 'x');
    await vi.waitFor(() => expect(accepted).toHaveLength(1));
    expect(next.destroyed).toBe(false);
  });

  it('that was reset before it was taken is nobody, and is not served', () => {
    const [client, ours] = MemorySocket.pair();
    Object.defineProperty(ours, 'remoteAddress', { value: undefined });
    start().accept(ours, entrance);
    client.write('OPTIONS * RTSP/1.0\r\n\r\n');
    expect(ours.destroyed).toBe(true);
    expect(counted).toEqual([]);
  });

  it('that is told why it is refused counts until it is closed', async () => {
    const [, ours] = connect(start(), 'GET / HTTP/1.0\r\n\r\n');
    await vi.waitFor(() => expect(lines).toMatchObject([{ code: 'PENSTOCK_ERR_TUNNEL' }]));
    expect(counted).toEqual(['127.0.0.1']);
    ours.destroy();
    await vi.waitFor(() => expect(counted).toEqual([]));
  });

  it('on which nothing comes is closed when its time is over', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const ingress = start();
    const [, ours] = connect(ingress);
    vi.advanceTimersByTime(limits.firstRequestMs - 1);
    expect(ours.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(ours.destroyed).toBe(true);
    expect(ingress.counters).toMatchObject({ silent: 1 });
  });

  it.each([
    ['ends', (client: Socket) => client.end()],
    ['is reset', (_client: Socket, ours: Socket) => ours.destroy(new Error('ECONNRESET'))],
  ])('that %s before its first byte is closed, and nobody is told', async (_, end) => {
    const [client, ours] = connect(start());
    end(client, ours);
    await vi.waitFor(() => expect(ours.destroyed).toBe(true));
    await vi.waitFor(() => expect(counted).toEqual([]));
    expect([accepted, lines]).toEqual([[], []]);
  });

  it('that waits at the end of the worker is closed', () => {
    const ingress = start();
    const [, ours] = connect(ingress);
    ingress.close();
    expect(ours.destroyed).toBe(true);
  });

  it('may begin for another moment when the worker gives way, and is closed then', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const ingress = start();
    const [[early, first], [, second]] = [connect(ingress), connect(ingress)];
    ingress.giveWay();
    early.write('OPTIONS');
    await vi.waitFor(() => expect(accepted).toHaveLength(1));
    expect([second.destroyed, ingress.waiting]).toEqual([false, 1]);
    vi.advanceTimersByTime(LAST_WAIT_MS);
    expect([first.destroyed, second.destroyed]).toEqual([false, true]);
    await vi.waitFor(() => expect(ingress.waiting).toBe(0));
  });
});

describe('PROXY headers', () => {
  const ends = { source: { ip: '192.0.2.7', port: 7_777 }, destination: { ip: '198.51.100.1', port: 554 } };

  it.each([
    ['v2', formatBinary(ends)],
    ['v1', formatLine(ends)],
  ])('%s of a trusted proxy tells the client, who is counted', async (_, header) => {
    const ingress = start(['127.0.0.0/8']);
    const [client, ours] = connect(ingress, header.subarray(0, 5));
    await new Promise(setImmediate);
    expect(counted, 'whose it is is not known').toEqual([]);
    client.write(Buffer.concat([header.subarray(5), Buffer.from('OPTIONS')]));
    await vi.waitFor(() => expect(accepted).toHaveLength(1));
    expect(accepted[0]).toEqual({
      stream: ours,
      vserver: entrance.vserver,
      client: ends.source,
      proxied: { by: { ip: '127.0.0.1', port: 1 }, destination: ends.destination },
    });
    expect(counted).toEqual(['192.0.2.7']);
    const came = textOf(accepted[0] as Entered);
    await vi.waitFor(() => expect(came()).toBe('OPTIONS'));
    expect(ingress.counters).toMatchObject({ proxyHeaders: 1, proxyHeadersRefused: 0 });
  });

  it.each([
    ['v2 LOCAL', formatBinary(undefined)],
    ['v1 UNKNOWN', formatLine(undefined)],
  ])('%s means the proxy itself', async (_, header) => {
    connect(start(['127.0.0.1/32']), header, 'OPTIONS');
    await vi.waitFor(() => expect(accepted).toHaveLength(1));
    expect(accepted[0]?.client).toEqual({ ip: '127.0.0.1', port: 1 });
    expect(accepted[0]).not.toHaveProperty('proxied');
  });

  it.each([
    ['a trusted proxy that sends none', ['127.0.0.1/32'], Buffer.from('OPTIONS * RTSP/1.0')],
    ['a trusted proxy that sends two', ['127.0.0.1/32'], Buffer.concat([formatBinary(ends), formatBinary(ends)])],
    ['a stranger that sends v2', ['192.0.2.0/24'], formatBinary(ends)],
    ['a stranger that sends v1', [], formatLine(ends)],
  ])('%s is refused', async (_, trusted, sent) => {
    const ingress = start(trusted);
    const [, ours] = connect(ingress, sent);
    await vi.waitFor(() => expect(ours.destroyed).toBe(true));
    expect(accepted).toEqual([]);
    await vi.waitFor(() => expect(counted).toEqual([]));
    expect(ingress.counters).toMatchObject({ proxyHeadersRefused: 1 });
    expect(lines).toMatchObject([{ code: 'PENSTOCK_ERR_PROXY_HEADER' }]);
  });

  it.each(['127.0.0.1', '127.255.0.1', '::1', '::ffff:127.0.0.1'])(
    'of a proxy elsewhere whose client is %s is refused: that would be this machine',
    async (ip) => {
      const ingress = start(['10.0.0.5/32']);
      const [client, ours] = MemorySocket.pair();
      Object.defineProperty(ours, 'remoteAddress', { value: '10.0.0.5' });
      ingress.accept(ours, entrance);
      client.write(formatBinary({ ...ends, source: { ip, port: 7_777 } }));
      await vi.waitFor(() => expect(ours.destroyed).toBe(true));
      expect([accepted, counted]).toEqual([[], []]);
      expect(lines).toMatchObject([{ code: 'PENSTOCK_ERR_PROXY_HEADER', client: '10.0.0.5' }]);
    },
  );

  it('a client that has too many connections is refused, whoever forwards them', async () => {
    const ingress = start(['127.0.0.1/32']);
    for (let n = 0; n < MAX_CONNECTIONS; n++) connect(ingress, formatBinary(ends), 'x');
    await vi.waitFor(() => expect(accepted).toHaveLength(MAX_CONNECTIONS));
    const [, ours] = connect(ingress, formatBinary(ends), 'x');
    await vi.waitFor(() => expect(ours.destroyed).toBe(true));
  });

  it('of as many connections may be waited for as the limit says, and of not one more', async () => {
    const ingress = start(['127.0.0.1/32']);
    const clients = Array.from({ length: MAX_UNNAMED }, () => connect(ingress));
    expect(clients.every(([, ours]) => !ours.destroyed)).toBe(true);
    const [, one] = connect(ingress);
    await vi.waitFor(() => expect(one.destroyed).toBe(true));
    expect(ingress.counters).toMatchObject({ unnamedRefused: 1 });
    clients[0]?.[0].end();
    await vi.waitFor(() => expect(clients[0]?.[1].destroyed).toBe(true));
    const [, next] = connect(ingress);
    await new Promise(setImmediate);
    expect(next.destroyed).toBe(false);
    ingress.close();
  });
});

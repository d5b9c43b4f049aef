import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { POST_OVERLAP_MS } from '../../../src/ingress/http/tunnel-stream.js';
import {
  FIRST_POST_TIMEOUT_MS,
  MAX_WAITING_TUNNELS,
  type MeetingPoint,
  Tunnels,
} from '../../../src/ingress/http/tunnels.js';
import { Ingress } from '../../../src/ingress/ingress.js';
import { TrustedProxies } from '../../../src/ingress/trusted-proxies.js';
import { createLogger } from '../../../src/log/logger.js';
import type { Vserver } from '../../../src/router/vserver.js';
import type { ByteStream } from '../../../src/rtsp/stream-transport.js';
import { MemorySocket } from '../../support/memory-socket.js';

const limits = { firstRequestMs: 30_000, messageMs: 10_000 };
const entrance = { vserver: { name: 'main' } as Vserver, tls: undefined };
const GRANTED = /^HTTP\/1\.0 200 OK\r\n(.+\r\n)*Content-Type: application\/x-rtsp-tunnelled\r\n\r\n$/;
const REFUSED = /^HTTP\/1\.0 400 Bad Request\r\n/;

/** What the primary is to two workers: keys, and halves for the other one. */
class Meeting implements MeetingPoint {
  readonly keys = new Map<string, Meeting>();
  readonly passed: { key: string; post: Duplex }[] = [];

  async open(key: string): Promise<boolean> {
    if (this.keys.has(key)) return false;
    this.keys.set(key, this);
    return true;
  }

  async find(key: string): Promise<boolean> {
    return this.keys.has(key);
  }

  close(key: string): void {
    this.keys.delete(key);
  }

  pass(key: string, post: Duplex): void {
    this.passed.push({ key, post });
  }
}

let meeting: Meeting;
let tunnels: Tunnels;
let ingress: Ingress;
/** RTSP connections that began. */
let accepted: ByteStream[];
/** Counted, those that waited and went counted off. */
let connections: number;

beforeEach(() => {
  accepted = [];
  connections = 0;
  meeting = new Meeting();
  tunnels = new Tunnels(meeting);
  ingress = ingressTo(tunnels, (stream) => accepted.push(stream));
});

function ingressTo(to: Tunnels, accept: (stream: ByteStream) => void): Ingress {
  return new Ingress({
    log: createLogger({ level: 'silent', process: 'test' }),
    limits,
    connections: {
      connect: () => {
        connections++;
        return true;
      },
      disconnect: () => connections--,
    },
    trusted: new TrustedProxies([]),
    tunnels: to,
    accept: ({ stream }) => accept(stream),
  });
}

interface Client {
  socket: Socket;
  /** The appliance's end. */
  ours: Socket;
  /** What came. */
  readonly text: string;
}

function connect(...sent: string[]): Client {
  const [socket, ours] = MemorySocket.pair();
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  ingress.accept(ours, entrance);
  for (const part of sent) socket.write(part);
  return {
    socket,
    ours,
    get text() {
      return text;
    },
  };
}

const head = (method: string, cookie: string) => `${method} /live HTTP/1.1\r\nx-sessioncookie: ${cookie}\r\n\r\n`;
const get = (cookie = 'c1') => connect(head('GET', cookie));
const post = (cookie = 'c1', ...more: string[]) => connect(head('POST', cookie), ...more);
const base64 = (text: string) => Buffer.from(text).toString('base64');
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** An open tunnel: its GET, our end, and what came through it. */
async function open(cookie = 'c1') {
  const client = get(cookie);
  await vi.waitFor(() => expect(client.text).toMatch(GRANTED));
  const stream = accepted.at(-1) as ByteStream;
  let received = '';
  stream.on('data', (chunk) => {
    received += chunk;
  });
  return { client, stream, received: () => received };
}

describe('a tunnel', () => {
  it('gives what comes in the POST, and sends in the answer to the GET', async () => {
    const { client, stream, received } = await open();
    post('c1', base64('OPTIONS * RT'), base64('SP/1.0\r\n'));
    await vi.waitFor(() => expect(received()).toBe('OPTIONS * RTSP/1.0\r\n'));
    stream.cork();
    stream.write('RTSP/1.0 ');
    stream.write(Buffer.from('200 OK\r\n'));
    stream.uncork();
    await vi.waitFor(() => expect(client.text.split('\r\n\r\n')[1]).toBe('RTSP/1.0 200 OK\r\n'));
    expect([stream.remoteAddress, stream.remotePort]).toEqual(['127.0.0.1', 1]);
    expect(connections, 'a tunnel is one connection').toBe(1);
  });

  it('begins with bytes that came with the head', async () => {
    const { received } = await open();
    connect(`${head('POST', 'c1')}${base64('OPTIONS')}`);
    await vi.waitFor(() => expect(received()).toBe('OPTIONS'));
  });

  it('goes on with another POST after one was closed, however long that takes', async () => {
    const { received, stream } = await open();
    const first = post('c1', base64('one '));
    await vi.waitFor(() => expect(received()).toBe('one '));
    first.socket.end();
    await vi.waitFor(() => expect(first.ours.destroyed).toBe(true));
    expect(stream.destroyed).toBe(false);
    post('c1', base64('two'));
    await vi.waitFor(() => expect(received()).toBe('one two'));
  });

  it('reads a POST to its end before the next, and never two next ones', async () => {
    const { received } = await open();
    const first = post('c1', base64('one '));
    const second = post('c1', base64('two'));
    await settled();
    const third = post('c1', base64('three'));
    await vi.waitFor(() => expect(third.text).toMatch(REFUSED));
    first.socket.write(base64('and a half '));
    first.socket.end();
    await vi.waitFor(() => expect(received()).toBe('one and a half two'));
    expect(second.ours.destroyed).toBe(false);
  });

  it('forgets a POST that ended before its turn', async () => {
    const { received } = await open();
    const first = post('c1', base64('one '));
    const second = post('c1', base64('never'));
    await settled();
    second.ours.destroy();
    await settled();
    const third = post('c1', base64('two '));
    await settled();
    third.ours.destroy();
    first.socket.end();
    await vi.waitFor(() => expect(first.ours.destroyed).toBe(true));
    post('c1', base64('three'));
    await vi.waitFor(() => expect(received()).toBe('one three'));
  });

  it('leaves a POST whose end does not come', async () => {
    const { received } = await open();
    const first = post('c1', base64('one '));
    await vi.waitFor(() => expect(received()).toBe('one '));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    post('c1', base64('two'));
    await settled();
    await settled();
    vi.advanceTimersByTime(POST_OVERLAP_MS - 1);
    expect(first.ours.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(first.ours.destroyed).toBe(true);
    vi.useRealTimers();
    await vi.waitFor(() => expect(received()).toBe('one two'));
  });

  it('that is not read stops to read, and goes on', async () => {
    const client = get();
    await vi.waitFor(() => expect(client.text).toMatch(GRANTED));
    const stream = accepted[0] as ByteStream;
    const half = post();
    await settled();
    const text = 'x'.repeat(30_000);
    for (let n = 0; n < 10; n++) half.socket.write(base64(text));
    await vi.waitFor(() => expect(half.ours.isPaused()).toBe(true));
    expect(stream.readableLength).toBeLessThan(5 * text.length);
    let length = 0;
    stream.on('data', (chunk) => {
      length += chunk.length;
    });
    await vi.waitFor(() => expect(length).toBe(10 * text.length));
  });

  it.each([
    ['its GET breaks', (client: Client) => client.ours.destroy(new Error('ECONNRESET'))],
    ['we close it', (_client: Client, stream: ByteStream) => stream.destroy()],
  ])('ends with its POST when %s, and its cookie is free', async (_, end) => {
    const { client, stream } = await open();
    const half = post();
    await settled();
    end(client, stream);
    await vi.waitFor(() =>
      expect([stream, client.ours, half.ours].map((s) => s.destroyed)).toEqual([true, true, true]),
    );
    await vi.waitFor(() => expect(meeting.keys.size).toBe(0));
    await open();
  });

  it('of which the client shuts its half ends in an orderly way: what is left to send is sent', async () => {
    const { client, stream } = await open();
    const ended = vi.fn();
    stream.on('end', ended);
    client.socket.end();
    await vi.waitFor(() => expect(ended).toHaveBeenCalled());
    stream.end('bye');
    await vi.waitFor(() => expect(client.text).toMatch(/bye$/));
    await vi.waitFor(() => expect(stream.destroyed).toBe(true));
  });

  it('ends with noise in its POST', async () => {
    const { stream } = await open();
    const failed = vi.fn();
    stream.on('error', failed);
    post('c1', 'OPTIONS * RTSP/1.0\r\n\r\n');
    await vi.waitFor(() => expect(stream.destroyed).toBe(true));
    expect(failed).toHaveBeenCalledWith(expect.objectContaining({ code: 'PENSTOCK_ERR_TUNNEL' }));
  });
});

describe('a half is refused', () => {
  it.each([
    ['a POST without its GET', () => post('other')],
    ['a second GET with a cookie that is in use', () => get()],
    ['a browser', () => connect('GET / HTTP/1.1\r\nHost: edge\r\n\r\n')],
  ])('%s', async (_, begin) => {
    const { client } = await open();
    const half = begin();
    await vi.waitFor(() => expect(half.text).toMatch(REFUSED));
    expect(tunnels.counters).toMatchObject({ tunnels: 1, tunnelsRefused: 1 });
    expect(client.ours.destroyed).toBe(false);
  });

  it('where the two came to different vservers', async () => {
    await open();
    const [socket, ours] = MemorySocket.pair();
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    ingress.accept(ours, { ...entrance, vserver: { name: 'other' } as Vserver });
    socket.write(head('POST', 'c1'));
    await vi.waitFor(() => expect(text).toMatch(REFUSED));
  });

  it('where it came from another address than the other', async () => {
    await open();
    const [socket, ours] = MemorySocket.pair();
    Object.defineProperty(ours, 'remoteAddress', { value: '192.0.2.1' });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    ingress.accept(ours, entrance);
    socket.write(head('POST', 'c1'));
    await vi.waitFor(() => expect(text).toMatch(REFUSED));
  });
});

describe('limits', () => {
  it('as many tunnels may wait for their POST as the limit says, and not one more', async () => {
    const clients = Array.from({ length: MAX_WAITING_TUNNELS }, (_, n) => get(`c${n}`));
    await vi.waitFor(() => expect(accepted).toHaveLength(MAX_WAITING_TUNNELS));
    const one = get('more');
    await vi.waitFor(() => expect(one.text).toMatch(REFUSED));
    post('c0');
    await settled();
    await settled();
    const next = get('more');
    await vi.waitFor(() => expect(next.text).toMatch(GRANTED));
    for (const { socket } of clients) socket.destroy();
  });

  it('a tunnel whose POST does not come in time is closed, one that had a POST is not', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const [lonely, whole] = [get('lonely'), get('whole')];
    await vi.waitUntil(() => accepted.length === 2);
    post('whole').socket.end();
    await vi.waitUntil(() => accepted.length === 2);
    for (let turn = 0; turn < 10; turn++) await settled();
    vi.advanceTimersByTime(FIRST_POST_TIMEOUT_MS - 1000);
    expect(lonely.ours.destroyed).toBe(false);
    vi.advanceTimersByTime(1000);
    await settled();
    expect([lonely, whole].map(({ ours }) => ours.destroyed)).toEqual([true, false]);
  });

  it('a head has its time, and no longer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const client = connect('GET / HTT');
    await settled();
    await settled();
    vi.advanceTimersByTime(limits.messageMs - 1);
    expect(client.ours.destroyed).toBe(false);
    vi.advanceTimersByTime(1);
    expect(client.ours.destroyed).toBe(true);
    expect(ingress.counters).toMatchObject({ silent: 1 });
  });
});

describe('halves at different workers', () => {
  it('a POST goes to the worker that has the GET, with what was read of it', async () => {
    const { received } = await open();
    const elsewhere = new Tunnels(meeting);
    const [socket, ours] = MemorySocket.pair();
    ingressTo(elsewhere, () => {}).accept(ours, entrance);
    socket.write(`${head('POST', 'c1')}${base64('OPTIONS')}`);
    await vi.waitFor(() => expect(meeting.passed).toHaveLength(1));
    expect(elsewhere.counters).toMatchObject({ tunnelHalvesPassed: 1, tunnelsRefused: 0 });
    const { key, post: half } = meeting.passed[0] as { key: string; post: Duplex };
    const bytes = half.read() as Buffer;
    expect(bytes.toString()).toBe(base64('OPTIONS'));
    tunnels.take(key, half, bytes);
    await vi.waitFor(() => expect(received()).toBe('OPTIONS'));
    socket.write(base64(' *'));
    await vi.waitFor(() => expect(received()).toBe('OPTIONS *'));
  });

  it('one whose tunnel ended on the way is closed', () => {
    const [, half] = MemorySocket.pair();
    tunnels.take('gone', half, Buffer.alloc(0));
    expect(half.destroyed).toBe(true);
  });
});

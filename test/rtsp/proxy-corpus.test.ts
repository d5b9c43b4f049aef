import type { NetConnectOpts, Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { SharedRegion } from '../../src/engine/shared-region.js';
import { FakeSockets } from '../support/fake-sockets.js';
import { freshRegion } from '../support/fresh-region.js';
import { MemorySocket } from '../support/memory-socket.js';
import { Arrivals, Peer, request, ScriptedServer } from '../support/peer.js';
import { ProxyHarness, type ServiceAt } from '../support/proxy-harness.js';
import { type CorpusCase, type CorpusMessage, loadCorpus } from './corpus.js';
import { bytewise, record } from './recorder.js';
import { loadRewritings, type Names, type Rewriting, rewriting } from './rewriting.js';

// Every conversation of the corpus goes through the proxy. Servers keep the addresses that they had when they were
// recorded, so no byte of theirs has to be adapted: a connection to such an address leads elsewhere.
//
// - whole: over loopback TCP, each message in one write;
// - byte by byte, and split at each single point: over connections in memory, where each piece arrives as one chunk.
//   Run n plays the conversation with every message cut after its n-th byte, and stops after the last message that
//   is longer: so each message of each conversation is cut at each of its points, with all messages before it.

const dialling = vi.hoisted(() => ({ elsewhere: undefined as ((host: string) => unknown) | undefined }));

vi.mock('node:net', async (original) => {
  const net = await original<typeof import('node:net')>();
  const connect = (options: NetConnectOpts & { host?: string }): unknown =>
    dialling.elsewhere?.(options.host ?? '') ?? net.connect(options);
  return { ...net, connect };
});

const APPLIANCE = '192.168.7.1';
const ODD_SERVER: ServiceAt = { host: '192.0.2.9', port: 8001 };

const corpus = loadCorpus();
const conversations = corpus.filter(({ name }) => name !== 'odd');
const odd = corpus.find(({ name }) => name === 'odd') as CorpusCase;

type Pieces = (bytes: Buffer) => Iterable<Buffer>;

const whole: Pieces = (bytes) => [bytes];
const cutAt =
  (at: number): Pieces =>
  (bytes) =>
    at < bytes.length ? [bytes.subarray(0, at), bytes.subarray(at)] : [bytes];

/** How the two sides of the proxy are reached. */
interface Network {
  connect(): Promise<Peer>;
  accepted(): Promise<Peer>;
  close(): Promise<void>;
}

interface Step extends Rewriting {
  message: CorpusMessage;
  /** Of a server's message: none is awaited where the appliance answered instead of the server. */
  isSkipped: boolean;
}

/** What happens, one message after the other. Inside an HTTP tunnel the same would happen as without it. */
function stepsOf({ name, messages }: CorpusCase, names: Names): Step[] {
  const changes = loadRewritings(name);
  const isTunnel = messages.some(({ tunnelled }) => tunnelled);
  const plain = messages.filter(({ bytes, tunnelled }) => tunnelled || !bytes.toString('latin1').includes('HTTP/1.'));
  let answered = false;
  return plain.map((message) => {
    const number = message.name.slice(name.length + 1);
    const step = rewriting(message, changes.get(number) ?? [], names);
    const isSkipped = message.from === 'server' && answered;
    answered = message.from === 'client' && step.answered !== undefined;
    return { ...step, message: isTunnel ? { ...message, conn: 0 } : message, isSkipped };
  });
}

function serverOf({ messages }: CorpusCase): ServiceAt {
  const [, host = '', port] = /rtsp:\/\/([\d.]+):(\d+)/.exec(String(messages.map(({ bytes }) => bytes))) ?? [];
  return { host, port: Number(port) };
}

function harness(service: ServiceAt, region?: SharedRegion): ProxyHarness {
  return new ProxyHarness({
    services: [service],
    sockets: new FakeSockets(),
    config: {
      sessionId: 'prefix',
      portPolicy: 'pool',
      mediaPorts: { min: 30_000, max: 30_999 },
      mediaAddresses: [{ side: 'client', address: APPLIANCE }],
      logLevel: 'silent',
    },
    ...(region && { region }),
  });
}

/** A network of real connections. */
async function loopback(proxy: ProxyHarness, { host }: ServiceAt): Promise<Network> {
  const server = await ScriptedServer.listen();
  await proxy.listen();
  const { connect } = await vi.importActual<typeof import('node:net')>('node:net');
  dialling.elsewhere = (to) =>
    to === host ? connect({ host: server.host, port: server.port, allowHalfOpen: true, noDelay: true }) : undefined;
  return {
    connect: () => proxy.connect(),
    accepted: () => server.accepted(),
    async close() {
      await Promise.all([proxy.close(), server.close()]);
    },
  };
}

/** A network in memory. */
function inMemory(proxy: ProxyHarness): Network {
  const peers: Peer[] = [];
  const arrivals = new Arrivals<Peer>();
  const ours: Socket[] = [];
  const peer = (socket: Socket) => {
    const made = new Peer(socket);
    peers.push(made);
    return made;
  };
  dialling.elsewhere = () => {
    const [near, far] = MemorySocket.pair();
    arrivals.add(peer(far));
    ours.push(near);
    process.nextTick(() => near.emit('connect'));
    return near;
  };
  return {
    async connect() {
      const [near, far] = MemorySocket.pair();
      proxy.accept(near);
      ours.push(near);
      return peer(far);
    },
    accepted: () => arrivals.next(),
    async close() {
      dialling.elsewhere = () => MemorySocket.pair()[0].destroy(new Error('refused'));
      await proxy.close();
      for (const each of peers) each.destroy();
      // What was under way comes to its end in a few turns; a hang is the test's time limit.
      const isOver = () => proxy.teardowns.pending === 0 && ours.every(({ closed }) => closed);
      do await new Promise((resolve) => setImmediate(resolve));
      while (proxy.proxy.connections > 0 || !isOver());
    },
  };
}

afterEach(() => {
  dialling.elsewhere = undefined;
});

/** Plays the steps; each side must get exactly the bytes that the document says, and nothing else. */
async function play(steps: readonly Step[], network: Network, pieces: Pieces): Promise<void> {
  const clients = new Map<number, Peer>();
  const servers = new Map<number, Peer>();
  for (const { message, sent, passed, answered, isSkipped } of steps) {
    if (isSkipped) continue;
    const { from, conn } = message;
    const client = clients.get(conn) ?? (await network.connect());
    clients.set(conn, client);
    const sender = from === 'client' ? client : (servers.get(conn) as Peer);
    for (const piece of pieces(sent)) sender.send(piece);
    if (answered) await receive(client, answered, message);
    else if (message.events.some((event) => event.startsWith('incomplete'))) continue;
    else if (from === 'server') await receive(client, passed, message);
    else {
      const server = servers.get(conn) ?? (await network.accepted());
      servers.set(conn, server);
      await receive(server, passed, message);
    }
  }
  for (const peer of [...clients.values(), ...servers.values()]) expect(peer.pending).toBe('');
}

async function receive(peer: Peer, expected: Buffer | undefined, { name }: CorpusMessage): Promise<void> {
  const got = await peer.bytes(expected?.length ?? 0);
  if (!expected?.equals(got)) expect(got.toString('latin1'), name).toBe(expected?.toString('latin1'));
}

describe.each(conversations)('$name through the proxy', (conversation) => {
  const service = serverOf(conversation);
  const { host, port } = service;
  const steps = stepsOf(conversation, { server: `${host}:${port}`, appliance: `${APPLIANCE}:${port}` });

  it('whole', async () => {
    const proxy = harness(service);
    const network = await loopback(proxy, service);
    try {
      await play(steps, network, whole);
    } finally {
      await network.close();
    }
    expect([...proxy.media]).toEqual([]);
  });

  it('byte by byte, and split at each single point', { timeout: 60_000 }, async () => {
    const region = freshRegion({ services: 1, sessionsPerWorker: 8, streamsPerWorker: 16 });
    const longest = Math.max(...steps.map(({ sent }) => sent.length));
    for (let at = 0; at < longest; at++) {
      const proxy = harness(service, region);
      const network = inMemory(proxy);
      const last = steps.findLastIndex(({ sent }) => sent.length > at);
      await play(steps.slice(0, last + 1), network, at === 0 ? bytewise : cutAt(at));
      await network.close();
      expect(proxy.media.size, `split at ${at}`).toBe(0);
    }
  });
});

describe('the oddities through the proxy', () => {
  const region = freshRegion({ services: 1, sessionsPerWorker: 8, streamsPerWorker: 16 });
  const steps = stepsOf(odd, { server: 'nobody', appliance: 'nobody' });

  it.each(steps)('$message.name $message.title', { timeout: 60_000 }, async (step) => {
    const playOdd = step.message.from === 'client' ? playOddClient : playOddServer;
    for (let at = -1; at < step.sent.length; at++) {
      const proxy = harness(ODD_SERVER, region);
      const network = inMemory(proxy);
      await playOdd(step, network, at === -1 ? whole : at === 0 ? bytewise : cutAt(at));
      await network.close();
      expect(proxy.media.size, `split at ${at}`).toBe(0);
    }
  });
});

const NOT_FOUND = 'RTSP/1.0 404 Not Found\r\n\r\n';
const isMessage = (element: Buffer) => element[0] !== 0x24;
const isFault = ({ events }: CorpusMessage) => events.some((event) => event.startsWith('error'));

/** Its requests reach the server one after the other; empty lines between them do not. */
async function playOddClient(step: Step, network: Network, pieces: Pieces): Promise<void> {
  const { message, sent, passed, answered } = step;
  const requests = passed || isFault(message) ? record([passed ?? sent]).elements : [];
  const client = await network.connect();
  for (const piece of pieces(sent)) client.send(piece);
  const server = requests.length > 0 ? await network.accepted() : undefined;
  for (const request of requests) {
    if (server) await receive(server, request, message);
    server?.send(NOT_FOUND);
  }
  await receive(client, Buffer.from(NOT_FOUND.repeat(requests.length) + (answered ?? '')), message);
  if (isFault(message)) expect(await client.rest()).toBe('');
  expect([client.pending, server?.pending ?? '']).toEqual(['', '']);
}

/** Each of its answers is asked for first; frames of channels that nobody set up do not pass. */
async function playOddServer(step: Step, network: Network, pieces: Pieces): Promise<void> {
  const { message, sent, passed, answered } = step;
  const client = await network.connect();
  let server: Peer | undefined;
  const ask = async (cseq: number) => {
    const asked = request('OPTIONS', `rtsp://${APPLIANCE}:8554/`, cseq);
    client.send(asked);
    server ??= await network.accepted();
    await receive(server, Buffer.from(asked), message);
    return server;
  };
  const parts = answersOf(passed ?? sent);
  for (const [index, part] of answersOf(sent).entries()) {
    const asked = await ask(Number(/^cseq: (\d+)/im.exec(part.toString('latin1'))?.[1] ?? 1));
    for (const piece of pieces(part)) asked.send(piece);
    const elements = record([parts[index] as Buffer]).elements.filter(isMessage);
    const expected = answered ?? Buffer.concat(elements);
    await receive(client, expected, message);
  }
  expect(client.pending).toBe('');
}

/** Cut behind each answer but the last. */
function answersOf(bytes: Buffer): Buffer[] {
  const ends: number[] = [];
  let at = 0;
  for (const element of record([bytes]).elements) {
    at += element.length;
    if (element.toString('latin1', 0, 5) === 'RTSP/') ends.push(at);
  }
  const borders = [0, ...ends.slice(0, -1), bytes.length];
  return borders.slice(1).map((end, index) => bytes.subarray(borders[index], end));
}

describe('the documents', () => {
  it('list only messages that there are, and lines that come in pairs or are the answer', () => {
    for (const { name, messages } of corpus) {
      const numbers = new Set(messages.map((message) => message.name.slice(name.length + 1)));
      for (const [number, lines] of loadRewritings(name)) {
        expect(numbers.has(number), `${name}/${number}`).toBe(true);
        expect(
          lines.every((line) => /^[-+!]/.test(line)),
          `${name}/${number}`,
        ).toBe(true);
      }
    }
  });
});

describe('a connection in memory', () => {
  it('delivers each write as one chunk, and both ends', async () => {
    const [one, two] = MemorySocket.pair();
    const chunks: string[] = [];
    two.on('data', (chunk: Buffer) => chunks.push(String(chunk)));
    for (const text of ['a', 'bc', 'd']) one.write(text);
    one.end();
    await new Promise((resolve) => two.once('end', resolve));
    expect(chunks).toEqual(['a', 'bc', 'd']);
  });
});

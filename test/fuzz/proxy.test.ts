import { ok, deepStrictEqual as same } from 'node:assert';
import type { NetConnectOpts, Socket } from 'node:net';
import { vi } from 'vitest';
import type { RtspMessage } from '../../src/rtsp/message.js';
import { RtspParser } from '../../src/rtsp/parser.js';
import { type CorpusCase, loadCorpus } from '../rtsp/corpus.js';
import { FakeSockets } from '../support/fake-sockets.js';
import { freshRegion } from '../support/fresh-region.js';
import { MemorySocket } from '../support/memory-socket.js';
import { ProxyHarness, type ServiceAt } from '../support/proxy-harness.js';
import { fuzz } from './campaign.js';

// The whole proxy between hostile clients and hostile servers: an input is a script of what both write and when they
// leave. Whatever it says, the proxy must not break, must leave nothing behind, writes nothing that is no RTSP, and
// sends nothing to anybody else.

const dialling = vi.hoisted(() => ({ dial: undefined as ((to: string) => unknown) | undefined }));

vi.mock('node:net', async (original) => {
  const net = await original<typeof import('node:net')>();
  const connect = (options: NetConnectOpts & { host?: string; port: number }): unknown =>
    dialling.dial?.(`${options.host}:${options.port}`) ?? net.connect(options);
  return { ...net, connect };
});

/** Operation, length of its bytes (two bytes), its bytes. */
const OPERATIONS = [
  'client',
  'server',
  'end client',
  'end server',
  'reset client',
  'reset server',
  'wait',
  'connect',
] as const;
type Operation = (typeof OPERATIONS)[number];
const STEP_HEADER = 3;
const MAX_STEPS = 60;
const MAX_WAIT_S = 255;
/** Turns of the event loop after which everything must be over. */
const MAX_TURNS = 500;
const PORTS = { min: 20_000, max: 20_999 };
const WIDER = { head: 1 << 20, body: 1 << 20, line: 1 << 20, uri: 1 << 16, headers: 1_000 };

interface Step {
  operation: Operation;
  bytes: Buffer;
}

function* stepsOf(input: Buffer): Generator<Step> {
  for (let at = 0, steps = 0; at + STEP_HEADER <= input.length && steps < MAX_STEPS; steps++) {
    const operation = OPERATIONS[(input[at] ?? 0) % OPERATIONS.length] as Operation;
    const end = at + STEP_HEADER + input.readUInt16BE(at + 1);
    yield { operation, bytes: input.subarray(at + STEP_HEADER, end) };
    at = end;
  }
}

function step(operation: Operation, bytes: Buffer | string = ''): Buffer {
  const body = Buffer.from(bytes as string, 'latin1');
  const head = Buffer.from([OPERATIONS.indexOf(operation), body.length >> 8, body.length & 255]);
  return Buffer.concat([head, body]);
}

const FRAMES = [step('server', '$\0\0\x04abcd'), step('client', '$\x01\0\x02ef'), step('server', '$\x02\0')];

const conversations = loadCorpus().filter(({ name }) => name !== 'odd');

function serverOf({ messages }: CorpusCase): ServiceAt {
  const [, host = '', port] = /rtsp:\/\/([\d.]+):(\d+)/.exec(String(messages.map(({ bytes }) => bytes))) ?? [];
  return { host, port: Number(port) };
}

const farm = [...new Map(conversations.map((each) => [JSON.stringify(serverOf(each)), serverOf(each)])).values()];
const addresses = farm.map(({ host, port }) => `${host}:${port}`);

/** A recorded conversation as a script; the client uses the ids that it would have got from us. */
function scriptOf(conversation: CorpusCase): Buffer {
  const { host, port } = serverOf(conversation);
  const prefix = Buffer.from([...host.split('.').map(Number), port >> 8, port & 255]).toString('hex');
  const steps = conversation.messages.map(({ from, bytes }) => {
    const text = bytes.toString('latin1');
    const own = from === 'client' ? text.replace(/^(Session: *)(\S)/gim, `$1${prefix}$2`) : text;
    return Buffer.concat([step(from, own), ...(text.includes('interleaved=') ? FRAMES : [])]);
  });
  return Buffer.concat([...steps, step('wait', 'x')]);
}

const region = freshRegion({ services: farm.length, sessionsPerWorker: 16, streamsPerWorker: 32 });

/** One run: both sides of the proxy are ours. */
class Run {
  readonly #sockets = new FakeSockets();
  readonly #proxy: ProxyHarness;
  readonly #ends: Socket[] = [];
  readonly #dialled: string[] = [];
  readonly #faults: Error[] = [];
  #client: Socket | undefined;
  #server: Socket | undefined;
  #over = false;

  constructor() {
    this.#proxy = new ProxyHarness({
      services: farm,
      sockets: this.#sockets,
      region,
      config: { sessionId: 'prefix', mediaPorts: PORTS, logLevel: 'error' },
    });
    dialling.dial = (to) => this.#dial(to);
  }

  async play(input: Buffer): Promise<void> {
    for (const { operation, bytes } of stepsOf(input)) {
      this.#do(operation, bytes);
      await turns(4);
      this.#checkMedia();
    }
    await this.#end();
    for (const fault of this.#faults) throw fault;
    same(
      this.#dialled.filter((to) => !addresses.includes(to)),
      [],
    );
    same(
      this.#proxy.log.map(({ msg }) => msg),
      [],
    );
  }

  #do(operation: Operation, bytes: Buffer): void {
    switch (operation) {
      case 'connect':
        this.#client = undefined;
        break;
      case 'client':
        this.#client ??= this.#connect();
        if (this.#client.writable) this.#client.write(Buffer.from(bytes));
        break;
      case 'server':
        if (this.#server?.writable) this.#server.write(Buffer.from(bytes));
        break;
      case 'end client':
        this.#client?.end();
        break;
      case 'end server':
        this.#server?.end();
        break;
      case 'reset client':
        this.#client?.destroy();
        break;
      case 'reset server':
        this.#server?.destroy();
        break;
      case 'wait':
        this.#proxy.pass(Math.min(bytes[0] ?? 0, MAX_WAIT_S) * 1_000);
    }
  }

  #connect(): Socket {
    const [near, far] = MemorySocket.pair();
    this.#ends.push(near, far);
    this.#mustBeRtsp(far, () => {});
    this.#proxy.accept(near);
    return far;
  }

  #dial(to: string): Socket {
    this.#dialled.push(to);
    const [near, far] = MemorySocket.pair();
    if (this.#over) return near.destroy(new Error('refused'));
    this.#ends.push(near, far);
    this.#mustBeRtsp(far, checkSetup);
    this.#server = far;
    process.nextTick(() => near.emit('connect'));
    return near;
  }

  /** Nothing is ever sent but to the client and the farm. */
  #checkMedia(): void {
    const { table } = this.#proxy;
    const known = [...farm.map(({ host }) => host), '127.0.0.1'];
    for (const slot of table.streamSlotsOf(0)) {
      for (const { declared } of table.readStream(slot)?.legs ?? [])
        ok(!declared || known.includes(declared.ip), declared?.ip);
    }
  }

  /** What we write must be read again, by a parser that allows a little more for what rewriting adds. */
  #mustBeRtsp(socket: Socket, check: (message: RtspMessage) => void): void {
    const parser = new RtspParser({ onMessage: check, onFrame() {} }, WIDER);
    socket.on('data', (chunk: Buffer) => {
      try {
        parser.push(Buffer.from(chunk));
      } catch (error) {
        this.#faults.push(error as Error);
      }
    });
    socket.on('error', () => {});
  }

  async #end(): Promise<void> {
    this.#over = true;
    const closing = this.#proxy.close();
    for (const socket of this.#ends) socket.destroy();
    await closing;
    const { proxy, teardowns, table, media, engine, services } = this.#proxy;
    for (let turn = 0; proxy.connections > 0 || teardowns.pending > 0; turn++) {
      ok(turn < MAX_TURNS, `${proxy.connections} connections and ${teardowns.pending} TEARDOWNs do not end`);
      await turns(1);
    }
    this.#proxy.pass(0);
    const { sessions, streams } = table.stats();
    same(
      { sessions, streams, media: media.size, relayed: engine.streams.size },
      { sessions: 0, streams: 0, media: 0, relayed: 0 },
    );
    same(
      services.map((service) => service.load()),
      farm.map(() => 0),
    );
    same(this.#sockets.ports, []);
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What reaches a server names no other place, and no port that is not ours. */
function checkSetup(message: RtspMessage): void {
  if (message.kind !== 'request' || message.method !== 'SETUP') return;
  const parts = message.headers.getAll('Transport').join(',').split(/[;,]/);
  for (const part of parts) {
    ok(!/^\s*(?:destination|source)\s*=/i.test(part), part);
    const port = /^\s*client_port\s*=\s*"?(\d+)/i.exec(part)?.[1];
    ok(port === undefined || (Number(port) >= PORTS.min && Number(port) <= PORTS.max), part);
  }
}

fuzz({
  name: 'proxy',
  seeds: conversations.map(scriptOf),
  words: [
    ...[
      'RTSP/1.0 ',
      'SETUP ',
      'PLAY ',
      'TEARDOWN ',
      'REDIRECT ',
      'ANNOUNCE ',
      '200 OK\r\n',
      '302 Found\r\n',
      '454 \r\n',
      '\r\n',
    ],
    ...[
      'Session: ',
      'CSeq: 1\r\n',
      'Transport: ',
      'RTP/AVP;unicast;client_port=20500-20501',
      ';destination=192.0.2.66',
    ],
    ...[
      ';server_port=1-2',
      ';source=192.0.2.66',
      'RTP/AVP/TCP;interleaved=0-1',
      ',',
      'Location: rtsp://192.0.2.66/',
      '$\0\0\x04abcd',
    ],
    ...OPERATIONS.map((operation) => step(operation, 'x').toString('latin1')),
  ],
  shortRun: 200,
  sources: /\/src\/(?:rtsp|session|router)\//,
  run: (input) => new Run().play(input),
});

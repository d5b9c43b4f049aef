import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { RtspRequest, RtspResponse } from '../../src/rtsp/message.js';
import { RtspParser } from '../../src/rtsp/parser.js';
import type { Namespace } from './netns.js';
import { bindPair, type UdpPair } from './udp.js';

type Headers = Record<string, string>;

interface Waiting {
  resolve(response: RtspResponse): void;
  reject(error: Error): void;
}

/** One RTSP connection that sends exactly what a test says. Answers come in the order of the requests. */
export class RtspClient {
  readonly socket: Socket;
  /** Called for each interleaved frame, without its 4-byte header. */
  onFrame: (channel: number, payload: Buffer) => void = () => {};
  /** Requests the other side made. */
  readonly requests: RtspRequest[] = [];
  readonly closed: Promise<void>;
  readonly #waiting: Waiting[] = [];
  #cseq = 0;

  constructor(socket: Socket) {
    this.socket = socket;
    const parser = new RtspParser({
      onMessage: (message) => {
        if (message.kind === 'request') this.requests.push(message);
        else this.#waiting.shift()?.resolve(message);
      },
      onFrame: (channel, frame) => this.onFrame(channel, frame.subarray(4)),
    });
    socket.on('data', (chunk: Buffer) => {
      // Bodies and frames are views into the chunk; the test may keep them.
      parser.push(Buffer.from(chunk));
    });
    let reason = 'the connection was closed';
    socket.on('error', (error) => {
      reason = error.message;
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { reject } of this.#waiting.splice(0)) reject(new Error(`no answer: ${reason}`));
        resolve();
      });
    });
  }

  static async connect(namespace: Namespace, host: string, port: number): Promise<RtspClient> {
    return new RtspClient(await namespace.connect(host, port));
  }

  /** Sends a request with the next CSeq; its answer. Rejects when the connection ends before. */
  async request(method: string, uri: string, headers: Headers = {}, body = ''): Promise<RtspResponse> {
    const length: Headers = body ? { 'Content-Length': String(Buffer.byteLength(body)) } : {};
    const fields = Object.entries({ CSeq: String(++this.#cseq), ...headers, ...length });
    const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return await new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(new Error('no answer: the connection is closed'));
        return;
      }
      this.#waiting.push({ resolve, reject });
      this.socket.write(`${method} ${uri} RTSP/1.0\r\n${head}\r\n${body}`);
    });
  }

  /** As `request`, but any status other than 200 is an error. */
  async ok(method: string, uri: string, headers: Headers = {}, body = ''): Promise<RtspResponse> {
    const response = await this.request(method, uri, headers, body);
    if (response.status !== 200) throw new Error(`${method} ${uri}: ${response.status} ${response.reason}`);
    return response;
  }

  /** Half-closes and waits until the other side has closed too. */
  async close(): Promise<void> {
    if (!this.socket.destroyed) this.socket.end();
    await this.closed;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

/** One media of a session: where its packets go and what came. */
export class TestStream {
  readonly pair: UdpPair | undefined;
  /** Our Transport answer. */
  readonly transport: string;
  rtp = 0;
  rtcp = 0;
  /** Time of the newest RTP packet, and the longest silence between two since `reset()`; ms. */
  lastAt = 0;
  longestGap = 0;
  /** Sequence numbers that were skipped since `reset()`. */
  lost = 0;
  #sequence: number | undefined;
  #onRtp: (() => void)[] = [];

  constructor(pair: UdpPair | undefined, transport: string) {
    this.pair = pair;
    this.transport = transport;
    pair?.rtp.on('message', (packet: Buffer) => this.countRtp(packet));
    pair?.rtcp.on('message', () => this.rtcp++);
  }

  countRtp(packet: Buffer): void {
    const sequence = packet.readUInt16BE(2);
    if (this.#sequence !== undefined) this.lost += (sequence - this.#sequence - 1) & 0xffff;
    this.#sequence = sequence;
    const now = performance.now();
    if (this.lastAt !== 0) this.longestGap = Math.max(this.longestGap, now - this.lastAt);
    this.lastAt = now;
    this.rtp++;
    for (const resolve of this.#onRtp.splice(0)) resolve();
  }

  /** Gaps and losses count from now on. */
  reset(): void {
    this.longestGap = 0;
    this.lost = 0;
  }

  /** Resolves when `count` more RTP packets have come. A hang is the test runner's time limit. */
  async more(count: number): Promise<void> {
    for (const target = this.rtp + count; this.rtp < target; ) {
      await new Promise<void>((resolve) => this.#onRtp.push(resolve));
    }
  }

  get serverPort(): number {
    return Number(/server_port=(\d+)/.exec(this.transport)?.[1]);
  }

  close(): void {
    this.pair?.rtp.close();
    this.pair?.rtcp.close();
  }
}

export interface OpenOptions {
  transport?: 'udp' | 'tcp';
  /** Our own address for media; needed for UDP. */
  address: string;
  /** First client_port of the first stream, the next ones follow. Any when left out. */
  clientPort?: number;
  /** Only the first so many streams of the description. */
  streams?: number;
}

/** A played session of our own client: control connection, id as shown to us, streams. */
export class TestSession {
  readonly client: RtspClient;
  readonly url: string;
  readonly id: string;
  readonly streams: TestStream[];

  private constructor(client: RtspClient, url: string, id: string, streams: TestStream[]) {
    this.client = client;
    this.url = url;
    this.id = id;
    this.streams = streams;
  }

  /** Connects, DESCRIBE, SETUP of every stream, PLAY. Each must be answered by 200. */
  static async play(namespace: Namespace, url: string, options: OpenOptions): Promise<TestSession> {
    const { hostname, port } = new URL(url.replace(/^rtsp:/, 'http:'));
    const client = await RtspClient.connect(namespace, hostname.replace(/^\[|\]$/g, ''), Number(port));
    const description = await client.ok('DESCRIBE', url, { Accept: 'application/sdp' });
    const base = (description.headers.get('Content-Base') ?? url).replace(/\/$/, '');
    const controls = [...description.body.toString('latin1').matchAll(/^m=[\s\S]*?^a=control:(\S+)/gm)].map(
      (m) => m[1] ?? '',
    );
    const streams: TestStream[] = [];
    let id: string | undefined;
    for (const [index, control] of controls.slice(0, options.streams).entries()) {
      const uri = control.startsWith('rtsp:') ? control : `${base}/${control}`;
      const pair = options.transport === 'tcp' ? undefined : await bindStream(namespace, options, index);
      const transport = pair
        ? `RTP/AVP;unicast;client_port=${pair.port}-${pair.port + 1}`
        : `RTP/AVP/TCP;unicast;interleaved=${index * 2}-${index * 2 + 1}`;
      const answer = await client.ok('SETUP', uri, { Transport: transport, ...(id ? { Session: id } : {}) });
      id ??= answer.headers.get('Session')?.replace(/;.*/, '');
      streams.push(new TestStream(pair, answer.headers.get('Transport') ?? ''));
    }
    if (id === undefined) throw new Error('no Session in the SETUP answer');
    client.onFrame = (channel, payload) => {
      const stream = streams[channel >> 1];
      if (channel % 2 === 0) stream?.countRtp(payload);
      else if (stream) stream.rtcp++;
    };
    await client.ok('PLAY', url, { Session: id, Range: 'npt=0.000-' });
    return new TestSession(client, url, id, streams);
  }

  async teardown(): Promise<void> {
    const answer = await this.client.request('TEARDOWN', this.url, { Session: this.id });
    if (answer.status !== 200) throw new Error(`TEARDOWN: ${answer.status} ${answer.reason}`);
    this.abandon();
  }

  /** Closes everything without a word to the other side. */
  abandon(): void {
    this.client.destroy();
    for (const stream of this.streams) stream.close();
  }
}

async function bindStream(namespace: Namespace, options: OpenOptions, index: number): Promise<UdpPair> {
  const port = options.clientPort === undefined ? 0 : options.clientPort + index * 2;
  return await bindPair(namespace, options.address, port);
}

/** A server that is no RTSP server: notes each request and answers what `answer` says. */
export async function listenToy(
  namespace: Namespace,
  address: string,
  port: number,
  answer: (request: RtspRequest) => string,
): Promise<{ requests: RtspRequest[]; connections: () => number; close(): Promise<void> }> {
  const requests: RtspRequest[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = await namespace.listen(address, port, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const parser = new RtspParser({
      onMessage: (message) => {
        if (message.kind !== 'request') return;
        requests.push(message);
        socket.write(answer(message));
      },
      onFrame: () => {},
    });
    socket.on('data', (chunk: Buffer) => parser.push(Buffer.from(chunk)));
  });
  return {
    requests,
    connections: () => connections,
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

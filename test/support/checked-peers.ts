import { createHash } from 'node:crypto';
import type { Server, Socket } from 'node:net';
import type { RtspMessage, RtspRequest } from '../../src/rtsp/message.js';
import { RtspParser } from '../../src/rtsp/parser.js';

// Both ends of interleaved sessions that know every byte that must come: frames are numbered and their bytes follow
// from the number, every request has one answer, which follows from the request. What is amiss is noted, not thrown.

const HEADER = 4;
const RTP_HEADER = 12;
/** Sizes of frames: mostly packets of video, now and then the largest that there is. */
const USUAL_MAX = 1_400;
const LARGEST = 65_535;
const LARGE_EVERY = 997;
const FRAMES_PER_TURN = 2;
const TURN_MS = 5;
/**
 * Bytes of frames on their way to one end. Less than the appliance keeps for a peer that does not read: what it may drop
 * by policy is never sent, however long a machine that is busy keeps both ends waiting.
 */
const MAX_UNDERWAY = 256 * 1024;
/** An origin sends so many times as much to a client that it sends to without regard. */
const FLOOD = 10;
/** A server's own requests, and a client's receiver reports. */
const ASK_EVERY_TURNS = 20;

const seedOf = (channel: number, number: number): number => Math.imul(number + 1, 0x9e3779b1) ^ channel;

function payloadSize(channel: number, number: number): number {
  if (number % LARGE_EVERY === LARGE_EVERY - 1) return LARGEST;
  return RTP_HEADER + 4 + ((seedOf(channel, number) >>> 8) % USUAL_MAX);
}

/** Payload of the frame with that number on that channel: an RTP header, then bytes that follow from both. */
function payloadOf(channel: number, number: number): Buffer {
  const seed = seedOf(channel, number);
  const bytes = Buffer.alloc(
    payloadSize(channel, number),
    Buffer.from([seed & 0xff, (seed >>> 8) & 0xff, (seed >>> 16) & 0xff, 0x24]),
  );
  bytes[0] = 0x80;
  bytes[1] = 96;
  bytes.writeUInt16BE(number & 0xffff, 2);
  bytes.writeUInt32BE(number, 4);
  bytes.writeUInt32BE(0x70656e00 + channel, 8);
  bytes.writeUInt32BE(number, RTP_HEADER);
  return bytes;
}

function frameOf(channel: number, number: number): Buffer {
  const payload = payloadOf(channel, number);
  const head = Buffer.from([0x24, channel, payload.length >>> 8, payload.length & 0xff]);
  return Buffer.concat([head, payload]);
}

/** Frames of one channel, each of which must be the next, or a later one where some may be missing. */
class Incoming {
  next = 0;
  missed = 0;
  /** Of those that came, and those that are missing. */
  bytes = 0;
  readonly #channel: number;
  readonly #amiss: string[];

  constructor(channel: number, amiss: string[]) {
    this.#channel = channel;
    this.#amiss = amiss;
  }

  take(frame: Buffer, mayMiss: boolean): void {
    const payload = frame.subarray(HEADER);
    const number = payload.length < RTP_HEADER + 4 ? -1 : payload.readUInt32BE(RTP_HEADER);
    if (mayMiss) this.#miss(number);
    if (number !== this.next) this.#amiss.push(`channel ${this.#channel}: frame ${number} in place of ${this.next}`);
    else if (!payload.equals(payloadOf(this.#channel, number)))
      this.#amiss.push(`channel ${this.#channel}: frame ${number} is damaged`);
    this.next = number + 1;
    this.bytes += frame.length;
  }

  #miss(until: number): void {
    for (; this.next < until; this.next++, this.missed++) this.bytes += HEADER + payloadSize(this.#channel, this.next);
  }
}

/** What an origin answers to a request; both sides know it. */
function bodyFor(cseq: string): string {
  const digest = createHash('sha1').update(cseq).digest('hex');
  return digest.repeat(1 + (Number(cseq) % 20));
}

/** One checked end of a connection. */
abstract class CheckedEnd {
  readonly amiss: string[] = [];
  readonly socket: Socket;
  closed = false;
  /** The other end of the session, once it is known. */
  partner: CheckedEnd | undefined;
  /** Whole frames may be missing in what comes. */
  mayMiss = false;
  /** What comes is sent without regard to what was read. */
  flooded = false;
  bytesSent = 0;
  protected timer: NodeJS.Timeout | undefined;
  protected readonly incoming = new Map<number, Incoming>();
  /** Channels that we send on, and the number of the next frame. */
  protected readonly outgoing = new Map<number, number>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    const parser = new RtspParser({
      onMessage: (message) => this.receive(message),
      onFrame: (channel, frame) => this.#incomingOn(channel).take(frame, this.mayMiss),
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        parser.push(Buffer.from(chunk));
      } catch (error) {
        this.amiss.push(`what came is no RTSP: ${(error as Error).message}`);
        socket.destroy();
      }
    });
    socket.on('error', (error) => this.amiss.push(error.message));
    socket.on('close', () => {
      this.closed = true;
      clearInterval(this.timer);
    });
  }

  get framesReceived(): number {
    return [...this.incoming.values()].reduce((sum, { next }) => sum + next, 0);
  }

  get framesMissed(): number {
    return [...this.incoming.values()].reduce((sum, { missed }) => sum + missed, 0);
  }

  get framesSent(): number {
    return [...this.outgoing.values()].reduce((sum, next) => sum + next, 0);
  }

  protected abstract receive(message: RtspMessage): void;

  /** As many frames as the socket takes without gathering them, and the other end will soon have read. */
  protected sendFrames(count: number): void {
    const rounds = this.partner?.flooded ? count * FLOOD : count;
    for (let i = 0; i < rounds && !this.socket.writableNeedDrain && this.#mayGoOn; i++) {
      for (const [channel, number] of this.outgoing) {
        const frame = frameOf(channel, number);
        this.socket.write(frame);
        this.bytesSent += frame.length;
        this.outgoing.set(channel, number + 1);
      }
    }
  }

  get #mayGoOn(): boolean {
    const received = [...(this.partner?.incoming.values() ?? [])].reduce((sum, { bytes }) => sum + bytes, 0);
    return this.partner?.flooded || this.bytesSent - received < MAX_UNDERWAY;
  }

  protected write(head: readonly string[], body = ''): void {
    if (!this.socket.destroyed) this.socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  }

  #incomingOn(channel: number): Incoming {
    const known = this.incoming.get(channel);
    if (known) return known;
    const made = new Incoming(channel, this.amiss);
    this.incoming.set(channel, made);
    return made;
  }
}

const SDP = [
  'v=0',
  'o=- 1 1 IN IP4 0.0.0.0',
  's=-',
  't=0 0',
  'm=video 0 RTP/AVP 96',
  'a=control:track1',
  'm=video 0 RTP/AVP 96',
  'a=control:track2',
  '',
].join('\r\n');

/** A connection of the checked origin. Media flows from PLAY to TEARDOWN, with questions to the client in between. */
class OriginEnd extends CheckedEnd {
  readonly #origin: CheckedOrigin;
  #session = '';
  #turns = 0;
  #asked = 0;
  #unanswered: number[] = [];
  tornDown = false;

  constructor(origin: CheckedOrigin, socket: Socket) {
    super(socket);
    this.#origin = origin;
  }

  protected override receive(message: RtspMessage): void {
    const cseq = message.headers.get('CSeq') ?? '';
    if (message.kind === 'request') this.#answer(message, cseq);
    else if (Number(cseq) === this.#unanswered[0]) this.#unanswered.shift();
    else this.amiss.push(`origin: answer ${cseq}, awaited ${this.#unanswered}`);
  }

  #answer(request: RtspRequest, cseq: string): void {
    const session = this.#session === '' ? [] : [`Session: ${this.#session}`];
    const ok = ['RTSP/1.0 200 OK', `CSeq: ${cseq}`];
    switch (request.method) {
      case 'DESCRIBE':
        this.write([...ok, 'Content-Type: application/sdp', `Content-Length: ${SDP.length}`], SDP);
        break;
      case 'SETUP': {
        const transport = request.headers.get('Transport') ?? '';
        const [rtp] = (/interleaved=(\d+)/.exec(transport) ?? []).slice(1).map(Number);
        this.outgoing.set(rtp as number, 0);
        this.#session ||= String(Math.random()).slice(2);
        this.write([...ok, `Session: ${this.#session};timeout=60`, `Transport: ${transport}`]);
        break;
      }
      case 'PLAY':
        this.#origin.meet(this, request.uri);
        this.write([...ok, ...session]);
        this.timer ??= setInterval(() => this.#turn(), TURN_MS);
        break;
      case 'TEARDOWN':
        clearInterval(this.timer);
        this.tornDown = true;
        this.write([...ok, ...session]);
        break;
      default: {
        const body = bodyFor(cseq);
        this.write([...ok, ...session, `Content-Length: ${body.length}`], body);
      }
    }
  }

  #turn(): void {
    this.sendFrames(FRAMES_PER_TURN);
    if (++this.#turns % ASK_EVERY_TURNS !== 0 || this.#unanswered.length > 4) return;
    const cseq = ++this.#asked;
    this.#unanswered.push(cseq);
    this.write(['OPTIONS * RTSP/1.0', `CSeq: ${cseq}`, `Session: ${this.#session}`]);
  }
}

/** A client that plays two streams, asks again and again, and reports on what it receives. */
export class CheckedClient extends CheckedEnd {
  readonly #url: string;
  answered = 0;
  #cseq = 0;
  #lastAsked = 0;
  #waiting:
    | { cseq: number; method: string; resolve(message: RtspMessage): void; reject(error: Error): void }
    | undefined;

  /** `url`: its own; its path is how the origin knows whom it serves. */
  constructor(origin: CheckedOrigin, socket: Socket, url: string) {
    super(socket);
    this.#url = url;
    origin.expect(this, url);
    socket.on('close', () => {
      const waiting = this.#waiting;
      if (!waiting) return;
      const error = new Error(`closed before ${waiting.method} ${waiting.cseq} was answered: ${this.amiss}`);
      this.amiss.push(error.message);
      waiting.reject(error);
    });
  }

  async play(): Promise<void> {
    await this.#ask('DESCRIBE', this.#url);
    let session = '';
    for (const track of [0, 1]) {
      const transport = `Transport: RTP/AVP/TCP;unicast;interleaved=${track * 2}-${track * 2 + 1}`;
      const answer = await this.#ask('SETUP', `${this.#url}/track${track + 1}`, [
        transport,
        ...(session ? [`Session: ${session}`] : []),
      ]);
      session = (answer.headers.get('Session') ?? '').replace(/;.*/, '');
      this.outgoing.set(track * 2 + 1, 0);
    }
    this.#session = session;
    await this.#ask('PLAY', this.#url, [`Session: ${session}`]);
    this.timer = setInterval(() => this.sendFrames(1), TURN_MS * 4);
  }

  #session = '';

  /** Something to be answered at once, or whenever the answer is read. */
  async keepAlive(): Promise<void> {
    await this.#ask('GET_PARAMETER', this.#url, [`Session: ${this.#session}`]);
  }

  /** One request after the other until `until` says so; each must get its answer, and no other. */
  async talk(until: () => boolean): Promise<void> {
    while (!until() && !this.closed) {
      // A connection that closed is amiss, which is noted there.
      await this.keepAlive().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    }
  }

  async tearDown(): Promise<void> {
    clearInterval(this.timer);
    await this.#ask('TEARDOWN', this.#url, [`Session: ${this.#session}`]);
    this.socket.end();
  }

  protected override receive(message: RtspMessage): void {
    const cseq = Number(message.headers.get('CSeq'));
    if (message.kind === 'request') {
      if (cseq !== this.#lastAsked + 1) this.amiss.push(`client: asked ${cseq} after ${this.#lastAsked}`);
      this.#lastAsked = cseq;
      this.write(['RTSP/1.0 200 OK', `CSeq: ${cseq}`]);
      return;
    }
    const waiting = this.#waiting;
    if (waiting?.cseq !== cseq) {
      this.amiss.push(`client: answer ${cseq}, awaited ${waiting?.cseq}`);
      return;
    }
    if (message.status !== 200) this.amiss.push(`client: ${waiting.method} answered ${message.status}`);
    if (waiting.method === 'GET_PARAMETER' && message.body.toString() !== bodyFor(String(cseq)))
      this.amiss.push(`client: the answer to ${cseq} is damaged`);
    this.#waiting = undefined;
    this.answered++;
    waiting.resolve(message);
  }

  async #ask(method: string, url: string, fields: readonly string[] = []): Promise<RtspMessage> {
    const cseq = ++this.#cseq;
    return await new Promise((resolve, reject) => {
      this.#waiting = { cseq, method, resolve, reject };
      this.write([`${method} ${url} RTSP/1.0`, `CSeq: ${cseq}`, ...fields]);
    });
  }
}

/** An origin that notes what is amiss on any of its connections. */
export class CheckedOrigin {
  readonly ends: OriginEnd[] = [];
  readonly #clients = new Map<string, CheckedClient>();
  #server: Server | undefined;

  /** `listen`: makes the server, with this as its connection listener. */
  static async start(listen: (onConnection: (socket: Socket) => void) => Promise<Server>): Promise<CheckedOrigin> {
    const origin = new CheckedOrigin();
    origin.#server = await listen((socket) => origin.ends.push(new OriginEnd(origin, socket)));
    return origin;
  }

  expect(client: CheckedClient, url: string): void {
    this.#clients.set(new URL(url).pathname, client);
  }

  /** The client at that URL is on the other side of this connection. */
  meet(end: OriginEnd, url: string): void {
    const client = this.#clients.get(new URL(url).pathname);
    if (!client) throw new Error(`nobody was expected at ${url}`);
    end.partner = client;
    client.partner = end;
  }

  get amiss(): string[] {
    return this.ends.flatMap(({ amiss }) => amiss);
  }

  close(): void {
    this.#server?.close();
    for (const { socket } of this.ends) socket.destroy();
  }
}

import type { Socket } from 'node:dgram';
import type { RtspRequest } from '../../src/rtsp/message.js';
import type { Namespace } from './netns.js';
import { listenToy } from './rtsp-client.js';
import { bindPair, type UdpPair } from './udp.js';

export const MEDIA_SERVER_PORT = 8556;
const RTP_HEADER = 12;
const CLOCK_PER_PACKET = 300;

/** Sequence number of an RTP packet. */
export const sequenceOf = (packet: Buffer): number => packet.readUInt16BE(2);

/** An RTSP server of one video stream for one client at a time. It sends what a test says and nothing else. */
export class MediaServer {
  /** How many RTP packets it sent; the first has sequence number 0. */
  sent = 0;
  /** Of what it sends from now on. */
  ssrc = 1;
  readonly pair: UdpPair;
  readonly #edge: string;
  readonly #close: () => Promise<void>;
  #clientPort = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(pair: UdpPair, edge: string, close: () => Promise<void>) {
    this.pair = pair;
    this.#edge = edge;
    this.#close = close;
  }

  /** Listens on port 8556 of `address`; media goes to `edge`. */
  static async start(namespace: Namespace, address: string, edge: string): Promise<MediaServer> {
    const pair = await bindPair(namespace, address);
    const toy = await listenToy(namespace, address, MEDIA_SERVER_PORT, (request) => server.#answer(request));
    const server: MediaServer = new MediaServer(pair, edge, () => toy.close());
    return server;
  }

  /** The port of the appliance that RTP goes to. */
  get target(): number {
    return this.#clientPort;
  }

  /** One RTP packet with so many bytes behind its header, from our RTP port or from another socket. */
  send(bytes = 1000, from: Socket = this.pair.rtp): void {
    const packet = Buffer.alloc(RTP_HEADER + bytes, this.sent);
    packet.writeUInt16BE(0x8060, 0);
    packet.writeUInt16BE(this.sent & 0xffff, 2);
    packet.writeUInt32BE(this.sent * CLOCK_PER_PACKET, 4);
    packet.writeUInt32BE(this.ssrc, 8);
    this.sent++;
    from.send(packet, this.#clientPort, this.#edge);
  }

  /** A packet every so many milliseconds, until `pause`. */
  stream(everyMs: number): void {
    this.#timer = setInterval(() => this.send(), everyMs);
  }

  pause(): void {
    clearInterval(this.#timer);
  }

  async close(): Promise<void> {
    this.pause();
    this.pair.rtp.close();
    this.pair.rtcp.close();
    await this.#close();
  }

  #answer(request: RtspRequest): string {
    const fields = { CSeq: request.headers.get('CSeq') ?? '0', ...this.#fields(request) };
    const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    return `RTSP/1.0 200 OK\r\n${head.join('')}\r\n${request.method === 'DESCRIBE' ? DESCRIPTION : ''}`;
  }

  #fields(request: RtspRequest): Record<string, string> {
    if (request.method === 'DESCRIBE') {
      return { 'Content-Type': 'application/sdp', 'Content-Length': String(DESCRIPTION.length) };
    }
    if (request.method !== 'SETUP') return { Session: SESSION };
    const client = /client_port=(\d+)-(\d+)/.exec(request.headers.get('Transport') ?? '');
    this.#clientPort = Number(client?.[1]);
    const ports = `${client?.[0]};server_port=${this.pair.port}-${this.pair.port + 1}`;
    return { Session: SESSION, Transport: `RTP/AVP;unicast;${ports}` };
  }
}

const SESSION = 'media-server';
const DESCRIPTION = [
  'v=0',
  'o=- 0 0 IN IP4 0.0.0.0',
  's=-',
  'c=IN IP4 0.0.0.0',
  't=0 0',
  'm=video 0 RTP/AVP 96',
  'a=rtpmap:96 H264/90000',
  'a=control:track1',
  '',
].join('\r\n');

import type { RtspRequest } from '../../src/rtsp/message.js';
import type { Namespace } from './netns.js';
import { receiverReport, rtpPacket } from './rtp-packets.js';
import { listenToy } from './rtsp-client.js';
import { bindPair, type UdpPair } from './udp.js';

const SEND_MS = 10;

/** A stream of a `SilentServer`: when it sends, and what it hears, is the test's choice. */
export class ServedStream {
  readonly received: Buffer[] = [];
  readonly #pair: UdpPair;
  readonly #to: { ip: string; rtp: number; rtcp: number };
  readonly #ssrc: number;
  #sequence = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(pair: UdpPair, to: { ip: string; rtp: number; rtcp: number }, ssrc: number) {
    this.#pair = pair;
    this.#to = to;
    this.#ssrc = ssrc;
    for (const socket of [pair.rtp, pair.rtcp]) {
      socket.on('message', (packet: Buffer) => this.received.push(packet));
      socket.on('error', () => {});
    }
  }

  /** Where it sends to: our server-side pair. */
  get peer(): { ip: string; rtp: number; rtcp: number } {
    return this.#to;
  }

  get serverPort(): number {
    return this.#pair.port;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#send(), SEND_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  close(): void {
    this.stop();
    this.#pair.rtp.close();
    this.#pair.rtcp.close();
  }

  #send(): void {
    const { ip, rtp, rtcp } = this.#to;
    this.#pair.rtp.send(rtpPacket(this.#ssrc, ++this.#sequence, 200), rtp, ip);
    this.#pair.rtcp.send(receiverReport(this.#ssrc), rtcp, ip);
  }
}

/** An RTSP server that grants every SETUP over UDP, and begins to send when it is told to by the test, not by PLAY. */
export class SilentServer {
  readonly streams: ServedStream[] = [];
  readonly requests: RtspRequest[];
  readonly #toy: Awaited<ReturnType<typeof listenToy>>;
  readonly #spare: UdpPair[];

  private constructor(toy: Awaited<ReturnType<typeof listenToy>>, spare: UdpPair[]) {
    this.#toy = toy;
    this.#spare = spare;
    this.requests = toy.requests;
  }

  /** `peer`: the address from which the appliance reaches it. `sessions`: how many it can serve. `extra`: more of its Transport. */
  static async listen(
    namespace: Namespace,
    {
      address,
      peer,
      port = 8554,
      sessions,
      extra = '',
    }: {
      address: string;
      peer: string;
      port?: number;
      sessions: number;
      extra?: string;
    },
  ): Promise<SilentServer> {
    const spare: UdpPair[] = [];
    for (let i = 0; i < sessions; i++) spare.push(await bindPair(namespace, address));
    const toy = await listenToy(namespace, address, port, (request) => server.#answer(request, peer, extra));
    const server = new SilentServer(toy, spare);
    return server;
  }

  /** The stream of the newest SETUP. */
  get newest(): ServedStream {
    const stream = this.streams.at(-1);
    if (!stream) throw new Error('no SETUP came');
    return stream;
  }

  async close(): Promise<void> {
    for (const stream of this.streams) stream.close();
    for (const pair of this.#spare.splice(0)) for (const socket of [pair.rtp, pair.rtcp]) socket.close();
    await this.#toy.close();
  }

  #answer(request: RtspRequest, peer: string, extra: string): string {
    const head = `RTSP/1.0 200 OK\r\nCSeq: ${request.headers.get('CSeq')}\r\n`;
    if (request.method !== 'SETUP') return `${head}\r\n`;
    const transport = request.headers.get('Transport') ?? '';
    const [rtp = 0, rtcp = 0] = /client_port=(\d+)-(\d+)/.exec(transport)?.slice(1).map(Number) ?? [];
    const pair = this.#spare.shift();
    if (!pair) return `RTSP/1.0 453 Not Enough Bandwidth\r\nCSeq: ${request.headers.get('CSeq')}\r\n\r\n`;
    this.streams.push(new ServedStream(pair, { ip: peer, rtp, rtcp }, 0x600d_0000 + this.streams.length));
    const mine = `server_port=${pair.port}-${pair.port + 1}${extra}`;
    return `${head}Session: S${this.streams.length};timeout=60\r\nTransport: ${transport};${mine}\r\n\r\n`;
  }
}

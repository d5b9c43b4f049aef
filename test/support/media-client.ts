import type { Namespace } from './netns.js';
import { eventually } from './program.js';
import { receiverReport, rtpPacket } from './rtp-packets.js';
import { RtspClient } from './rtsp-client.js';
import { bindPair, type UdpPair } from './udp.js';

const RTP_PORT = /server_port=(\d+)-(\d+)/;

/** A client that sends a packet of media only when a test says so, and keeps what it hears. */
export class MediaClient {
  readonly rtsp: RtspClient;
  readonly rtp: Buffer[] = [];
  readonly rtcp: Buffer[] = [];
  readonly #url: string;
  readonly #edge: string;
  /** What came to the ports that it left. */
  readonly astray: Buffer[] = [];
  #pair: UdpPair;
  #left: UdpPair | undefined;
  #session = '';
  /** Our client-side pair, as the answer named it. */
  #server = { rtp: 0, rtcp: 0 };

  private constructor(rtsp: RtspClient, url: string, edge: string, pair: UdpPair) {
    this.rtsp = rtsp;
    this.#url = url;
    this.#edge = edge;
    this.#pair = pair;
    this.#listen(pair);
  }

  /** Connects and sets one stream up. `address`: its own. Throws where the SETUP is refused. */
  static async setUp(namespace: Namespace, address: string, edge: string, port: number): Promise<MediaClient> {
    const url = `rtsp://${edge}:${port}/live`;
    const pair = await bindPair(namespace, address);
    const client = new MediaClient(await RtspClient.connect(namespace, edge, port), url, edge, pair);
    try {
      await client.#setUp();
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  get received(): Buffer[] {
    return [...this.rtp, ...this.rtcp];
  }

  get serverPorts(): { rtp: number; rtcp: number } {
    return this.#server;
  }

  get session(): string {
    return this.#session;
  }

  /** So many packets of media, and a report after each. */
  publish(packets: number): void {
    for (let sequence = 1; sequence <= packets; sequence++) {
      this.#pair.rtp.send(rtpPacket(1, sequence, 100), this.#server.rtp, this.#edge);
      this.#pair.rtcp.send(receiverReport(1), this.#server.rtcp, this.#edge);
    }
  }

  async play(): Promise<void> {
    await this.rtsp.ok('PLAY', this.#url, { Session: this.#session });
  }

  async teardown(): Promise<void> {
    await this.rtsp.ok('TEARDOWN', this.#url, { Session: this.#session });
  }

  /** RTP without payload, and a report; `ssrc` 0 is what ffmpeg sends before PLAY. */
  punch(ssrc = 1): void {
    this.#punchFrom(this.#pair, ssrc);
  }

  /** Goes on with other ports, as behind a NAT that forgot the old ones. */
  async move(namespace: Namespace): Promise<void> {
    this.#left = this.#pair;
    for (const socket of [this.#left.rtp, this.#left.rtcp]) {
      socket.removeAllListeners('message').on('message', (packet: Buffer) => this.astray.push(packet));
    }
    this.#pair = await bindPair(namespace, this.#left.rtp.address().address);
    this.#listen(this.#pair);
  }

  /** A punch from the ports that it left: one that was long on its way. */
  punchLate(): void {
    if (this.#left) this.#punchFrom(this.#left, 1);
  }

  #punchFrom({ rtp, rtcp }: UdpPair, ssrc: number): void {
    rtp.send(rtpPacket(0, 0, 0), this.#server.rtp, this.#edge);
    rtcp.send(receiverReport(ssrc), this.#server.rtcp, this.#edge);
  }

  /** Resolves when so many more packets of RTP have come. */
  async more(count: number): Promise<void> {
    const wanted = this.rtp.length + count;
    await eventually(`${count} more packets`, () => this.rtp.length >= wanted || undefined);
  }

  close(): void {
    this.rtsp.destroy();
    for (const pair of [this.#pair, this.#left]) for (const socket of [pair?.rtp, pair?.rtcp]) socket?.close();
  }

  async #setUp(): Promise<void> {
    const { port } = this.#pair;
    const answer = await this.rtsp.ok('SETUP', `${this.#url}/track1`, {
      Transport: `RTP/AVP;unicast;client_port=${port}-${port + 1}`,
    });
    const [, rtp, rtcp] = RTP_PORT.exec(answer.headers.get('Transport') ?? '') ?? [];
    this.#server = { rtp: Number(rtp), rtcp: Number(rtcp) };
    this.#session = answer.headers.get('Session')?.replace(/;.*/, '') ?? '';
  }

  #listen({ rtp, rtcp }: UdpPair): void {
    rtp.on('message', (packet: Buffer) => this.rtp.push(packet));
    rtcp.on('message', (packet: Buffer) => this.rtcp.push(packet));
    for (const socket of [rtp, rtcp]) socket.on('error', () => {}); // a port of ours that is closed again
  }
}

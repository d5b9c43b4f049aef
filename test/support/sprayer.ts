import type { Socket } from 'node:dgram';
import type { Namespace } from './netns.js';
import { eventually } from './program.js';
import { receiverReport, rtpPacket } from './rtp-packets.js';

export const STRANGER_SSRC = 0x0bad_0bad;
const ROUND_MS = 20;

/**
 * A stranger with one socket, who sends a hole punch, RTP in order and RTCP to every port of a range, again and
 * again, and notes what comes back. It spoofs nothing.
 */
export class Sprayer {
  /** Times that the whole range was sprayed. */
  rounds = 0;
  /** Packets of others that reached it: by rights none. */
  readonly received: Buffer[] = [];
  readonly #socket: Socket;
  readonly #target: string;
  readonly #ports: readonly number[];
  #timer: NodeJS.Timeout | undefined;

  private constructor(socket: Socket, target: string, ports: readonly number[]) {
    this.#socket = socket;
    this.#target = target;
    this.#ports = ports;
    socket.on('message', (packet: Buffer) => this.received.push(packet));
    socket.on('error', () => {}); // closed ports answer by ICMP
  }

  /** `from`: its address in the namespace. */
  static async start(
    namespace: Namespace,
    from: string,
    target: string,
    ports: { min: number; max: number },
  ): Promise<Sprayer> {
    const all = Array.from({ length: ports.max - ports.min + 1 }, (_, index) => ports.min + index);
    const sprayer = new Sprayer(await namespace.bindUdp(from), target, all);
    sprayer.resume();
    return sprayer;
  }

  resume(): void {
    this.#timer ??= setInterval(() => this.#round(), ROUND_MS);
  }

  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Resolves when the range has been sprayed as often again. */
  async more(rounds: number): Promise<void> {
    const wanted = this.rounds + rounds;
    await eventually(`${rounds} rounds`, () => this.rounds >= wanted || undefined);
  }

  close(): void {
    this.pause();
    this.#socket.close();
  }

  #round(): void {
    const sequence = ++this.rounds & 0xffff;
    for (const port of this.#ports) {
      this.#socket.send(rtpPacket(STRANGER_SSRC, sequence, 0), port, this.#target);
      this.#socket.send(rtpPacket(STRANGER_SSRC, sequence, 160), port, this.#target);
      this.#socket.send(receiverReport(STRANGER_SSRC), port, this.#target);
    }
  }
}

/** What of these packets is the stranger's. */
export function ofStranger(packets: readonly Buffer[]): Buffer[] {
  const mark = Buffer.alloc(4);
  mark.writeUInt32BE(STRANGER_SSRC);
  return packets.filter((packet) => packet.includes(mark));
}

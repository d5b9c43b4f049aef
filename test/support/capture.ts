import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Namespace } from './netns.js';
import { type Packet, readPcap } from './pcap.js';
import { Program } from './program.js';

/** A running capture of one interface of a namespace. */
export class Capture {
  readonly #program: Program;
  readonly #directory: string;

  private constructor(namespace: Namespace, device: string) {
    this.#directory = mkdtempSync(join(tmpdir(), 'penstock-capture-'));
    // -Z root: tcpdump would otherwise give up its rights and could not write into our directory.
    const how = ['-i', device, '-U', '--immediate-mode', '-B', '16384', '-s', '0', '-Z', 'root', '-w', this.#file];
    const child = namespace.spawn('tcpdump', how, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#program = new Program('tcpdump', child);
  }

  get #file(): string {
    return join(this.#directory, 'packets.pcap');
  }

  /** Resolves when packets are being captured. */
  static async start(namespace: Namespace, device = 'eth0'): Promise<Capture> {
    const capture = new Capture(namespace, device);
    await capture.#program.until('listening', () => /listening on/.exec(capture.#program.stderr)?.[0]);
    return capture;
  }

  /** Ends the capture; its packets in the order they passed. Throws when the kernel dropped some. */
  async stop(): Promise<Packet[]> {
    await this.#caughtUp();
    await this.#program.stop('SIGINT');
    const packets = readPcap(readFileSync(this.#file));
    rmSync(this.#directory, { recursive: true });
    const dropped = Number(/^(\d+) packets? dropped by kernel/m.exec(this.#program.stderr)?.[1]);
    if (dropped !== 0) throw new Error(`the capture is not whole: ${this.#program.stderr}`);
    return packets;
  }

  // Told to end, tcpdump leaves unread what the kernel still holds for it: first it must have read all that has passed.
  async #caughtUp(): Promise<void> {
    const counts = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped/g;
    for (let seen = 0; ; seen++) {
      this.#program.kill('SIGUSR1'); // tcpdump writes its counts
      const [, captured, received, dropped] = await this.#program.until(
        'counts',
        () => [...this.#program.stderr.matchAll(counts)][seen],
      );
      if (Number(captured) >= Number(received) - Number(dropped)) return;
    }
  }
}

/** RTP with payload types other than those that would be RTCP (RFC 5761 §4). */
export function isRtp(packet: Packet): boolean {
  return packet.protocol === 'udp' && packet.payload.length >= 12 && version(packet) === 2 && !isRtcp(packet);
}

/** RTCP of RFC 3550 and 4585: packet types 200 to 207. */
export function isRtcp(packet: Packet): boolean {
  const type = packet.payload[1] ?? 0;
  return packet.protocol === 'udp' && packet.payload.length >= 8 && version(packet) === 2 && type >= 200 && type <= 207;
}

function version(packet: Packet): number {
  return (packet.payload[0] ?? 0) >> 6;
}

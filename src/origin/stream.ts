import type { MediaUnit, Track } from './clip.js';
import type { OriginCounters } from './counters.js';
import type { MediaPath, MediaReceiver } from './media-path.js';
import { emptyReceiverReport, goodbye, isReport, packetTypes, senderReport, sourceDescription } from './rtcp.js';
import { isRtp, nextHeader, RTP_HEADER, randomSource, timestampOf } from './rtp.js';

/** One SETUP: the RTP and RTCP of one media of one session. */
export class Stream implements MediaReceiver {
  readonly source = randomSource();
  readonly received = { packets: 0, reports: 0 };
  readonly sent = { packets: 0, payloadBytes: 0 };
  /** Of the client's packets, for the session's liveness. */
  onHeard: () => void = () => undefined;
  path: MediaPath | undefined;

  readonly #counters: OriginCounters;
  readonly #cname: string;

  constructor(counters: OriginCounters, cname: string) {
    this.#counters = counters;
    this.#cname = cname;
  }

  /** The packets of one picture or audio frame back to back. `ticks` counts from the first PLAY, over all loops. */
  sendUnit(unit: MediaUnit, track: Track, ticks: number): void {
    const timestamp = timestampOf(this.source, ticks);
    for (const payload of unit.payloads) {
      const header = nextHeader(this.source, track.payloadType, payload.marker, timestamp);
      if (!this.path?.sendRtp(header, payload.data)) continue;
      this.sent.packets++;
      this.sent.payloadBytes += payload.data.length;
      this.#counters.packetsSent++;
      this.#counters.bytesSent += RTP_HEADER + payload.data.length;
    }
  }

  sendSenderReport(wallMs: number, ticks: number): void {
    if (this.sent.packets > 0) this.#sendCompound([this.#senderReport(wallMs, ticks)]);
  }

  sendReceiverReport(): void {
    this.#sendCompound([emptyReceiverReport(this.source.ssrc)]);
  }

  /** Says BYE if anything was ever sent, and lets go of the ports. */
  close(wallMs: number, ticks: number): void {
    if (this.sent.packets > 0) this.#sendCompound([this.#senderReport(wallMs, ticks)], [goodbye(this.source.ssrc)]);
    this.path?.close();
    this.path = undefined;
  }

  onRtp(packet: Buffer): void {
    if (isRtp(packet) && !packetTypes(packet)) this.#countRtp(packet);
    else this.onRtcp(packet); // both on one port (RFC 5761)
  }

  onRtcp(packet: Buffer): void {
    const types = packetTypes(packet);
    if (!types) {
      this.#counters.punchesReceived++;
      return;
    }
    if (types.some(isReport)) {
      this.received.reports++;
      this.#counters.reportsReceived++;
    }
    this.onHeard();
  }

  #countRtp(packet: Buffer): void {
    this.received.packets++;
    this.#counters.packetsReceived++;
    this.#counters.bytesReceived += packet.length;
    this.onHeard();
  }

  #senderReport(wallMs: number, ticks: number): Buffer {
    const { packets, payloadBytes: bytes } = this.sent;
    const timestamp = timestampOf(this.source, ticks);
    return senderReport({ ssrc: this.source.ssrc, wallMs, timestamp, packets, bytes });
  }

  #sendCompound(before: Buffer[], after: Buffer[] = []): void {
    const compound = Buffer.concat([...before, sourceDescription(this.source.ssrc, this.#cname), ...after]);
    if (this.path?.sendRtcp(compound)) this.#counters.reportsSent++;
  }
}

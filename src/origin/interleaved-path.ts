import type { RtspConnection } from '../rtsp/connection.js';
import { FRAME_HEADER, FRAME_MARK, framePayload } from '../rtsp/interleaved.js';
import type { OriginCounters } from './counters.js';
import type { MediaPath, MediaReceiver } from './media-path.js';

const CHANNELS = 256;

/** The channels of one RTSP connection that carry streams (RFC 2326 §10.12). */
export class Channels {
  readonly #connection: RtspConnection;
  readonly #counters: OriginCounters;
  readonly #receivers = new Map<number, (packet: Buffer) => void>();

  constructor(connection: RtspConnection, counters: OriginCounters) {
    this.#connection = connection;
    this.#counters = counters;
  }

  /** Takes the wanted pair, or the first free one when it is in use or none was named. Undefined: all are in use. */
  attach(
    wanted: { rtp: number; rtcp: number } | undefined,
    receiver: MediaReceiver,
    onClosed: () => void,
  ): MediaPath | undefined {
    const pair = wanted && this.#isFree(wanted) ? wanted : this.#firstFree();
    if (!pair) return undefined;
    this.#receivers.set(pair.rtp, (packet) => receiver.onRtp(packet));
    this.#receivers.set(pair.rtcp, (packet) => receiver.onRtcp(packet));
    return {
      transport: `interleaved=${pair.rtp}-${pair.rtcp}`,
      sendRtp: (header, payload) => this.#send(pair.rtp, [header, payload]),
      sendRtcp: (packet) => this.#send(pair.rtcp, [packet]),
      close: () => {
        this.#receivers.delete(pair.rtp);
        this.#receivers.delete(pair.rtcp);
        onClosed();
      },
    };
  }

  onFrame(channel: number, frame: Buffer): void {
    const receive = this.#receivers.get(channel);
    if (receive) receive(framePayload(frame));
    else this.#counters.framesUnknown++;
  }

  #send(channel: number, parts: Buffer[]): boolean {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const head = Buffer.from([FRAME_MARK, channel, length >>> 8, length & 0xff]);
    const sent = this.#connection.sendFrame(channel, Buffer.concat([head, ...parts], FRAME_HEADER + length));
    if (!sent) this.#counters.framesDropped++;
    return sent;
  }

  #isFree({ rtp, rtcp }: { rtp: number; rtcp: number }): boolean {
    const inRange = rtp !== rtcp && Math.max(rtp, rtcp) < CHANNELS;
    return inRange && !this.#receivers.has(rtp) && !this.#receivers.has(rtcp);
  }

  #firstFree(): { rtp: number; rtcp: number } | undefined {
    for (let rtp = 0; rtp < CHANNELS; rtp += 2) {
      if (this.#isFree({ rtp, rtcp: rtp + 1 })) return { rtp, rtcp: rtp + 1 };
    }
    return undefined;
  }
}

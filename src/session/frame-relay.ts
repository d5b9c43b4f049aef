import type { RtspConnection } from '../rtsp/connection.js';
import type { ChannelMap } from './channel-map.js';
import type { RtspProxy } from './proxy.js';
import type { Upstream } from './upstream.js';

/** Interleaved frames between a client connection and its upstreams, each counted on its stream's row. */
export class FrameRelay {
  readonly #proxy: RtspProxy;
  readonly #client: RtspConnection;
  readonly #channels: ChannelMap;
  #passed = 0;

  constructor(proxy: RtspProxy, client: RtspConnection, channels: ChannelMap) {
    this.#proxy = proxy;
    this.#client = client;
    this.#channels = channels;
  }

  /** Frames passed to the client since the last call. */
  takePassed(): number {
    const passed = this.#passed;
    this.#passed = 0;
    return passed;
  }

  toClient(upstream: Upstream, channel: number, frame: Buffer): void {
    const clientChannel = this.#channels.toClient(upstream, channel);
    const route = this.#channels.toServer(clientChannel);
    if (!route) {
      this.#proxy.counters.framesUnknownChannel++;
      return;
    }
    if (this.#send(this.#client, clientChannel, frame)) {
      this.#passed++;
      this.#proxy.counters.framesToClient++;
      this.#proxy.table.countFrame(route.stream, route.serverLeg, frame.length);
    } else this.#dropped(route.stream, route.serverLeg);
  }

  toServer(channel: number, frame: Buffer): void {
    const route = this.#channels.toServer(channel);
    if (!route) {
      this.#proxy.counters.framesUnknownChannel++;
      return;
    }
    if (this.#send(route.upstream.connection, route.channel, frame)) {
      this.#proxy.counters.framesToServer++;
      this.#proxy.table.countFrame(route.stream, route.clientLeg, frame.length);
    } else this.#dropped(route.stream, route.clientLeg);
  }

  #send(to: RtspConnection, channel: number, frame: Buffer): boolean {
    const { interleavedBacklog, interleavedOverflow } = this.#proxy.config;
    const sent = to.sendFrame(channel, frame, interleavedBacklog);
    if (!sent && interleavedOverflow === 'close') to.destroy(new Error('peer does not read its media'));
    return sent;
  }

  #dropped(stream: number, leg: number): void {
    this.#proxy.counters.framesDropped++;
    this.#proxy.table.countDroppedFrame(stream, leg);
  }
}

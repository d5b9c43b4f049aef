import type { Service } from '../router/service.js';
import type { RtspRequest, RtspResponse } from '../rtsp/message.js';
import { type CarriedSession, CarriedSessions, type CarriedStream } from './carried-sessions.js';
import type { ChannelMap } from './channel-map.js';
import type { RtspProxy } from './proxy.js';
import type { EndReason, SessionCarrier, SessionKeeper } from './session-keeper.js';
import type { StreamView } from './session-rows.js';
import type { Upstream } from './upstream.js';

/** Statuses of a TEARDOWN after which the session is still wanted: authentication, wrong state, redirection. */
const TEARDOWN_GOES_ON = new Set([401, 407, 455, 459, 460]);

/** A stream of a predecessor, with its session. */
export interface InheritedStream {
  row: StreamView;
  service: Service;
  serverId: string;
}

/** What the exchanges of one client connection do to the sessions that were set up over it. */
export class ClientSessions {
  readonly carried = new CarriedSessions();
  readonly #keeper: SessionKeeper;
  readonly #carrier: SessionCarrier;

  constructor(keeper: SessionKeeper, carrier: SessionCarrier) {
    this.#keeper = keeper;
    this.#carrier = carrier;
  }

  get channels(): ChannelMap {
    return this.carried.channels;
  }

  /** A stream that a predecessor set up; undefined where its frames have lost their connection to the server. */
  inherit(stream: InheritedStream, upstream: Upstream | undefined, proxy: RtspProxy): CarriedStream | undefined {
    const { slot, urlHash, transport, clientChannels, serverChannels } = stream.row;
    this.#keeper.attach(stream.row.session, this.#carrier);
    const common = { stream: slot, urlHash, url: undefined };
    if (transport === proxy.table.transports.bridged) return this.#inheritBridged(stream.row, common, upstream, proxy);
    if (transport !== proxy.table.transports.interleaved) return { ...common, kind: 'udp' };
    if (!upstream) return undefined;
    this.channels.open(upstream, serverChannels, clientChannels, slot, proxy.legIndex);
    return { ...common, kind: 'interleaved', channels: [clientChannels.rtp, clientChannels.rtcp], upstream };
  }

  #inheritBridged(
    row: StreamView,
    common: { stream: number; urlHash: number; url: undefined },
    upstream: Upstream | undefined,
    { legIndex }: RtspProxy,
  ): CarriedStream | undefined {
    const { clientChannels, serverChannels, slot } = row;
    if (row.legs[legIndex.clientRtp]?.local === undefined) {
      this.channels.openBridged(clientChannels, slot);
      return { ...common, kind: 'bridged', channels: [clientChannels.rtp, clientChannels.rtcp] };
    }
    if (!upstream) return undefined;
    this.channels.openBridgedAt(upstream, serverChannels);
    return { ...common, kind: 'bridgedAt', at: serverChannels, upstream };
  }

  /** An answer of the server to a request of the session. */
  answered(request: RtspRequest, reply: RtspResponse, service: Service, serverId: string): void {
    if (request.method === 'TEARDOWN') this.#tornDown(request, reply, service, serverId);
    else {
      const isAggregate = () => !this.#keeper.namesOneStream(service, serverId, request.uri);
      this.#keeper.answered(service, serverId, request, reply.status, isAggregate);
    }
  }

  /** Ends one stream of a session; nothing happens if there is none for that URL. */
  closeStream(slot: number, uri: string): void {
    const stream = this.carried.takeStream(slot, uri);
    if (stream) this.#keeper.closeStream(stream.stream);
    else this.#keeper.closeNamed(slot, uri);
  }

  /** Ends sessions; returns how many. One may have gone on over a newer connection of its client: that stays. */
  end(reason: EndReason, which: (session: CarriedSession) => boolean): number {
    const ending = this.carried.slots(which).filter((slot) => this.#keeper.isCarrier(slot, this.#carrier));
    for (const slot of ending) this.#keeper.end(slot, reason);
    return ending.length;
  }

  /** The connection is gone: what is left goes on without one. */
  detachAll(): void {
    for (const slot of this.carried.slots()) {
      this.#keeper.detach(slot, this.#carrier);
      this.carried.delete(slot);
    }
  }

  #tornDown(request: RtspRequest, reply: RtspResponse, service: Service, serverId: string): void {
    if (TEARDOWN_GOES_ON.has(reply.status) || (reply.status >= 300 && reply.status < 400)) return;
    // RFC 2326 §10.7: the URL of one stream of several means that stream alone.
    if (reply.status < 300 && this.#keeper.namesOneStream(service, serverId, request.uri)) {
      const slot = this.#keeper.ownSlot(service, serverId);
      if (slot !== undefined) this.closeStream(slot, request.uri);
      return;
    }
    this.#keeper.ended(service, serverId, 'teardown');
  }
}

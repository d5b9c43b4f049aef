import { type Endpoint, writeEndpoint } from '../engine/endpoint.js';
import type { Layout } from '../engine/layout.js';
import type { SharedRegion } from '../engine/shared-region.js';
import type { ChannelPair } from './channel-map.js';

export const MEDIA_KINDS = ['unknown', 'video', 'audio', 'other'] as const;
export type MediaKind = (typeof MEDIA_KINDS)[number];

const NO_CHANNELS: ChannelPair = { rtp: 0, rtcp: 0 };

/** Header rewriting of what leaves by a leg; see Rewrite in region_layout.h. */
export type RewriteSpec = Record<keyof Layout['rewrite'], number>;

export interface LegSpec {
  /** The listening service; undefined where a channel is in its place. */
  local: Endpoint | undefined;
  /** What RTSP said of the peer; port 0 = any, undefined = nothing known. */
  declared?: Endpoint | undefined;
  /** Another address that the peer may send from. */
  alternate?: Endpoint | undefined;
  latching: keyof Layout['latching'];
  expectsMedia: boolean;
  /** Its packets are not RTP: relayed without a look at them. */
  opaque?: boolean;
  /** Of what comes from the peer, in bits per second, rounded up to `layout.limits.rateUnit`; 0 or absent = no limit. */
  maxRate?: number;
  rewrite?: RewriteSpec;
}

export interface StreamSpec {
  /** Slot of an own session entry. */
  session: number;
  service: number;
  transport: keyof Layout['streamTransport'];
  media: MediaKind;
  /** Of the RTP timestamps, 0 = not known. */
  clockRate: number;
  /** In the order of `layout.legIndex`; empty for what is not UDP on either side. */
  legs: readonly (LegSpec | undefined)[];
  /** Interleaved: the channels towards each side; bridged: towards the one that has them. */
  channels?: { client?: ChannelPair; server?: ChannelPair };
  /** Bridged: the engine thread of the wires. */
  thread?: number;
  /** Rows of the wires of its RTSP connections, where the engine holds those. */
  wires?: StreamWires | undefined;
  /** urlHash of what was set up. */
  urlHash?: number;
}

/** Rows of the wire table. */
export interface StreamWires {
  client: number;
  /** Needed where the frames are in it. */
  server?: number;
}

/** Writes what a row of the stream table says. Whoever calls marks the row as being written. */
export class StreamRowWriter {
  readonly #region: SharedRegion;

  constructor(region: SharedRegion) {
    this.#region = region;
  }

  fill(slot: number, spec: StreamSpec, now: number): void {
    const region = this.#region;
    const row = region.streamAt(slot);
    const { stream, streamTransport, sizes, limits } = this.#region.layout;
    region.setU32(row + stream.session, spec.session);
    region.setU32(row + stream.service, spec.service);
    region.setU8(row + stream.transport, streamTransport[spec.transport]);
    region.setF64(row + stream.openedMs, now);
    region.setU32(row + stream.urlHash, spec.urlHash ?? 0);
    region.clear(row + stream.legs, sizes.leg * limits.legsPerStream);
    region.setU32(row + stream.clockRate, spec.clockRate);
    region.setU8(row + stream.media, MEDIA_KINDS.indexOf(spec.media));
    this.setWires(slot, spec.wires);
    this.#writeChannels(row, spec.channels ?? {});
    for (const [index, leg] of spec.legs.entries()) if (leg !== undefined) this.#writeLeg(slot, index, leg);
  }

  setWires(slot: number, wires: StreamWires | undefined): void {
    const row = this.#region.streamAt(slot);
    const { stream } = this.#region.layout;
    this.#writeWire(row + stream.clientWire, row + stream.clientWireGeneration, wires?.client);
    this.#writeWire(row + stream.serverWire, row + stream.serverWireGeneration, wires?.server);
  }

  #writeWire(slotCell: number, generationCell: number, slot: number | undefined): void {
    const { wire, limits } = this.#region.layout;
    const generation = slot === undefined ? 0 : this.#region.loadU32(this.#region.wireAt(slot) + wire.generation);
    this.#region.setU32(slotCell, slot ?? limits.noWire);
    this.#region.setU32(generationCell, generation);
  }

  #writeChannels(row: number, channels: NonNullable<StreamSpec['channels']>): void {
    const { client = NO_CHANNELS, server = NO_CHANNELS } = channels;
    const { stream } = this.#region.layout;
    this.#region.setU8(row + stream.clientChannel, client.rtp);
    this.#region.setU8(row + stream.clientRtcpChannel, client.rtcp);
    this.#region.setU8(row + stream.serverChannel, server.rtp);
    this.#region.setU8(row + stream.serverRtcpChannel, server.rtcp);
  }

  #writeLeg(slot: number, index: number, spec: LegSpec): void {
    const region = this.#region;
    const { leg, latching, legFlags } = this.#region.layout;
    const at = region.legAt(slot, index);
    writeEndpoint(region, at + leg.local, spec.local);
    writeEndpoint(region, at + leg.declared, spec.declared);
    writeEndpoint(region, at + leg.alternate, spec.alternate);
    region.setU8(at + leg.latching, latching[spec.latching]);
    const flags = (spec.expectsMedia ? legFlags.expectsMedia : 0) | (spec.opaque ? legFlags.opaque : 0);
    region.setU8(at + leg.flags, flags);
    region.setU16(at + leg.maxRate, Math.ceil((spec.maxRate ?? 0) / this.#region.layout.limits.rateUnit));
    if (spec.rewrite !== undefined) this.#writeRewrite(at + leg.rewrite, spec.rewrite);
  }

  #writeRewrite(at: number, spec: RewriteSpec): void {
    const { rewrite } = this.#region.layout;
    this.#region.setU32(at + rewrite.flags, spec.flags);
    this.#region.setU32(at + rewrite.ssrcFrom, spec.ssrcFrom);
    this.#region.setU32(at + rewrite.ssrcTo, spec.ssrcTo);
    this.#region.setU32(at + rewrite.timestampDelta, spec.timestampDelta);
    this.#region.setU16(at + rewrite.sequenceDelta, spec.sequenceDelta);
    this.#region.setU8(at + rewrite.payloadType, spec.payloadType);
  }

  /** No engine has this stream, so the data half is ours: cleared, and valid from now on. */
  attachHere(slot: number, generation: number): void {
    const { stream, sizes, limits } = this.#region.layout;
    this.#region.clear(this.#region.legDataAt(slot, 0), sizes.legData * limits.legsPerStream);
    this.#region.storeU32(this.#region.streamAt(slot) + stream.attachedGeneration, generation);
  }
}

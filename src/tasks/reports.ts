/** Rows of `show session` and `show listener`, as read from the region. */

export type HeldListenerReport = MediaListenerReport | WireReport;

export interface TrafficReport {
  packets: number;
  bytes: number;
}

export interface SessionReport {
  /** Global slot of the oldest entry of the session table. */
  slot: number;
  worker: number;
  vserver: string;
  service: string;
  client: string;
  /** The id that the server issued. */
  serverId: string;
  controlUrl: string;
  state: 'ready' | 'playing' | 'recording';
  transport: 'udp' | 'interleaved' | 'bridged' | 'opaque' | 'none';
  streams: number;
  /** Global slot of the wire table: the engine holds the RTSP connection that it was set up over. Absent: a worker, or nobody, does. */
  wire?: number;
  /** How the expected media is moved: the tier of all its streams, or `mixed`; absent while there is none. */
  tier?: TierName | 'mixed';
  /** Why no better tier: the reason of the first stream that has one. */
  tierReason?: string;
  ageSec: number;
  /** Since the last RTSP message or media of this side; absent = never heard. */
  clientIdleSec?: number;
  serverIdleSec?: number;
  toClient: TrafficReport;
  toServer: TrafficReport;
  /** Packets and frames that came for it and went nowhere: of the wrong source, too many, or not read by the peer. */
  dropped: number;
}

/** How packets that arrive are moved. */
export type TierName = 'mmsg' | 'gso' | 'offload';

/** How many listening services that media is expected on are in each tier, and for which reason in no better one. */
export interface TierCounts {
  tiers: Record<TierName, number>;
  /** By name of `layout.tierReason`; those that media cannot have are left out. */
  reasons: Record<string, number>;
}

/** An RTSP connection that the engine holds. */
export interface WireReport {
  kind: 'wire';
  /** Global slot of the wire table. */
  wire: number;
  side: 'client' | 'server';
  /** Name of the client's vserver, or of the service. */
  of: string;
  /** Of a connection to a server: the wire of its client. */
  client?: number;
  address: string;
  remote: string;
  /** `moving`: the engine has not got it yet. */
  state: 'moving' | 'open' | 'closing';
  /** Interleaved frames, and the bytes of messages too. */
  rx: TrafficReport;
  tx: TrafficReport;
  /** Frames for it that were dropped because the peer did not read. */
  refused: number;
  /** Frames from it on channels that were not set up. */
  unrouted: number;
}

/** A UDP port of a stream. */
export interface MediaListenerReport {
  kind: 'media';
  /** Global slot of the stream table. */
  stream: number;
  /** Global slot of the session table. */
  session: number;
  media: 'unknown' | 'video' | 'audio' | 'other';
  side: 'client' | 'server';
  part: 'rtp' | 'rtcp';
  address: string;
  state: 'unused' | 'waiting' | 'latched' | 'relearning' | 'closed';
  /** Where packets go to, once it is known. */
  remote?: string;
  /** How often the source was learned. */
  latches: number;
  rx: TrafficReport;
  tx: TrafficReport;
  refused: number;
  punches: number;
  /** Packets that were lost here because the receive buffer was full. */
  overflowed: number;
  /** Of what arrives here; absent before the engine has the stream. */
  tier?: TierName;
  /** Why no better one. */
  tierReason?: string;
  /** RFC 3550 A.3 of what arrives here; never negative. Absent with tier offload: the kernel counts no sequence numbers. */
  lost?: number;
  /** RFC 3550 A.8; absent where the clock rate is not known, and with tier offload. */
  jitterMs?: number;
  /** From RTCP; absent = not known. */
  roundTripMs?: number;
}

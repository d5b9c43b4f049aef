/**
 * The layout of the region as the addon exports it: every offset and size in bytes, from
 * `offsetof` and `sizeof` in native/table/region_layout.h. Nothing in TypeScript writes an
 * offset of its own. Fields are the C++ names in camel case.
 */

/** Offsets of the named fields in bytes from the start of the row. */
export type Offsets<Field extends string> = Readonly<Record<Field, number>>;

/** One cell of an engine thread's counter block: a 64-bit unsigned integer at `offset` of the block. */
export interface CounterField {
  readonly name: string;
  readonly unit: string;
  readonly about: string;
  readonly offset: number;
}

export interface Layout {
  readonly version: number;
  readonly limits: Readonly<{
    maxWorkers: number;
    maxEngineThreads: number;
    maxServices: number;
    maxRowsPerWorker: number;
    minRingSlots: number;
    maxRingSlots: number;
    legsPerStream: number;
    maxServerId: number;
    maxControlUrl: number;
    maxAuthority: number;
    /** Rows of the client table before the one of everybody. */
    clientBuckets: number;
    /** Bits per second: the unit of a leg's `maxRate`. */
    rateUnit: number;
    /** In a field that names a wire: there is none. */
    noWire: number;
    /** Bytes of a message that comes on a wire. */
    maxHeldMessage: number;
    maxWireTail: number;
    minWireRing: number;
    maxWireRing: number;
  }>;
  /**
   * Row sizes. `indexSlot` is one u32 of a slice's hash index; `counters` is the block of one engine thread.
   * A ring takes `ring + ringSlots * command` (or `* event`) bytes; rings lie in order [worker][thread].
   */
  readonly sizes: Readonly<
    Record<
      | 'header'
      | 'process'
      | 'service'
      | 'load'
      | 'client'
      | 'session'
      | 'indexSlot'
      | 'stream'
      | 'leg'
      | 'legData'
      | 'endpoint'
      | 'rewrite'
      | 'ring'
      | 'command'
      | 'event'
      | 'wire'
      | 'wireRecord'
      | 'counters',
      number
    >
  >;
  readonly header: Offsets<
    | 'magic'
    | 'layoutVersion'
    | 'workers'
    | 'engineThreads'
    | 'services'
    | 'sessionsPerWorker'
    | 'streamsPerWorker'
    | 'indexPerWorker'
    | 'ringSlots'
    | 'wiresPerWorker'
    | 'wireRingBytes'
    | 'size'
    | 'processesOffset'
    | 'servicesOffset'
    | 'loadsOffset'
    | 'clientsOffset'
    | 'sessionsOffset'
    | 'indexOffset'
    | 'streamsOffset'
    | 'commandRingsOffset'
    | 'eventRingsOffset'
    | 'wiresOffset'
    | 'inboxesOffset'
    | 'outboxesOffset'
    | 'countersOffset'
    | 'createdMs'
    | 'quarantineMs'
    | 'defaultLatching'
    | 'interleavedBacklog'
    | 'interleavedOverflow'
    | 'messageDeadlineMs'
    | 'clientSeed'
  >;
  readonly process: Offsets<
    'pid' | 'state' | 'epoch' | 'connections' | 'startedMs' | 'heartbeatMs' | 'rssBytes' | 'cpuUs'
  >;
  readonly service: Offsets<'state' | 'weight' | 'maxSessions' | 'changes' | 'changedMs'>;
  readonly load: Offsets<
    'sessions' | 'pending' | 'connectFailures' | 'refusedSetups' | 'sessionsTotal' | 'requestsTotal' | 'turns'
  >;
  /** One row per bucket of client addresses, and one of everybody, with a cell per worker. */
  readonly client: Offsets<'connections' | 'sessions'>;
  readonly session: Offsets<
    | 'sequence'
    | 'state'
    | 'generation'
    | 'vserver'
    | 'service'
    | 'streams'
    | 'serverIdBytes'
    | 'controlUrlBytes'
    | 'timeoutSec'
    | 'flags'
    | 'client'
    | 'openedMs'
    | 'clientControlMs'
    | 'serverControlMs'
    | 'serverId'
    | 'controlUrl'
  >;
  /** `legs` and `data` are arrays of `limits.legsPerStream` rows of `sizes.leg` and `sizes.legData`. */
  readonly stream: Offsets<
    | 'sequence'
    | 'state'
    | 'generation'
    | 'session'
    | 'service'
    | 'clockRate'
    | 'transport'
    | 'media'
    | 'clientChannel'
    | 'serverChannel'
    | 'clientRtcpChannel'
    | 'serverRtcpChannel'
    | 'clientWire'
    | 'serverWire'
    | 'clientWireGeneration'
    | 'serverWireGeneration'
    | 'urlHash'
    | 'openedMs'
    | 'legs'
    | 'attachedGeneration'
    | 'releasedGeneration'
    | 'data'
  >;
  readonly leg: Offsets<'local' | 'declared' | 'alternate' | 'latching' | 'flags' | 'maxRate' | 'rewrite'>;
  readonly legData: Offsets<
    | 'state'
    | 'latches'
    | 'remote'
    | 'lastRxMs'
    | 'rxPackets'
    | 'rxBytes'
    | 'txPackets'
    | 'txBytes'
    | 'refused'
    | 'punches'
    | 'overflowed'
    | 'ssrc'
    | 'highestSequence'
    | 'expected'
    | 'received'
    | 'jitterX16'
    | 'roundTripUs'
    | 'tier'
    | 'tierReason'
    | 'kernelPackets'
    | 'kernelBytes'
  >;
  /** Up to `authority` the control half, which the worker writes; behind it the engine's half. */
  readonly wire: Offsets<
    | 'sequence'
    | 'state'
    | 'generation'
    | 'thread'
    | 'kind'
    | 'link'
    | 'vserver'
    | 'service'
    | 'remote'
    | 'local'
    | 'proxy'
    | 'reached'
    | 'openedMs'
    | 'flags'
    | 'cseqAhead'
    | 'forwardedSeq'
    | 'authorityBytes'
    | 'authority'
    | 'attachedGeneration'
    | 'releasedGeneration'
    | 'wireState'
    | 'fault'
    | 'end'
    | 'error'
    | 'writtenSeq'
    | 'messagesTaken'
    | 'shut'
    | 'lastRxMs'
    | 'lastTxMs'
    | 'rxBytes'
    | 'rxFrames'
    | 'rxMessages'
    | 'txBytes'
    | 'txFrames'
    | 'txMessages'
    | 'droppedFrames'
    | 'unroutedFrames'
  >;
  readonly endpoint: Offsets<'address' | 'port' | 'family' | 'scope'>;
  readonly rewrite: Offsets<'flags' | 'ssrcFrom' | 'ssrcTo' | 'timestampDelta' | 'sequenceDelta' | 'payloadType'>;
  /** `slots` is where the first slot lies. */
  readonly ring: Offsets<'head' | 'dropped' | 'tail' | 'slots'>;
  readonly command: Offsets<'op' | 'stream' | 'generation'>;
  readonly event: Offsets<'kind' | 'stream' | 'generation' | 'leg' | 'remote'>;

  readonly family: Readonly<{ none: number; v4: number; v6: number }>;
  readonly processState: Readonly<{ empty: number; starting: number; ready: number; draining: number }>;
  readonly serviceState: Readonly<{
    up: number;
    down: number;
    draining: number;
    disabled: number;
    unknown: number;
  }>;
  readonly rowState: Readonly<{ free: number; open: number; closing: number }>;
  readonly sessionFlags: Readonly<{ playing: number; recording: number; interleaved: number }>;
  readonly legIndex: Readonly<{ clientRtp: number; clientRtcp: number; serverRtp: number; serverRtcp: number }>;
  readonly latching: Readonly<{ off: number; sameIp: number; any: number }>;
  readonly legState: Readonly<{
    unused: number;
    waiting: number;
    latched: number;
    relearning: number;
    closed: number;
  }>;
  readonly tier: Readonly<Record<'none' | 'mmsg' | 'gso' | 'offload', number>>;
  readonly tierReason: Readonly<
    Record<
      | 'none'
      | 'switchedOff'
      | 'unavailable'
      | 'reports'
      | 'noMedia'
      | 'waiting'
      | 'noRemote'
      | 'rewriting'
      | 'families'
      | 'loopback'
      | 'route'
      | 'interface'
      | 'attaching'
      | 'unfit'
      | 'refused'
      | 'settling'
      | 'notRtp'
      | 'limited'
      | 'bridged'
      | 'ipsec',
      number
    >
  >;
  readonly streamTransport: Readonly<{ udp: number; interleaved: number; opaque: number; bridged: number }>;
  readonly legFlags: Readonly<{ expectsMedia: number; opaque: number }>;
  readonly rewriteFlags: Readonly<{ ssrc: number; sequence: number; timestamp: number; payloadType: number }>;
  readonly commandOp: Readonly<{ update: number; close: number }>;
  readonly eventKind: Readonly<{ latched: number; relearned: number; released: number }>;
  readonly wireKind: Readonly<{ client: number; upstream: number }>;
  readonly overflow: Readonly<{ dropFrames: number; close: number }>;
  readonly wireState: Readonly<Record<'idle' | 'open' | 'faulted' | 'ended' | 'closed', number>>;
  readonly wireShut: Readonly<Record<'none' | 'asked' | 'sent', number>>;
  readonly wireFault: Readonly<Record<'none' | 'message' | 'tooLarge' | 'late', number>>;
  readonly wireEnd: Readonly<
    Record<'none' | 'both' | 'linger' | 'error' | 'messages' | 'frames' | 'torn' | 'lost', number>
  >;
  /** What a record of an outbox (the first six) or an inbox says; native/table/region_layout.h explains each. */
  readonly recordKind: Readonly<
    Record<
      | 'start'
      | 'write'
      | 'continue'
      | 'stream'
      | 'shutdown'
      | 'close'
      | 'attached'
      | 'message'
      | 'fault'
      | 'end'
      | 'closed'
      | 'released',
      number
    >
  >;

  /** The counters of an engine thread, in the order of native/counters/counters.inc. */
  readonly counters: readonly CounterField[];
}

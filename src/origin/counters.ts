/** Everything an origin counts over its life, summed over all sessions. The names are those of `Origin.stats()`. */
export interface OriginCounters {
  connectionsTotal: number;
  requests: number;
  describes: number;
  setups: number;
  plays: number;
  pauses: number;
  announces: number;
  records: number;
  /** Sessions ended by TEARDOWN, by silence, and by the loss of the connection that carried their media. */
  teardowns: number;
  expired: number;
  disconnected: number;
  /** RTP packets and their bytes (header and payload). */
  packetsSent: number;
  bytesSent: number;
  packetsReceived: number;
  bytesReceived: number;
  /** RTCP compounds. */
  reportsSent: number;
  reportsReceived: number;
  /** Datagrams that are neither RTP nor RTCP: the hole punches that players send before PLAY. */
  punchesReceived: number;
  /** Datagrams from an address that belongs to no stream of the socket. */
  straysReceived: number;
  /** Interleaved frames not sent because the peer reads too slowly. */
  framesDropped: number;
  /** Interleaved frames on a channel that was not set up. */
  framesUnknown: number;
  sendErrors: number;
  /** Times a session's pacing was so late that it skipped ahead. */
  stalls: number;
}

export function newCounters(): OriginCounters {
  return {
    connectionsTotal: 0,
    requests: 0,
    describes: 0,
    setups: 0,
    plays: 0,
    pauses: 0,
    announces: 0,
    records: 0,
    teardowns: 0,
    expired: 0,
    disconnected: 0,
    packetsSent: 0,
    bytesSent: 0,
    packetsReceived: 0,
    bytesReceived: 0,
    reportsSent: 0,
    reportsReceived: 0,
    punchesReceived: 0,
    straysReceived: 0,
    framesDropped: 0,
    framesUnknown: 0,
    sendErrors: 0,
    stalls: 0,
  };
}

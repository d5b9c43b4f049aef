/** How the packets of one stream travel: a pair of UDP ports, or two channels of an RTSP connection. */
export interface MediaPath {
  /** What the path adds to the Transport header of the SETUP answer, e.g. `server_port=5000-5001`. */
  readonly transport: string;
  /** False: the packet was dropped, and counted. */
  sendRtp(header: Buffer, payload: Buffer): boolean;
  sendRtcp(packet: Buffer): boolean;
  close(): void;
}

/** The other direction: what came from the peer, not yet looked at. */
export interface MediaReceiver {
  onRtp(packet: Buffer): void;
  onRtcp(packet: Buffer): void;
}

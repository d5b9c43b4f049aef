/** RTP with so many bytes of payload; with none it is what players open their NAT with. */
export function rtpPacket(ssrc: number, sequence: number, payload: number): Buffer {
  const packet = Buffer.alloc(12 + payload, 0x55);
  packet.writeUInt16BE(0x8060, 0); // version 2, payload type 96
  packet.writeUInt16BE(sequence & 0xffff, 2);
  packet.writeUInt32BE(sequence * 3000, 4);
  packet.writeUInt32BE(ssrc, 8);
  return packet;
}

/** A receiver report without report blocks (RFC 3550 §6.4.2). */
export function receiverReport(ssrc: number): Buffer {
  const packet = Buffer.from([0x80, 201, 0, 1, 0, 0, 0, 0]);
  packet.writeUInt32BE(ssrc, 4);
  return packet;
}

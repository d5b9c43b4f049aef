// What a test packet carries, and how it is written. Both ends run on one machine, so the
// stamp is in host order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace penstock::bench {

struct Stamp {
  int64_t sent_ns;
  uint32_t stream;    // index of the farm's stream
  uint32_t sequence;  // from 0, one more with each packet of the stream
};

inline constexpr size_t kRtpHeader = 12;
inline constexpr size_t kHeadBytes = kRtpHeader + sizeof(Stamp);
inline constexpr size_t kMaxPacket = 1472;
inline constexpr uint32_t kSsrcBase = 0x50420000;
inline constexpr uint8_t kPayloadType = 96;

using Head = uint8_t[kHeadBytes];

// RTP header (RFC 3550 §5.1) and stamp.
inline void WriteHead(Head& head, const Stamp& stamp, bool marker) {
  const auto sequence = static_cast<uint16_t>(stamp.sequence);
  const auto timestamp = static_cast<uint32_t>(stamp.sent_ns / 1000 * 9 / 100);  // 90 kHz
  const uint32_t ssrc = kSsrcBase + stamp.stream;
  head[0] = 0x80;
  head[1] = static_cast<uint8_t>(kPayloadType | (marker ? 0x80 : 0));
  const uint16_t sequence_be = __builtin_bswap16(sequence);
  const uint32_t words_be[2] = {__builtin_bswap32(timestamp), __builtin_bswap32(ssrc)};
  std::memcpy(&head[2], &sequence_be, sizeof(sequence_be));
  std::memcpy(&head[4], words_be, sizeof(words_be));
  std::memcpy(&head[kRtpHeader], &stamp, sizeof(stamp));
}

// False where the packet is not one of ours.
inline bool ReadStamp(std::span<const uint8_t> packet, Stamp& stamp) {
  if (packet.size() < kHeadBytes || packet[0] != 0x80 || (packet[1] & 0x7f) != kPayloadType) return false;
  std::memcpy(&stamp, &packet[kRtpHeader], sizeof(stamp));
  uint32_t ssrc_be = 0;
  std::memcpy(&ssrc_be, &packet[8], sizeof(ssrc_be));
  return __builtin_bswap32(ssrc_be) == kSsrcBase + stamp.stream;
}

}  // namespace penstock::bench

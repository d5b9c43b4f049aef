// A compound RTCP packet as a list of blocks, each checked before it is shown (RFC 3550 §6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "rtp/bytes.h"
#include "rtp/rtp_view.h"

namespace penstock::rtp {

enum RtcpType : uint8_t {
  kSenderReport = 200,
  kReceiverReport = 201,
  kSourceDescription = 202,
  kBye = 203,
  kApp = 204,
  kTransportFeedback = 205,  // RFC 4585
  kPayloadFeedback = 206,
  kExtendedReport = 207,  // RFC 3611
};

inline constexpr size_t kRtcpHeader = 4;
inline constexpr size_t kReportBlock = 24;
inline constexpr size_t kSenderInfo = 20;

// RFC 5761 §4: where RTP and RTCP share a port, these second bytes are RTCP.
inline constexpr bool IsRtcpType(uint8_t second_byte) { return second_byte >= 192 && second_byte <= 223; }

struct RtcpBlock {
  std::span<uint8_t> bytes;  // whole block with its header; at least 4, a multiple of 4

  uint8_t type() const { return bytes[1]; }
  uint8_t count() const { return bytes[0] & 0x1f; }  // report blocks, chunks or feedback format
  size_t size() const { return bytes.size(); }

  // Report blocks of an SR or RR start here; 0 for other types.
  size_t reports_offset() const {
    if (type() == kSenderReport) return kRtcpHeader + 4 + kSenderInfo;
    return type() == kReceiverReport ? kRtcpHeader + 4 : 0;
  }
  // Report blocks that are really there, whatever the count says.
  size_t reports() const {
    const size_t offset = reports_offset();
    if (offset == 0 || size() < offset) return 0;
    const size_t fit = (size() - offset) / kReportBlock;
    return fit < count() ? fit : count();
  }
};

// Smallest size with which a block of this type can be what it says.
inline size_t MinimumRtcpBlock(uint8_t type, uint8_t count) {
  switch (type) {
    case kSenderReport: return kRtcpHeader + 4 + kSenderInfo + count * kReportBlock;
    case kReceiverReport: return kRtcpHeader + 4 + count * kReportBlock;
    case kSourceDescription:
    case kBye: return kRtcpHeader + 4u * count;
    case kApp: return 12;
    case kTransportFeedback:
    case kPayloadFeedback: return 12;
    default: return kRtcpHeader;
  }
}

class RtcpReader {
 public:
  explicit RtcpReader(std::span<uint8_t> packet) : rest_(packet) {}

  // False at the end and at the first block that does not fit. `at_end()` tells the two apart.
  bool Next(RtcpBlock& block) {
    if (rest_.size() < kRtcpHeader || rest_[0] >> 6 != kVersion || !IsRtcpType(rest_[1])) return false;
    const size_t size = kRtcpHeader + 4u * Load16(&rest_[2]);
    if (size > rest_.size() || size < MinimumRtcpBlock(rest_[1], rest_[0] & 0x1f)) return false;
    block.bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return true;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::span<uint8_t> rest_;
};

// The first block is sound. Enough for a port that carries RTCP only; what follows may be
// encrypted (SRTCP) and is the endpoints' affair.
inline bool StartsAsRtcp(std::span<uint8_t> packet) {
  RtcpBlock block;
  return packet.size() >= 8 && RtcpReader(packet).Next(block);
}

// Every block is sound and together they fill the packet. Asked for on a port that carries
// RTP too, where an odd payload type with its marker bit set looks like RTCP.
inline bool IsWholeRtcp(std::span<uint8_t> packet) {
  RtcpReader reader(packet);
  RtcpBlock block;
  if (packet.size() < 8) return false;
  while (reader.Next(block)) {
  }
  return reader.at_end();
}

}  // namespace penstock::rtp

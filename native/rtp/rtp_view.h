// One RTP packet, checked once (RFC 3550 §5.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "rtp/bytes.h"

namespace penstock::rtp {

inline constexpr size_t kRtpFixedHeader = 12;
inline constexpr uint8_t kVersion = 2;

class RtpView {
 public:
  // Nothing where version, CSRC list or header extension do not fit the packet.
  // Odd padding is no reason to refuse: with SRTP its length is encrypted.
  static std::optional<RtpView> Parse(std::span<const uint8_t> packet) {
    if (packet.size() < kRtpFixedHeader || packet[0] >> 6 != kVersion) return std::nullopt;
    size_t header = kRtpFixedHeader + 4u * (packet[0] & 0x0f);
    if ((packet[0] & 0x10) != 0) {
      if (packet.size() < header + 4) return std::nullopt;
      header += 4 + 4u * Load16(&packet[header + 2]);
    }
    if (packet.size() < header) return std::nullopt;
    return RtpView(packet, header);
  }

  bool marker() const { return (packet_[1] & 0x80) != 0; }
  uint8_t payload_type() const { return packet_[1] & 0x7f; }
  uint16_t sequence() const { return Load16(&packet_[2]); }
  uint32_t timestamp() const { return Load32(&packet_[4]); }
  uint32_t ssrc() const { return Load32(&packet_[8]); }
  bool has_extension() const { return (packet_[0] & 0x10) != 0; }
  size_t header_bytes() const { return header_; }  // with CSRC list and extension
  bool header_only() const { return packet_.size() == header_; }

  // Bytes of padding at the end, its own count included; 0 where the count cannot be right.
  size_t padding_bytes() const {
    if ((packet_[0] & 0x20) == 0 || header_only()) return 0;
    const size_t padding = packet_.back();
    return padding <= packet_.size() - header_ ? padding : 0;
  }
  size_t payload_bytes() const { return packet_.size() - header_ - padding_bytes(); }

 private:
  RtpView(std::span<const uint8_t> packet, size_t header) : packet_(packet), header_(header) {}

  std::span<const uint8_t> packet_;
  size_t header_;
};

}  // namespace penstock::rtp

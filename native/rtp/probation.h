// A source is believed to send RTP after two packets in sequence (RFC 3550 A.1), which
// keeps random bytes that happen to parse as RTP from being relayed.
#pragma once

#include <cstdint>

namespace penstock::rtp {

class Probation {
 public:
  // True once the source has passed; the packet that completes the pair passes too.
  bool Pass(uint32_t ssrc, uint16_t sequence) {
    if (passed_ && ssrc == ssrc_) return true;
    passed_ = seen_ && ssrc == ssrc_ && sequence == static_cast<uint16_t>(last_ + 1);
    seen_ = true;
    ssrc_ = ssrc;
    last_ = sequence;
    return passed_;
  }
  void Reset() { *this = Probation(); }

 private:
  uint32_t ssrc_ = 0;
  uint16_t last_ = 0;
  bool seen_ = false;
  bool passed_ = false;
};

}  // namespace penstock::rtp

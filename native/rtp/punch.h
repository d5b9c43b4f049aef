// What a received packet is. Hole punches are what players send before PLAY to open a
// NAT or firewall; each shape below was seen from a real program.
#pragma once

#include <cstdint>
#include <span>

#include "rtp/rtcp_view.h"
#include "rtp/rtp_view.h"

namespace penstock::rtp {

enum class Kind : uint8_t {
  kRtp,    // valid RTP with something behind its header
  kRtcp,   // valid RTCP
  kPunch,  // one of the known shapes
  kJunk,   // anything else; rtspsrc punches with 200 random bytes
  kOpaque, // of a stream that is not RTP: nothing can be told of it
};

inline constexpr size_t kPunchBelow = 8;  // openRTSP: 4 bytes cefaedfe

// ffmpeg on its RTCP port: an empty receiver report of SSRC 0.
inline bool IsEmptyReport(std::span<const uint8_t> packet) {
  return packet.size() == 8 && packet[0] == 0x80 && packet[1] == kReceiverReport && Load16(&packet[2]) == 1 &&
         Load32(&packet[4]) == 0;
}

inline Kind Classify(std::span<uint8_t> packet, bool rtcp_leg) {
  if (packet.size() < kPunchBelow || IsEmptyReport(packet)) return Kind::kPunch;
  if (rtcp_leg ? StartsAsRtcp(packet) : IsRtcpType(packet[1]) && IsWholeRtcp(packet)) return Kind::kRtcp;
  const auto rtp = RtpView::Parse(packet);
  if (!rtp) return Kind::kJunk;
  // ffmpeg and janus: 12 bytes of RTP header, all zero but the version. janus does so on its
  // RTCP port as well, where RTP with a payload would still be out of place.
  if (rtp->header_only()) return Kind::kPunch;
  return rtcp_leg ? Kind::kJunk : Kind::kRtp;
}

}  // namespace penstock::rtp

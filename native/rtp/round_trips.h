// What a relay learns of the round trips to its two peers from the RTCP that passes.
#pragma once

#include <cstdint>
#include <span>

#include "rtp/bytes.h"
#include "rtp/quality.h"
#include "rtp/rtcp_view.h"

namespace penstock::rtp {

inline constexpr size_t kNtpMiddle = 10;  // of a sender report: the middle 32 bits of its NTP time
inline constexpr size_t kReportLsr = 16;
inline constexpr size_t kReportDlsr = 20;

// A packet that came from the peer of `here` and goes to that of `there`. Gives the microseconds to the
// peer that it came from, 0 where it tells nothing of them.
inline uint32_t MeasureRoundTrips(std::span<uint8_t> packet, RoundTrip& here, RoundTrip& there, int64_t now_us) {
  uint32_t found = 0;
  RtcpReader reader(packet);
  RtcpBlock block;
  while (reader.Next(block)) {
    if (block.type() == kSenderReport) there.OnSenderReportOut(Load32(&block.bytes[kNtpMiddle]), now_us);
    size_t at = block.reports_offset();
    for (size_t i = 0; i < block.reports(); ++i, at += kReportBlock) {
      const uint32_t trip =
          here.OnReportIn(Load32(&block.bytes[at + kReportLsr]), Load32(&block.bytes[at + kReportDlsr]), now_us);
      if (trip != 0) found = trip;
    }
  }
  return found;
}

}  // namespace penstock::rtp

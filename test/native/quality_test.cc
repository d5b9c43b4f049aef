#include "rtp/quality.h"

#include "check.h"

using penstock::rtp::Quality;
using penstock::rtp::RoundTrip;

namespace {

void Feed(Quality& quality, uint32_t sequence, uint32_t timestamp = 0) {
  quality.OnPacket(1, static_cast<uint16_t>(sequence), timestamp, false, 0);
}

}  // namespace

TEST(quality_counts_loss_over_the_wrap) {
  Quality quality;
  for (uint32_t i = 0; i < 20; ++i) {
    if (i != 5 && i != 6) Feed(quality, 65530 + i);
  }
  CHECK_EQ(quality.highest_sequence(), 65536u + 13);
  CHECK_EQ(quality.expected(), 20u);
  CHECK_EQ(quality.received(), 18u);
  CHECK_EQ(quality.lost(), 2);
}

TEST(quality_takes_reordered_packets_and_duplicates) {
  Quality quality;
  for (const uint32_t sequence : {100, 102, 101, 103, 103}) Feed(quality, sequence);
  CHECK_EQ(quality.expected(), 4u);
  CHECK_EQ(quality.received(), 5u);
  CHECK_EQ(quality.lost(), -1);  // RFC 3550 A.3: duplicates may make it negative
}

TEST(quality_follows_a_restart_only_when_confirmed) {
  Quality quality;
  for (uint32_t i = 0; i < 10; ++i) Feed(quality, 1000 + i);
  Feed(quality, 40000);
  CHECK_EQ(quality.highest_sequence(), 1009u);
  CHECK_EQ(quality.received(), 10u);
  Feed(quality, 40001);
  CHECK_EQ(quality.highest_sequence(), 40001u);
  CHECK_EQ(quality.expected(), 1u);
  CHECK_EQ(quality.received(), 1u);
}

TEST(quality_begins_anew_with_another_source) {
  Quality quality;
  Feed(quality, 10);
  quality.OnPacket(2, 500, 0, false, 0);
  CHECK_EQ(quality.ssrc(), 2u);
  CHECK_EQ(quality.expected(), 1u);
}

// RFC 3550 A.8: J += |D| - ((J + 8) >> 4), in sixteenths.
TEST(quality_jitter_as_in_rfc_3550) {
  Quality quality;
  const uint32_t arrivals[] = {1000, 1160, 1330, 1480, 1640};
  uint32_t sequence = 0;
  uint32_t timestamp = 0xffffff00;  // the wrap changes nothing
  uint32_t expected = 0;
  uint32_t previous = 0;
  for (const uint32_t arrival : arrivals) {
    const uint32_t transit = arrival - timestamp;
    const auto difference = static_cast<int32_t>(transit - previous);
    if (sequence != 0) expected += static_cast<uint32_t>(difference < 0 ? -difference : difference) - ((expected + 8) >> 4);
    previous = transit;
    quality.OnPacket(1, static_cast<uint16_t>(++sequence), timestamp, true, arrival);
    timestamp += 160;
  }
  CHECK_EQ(quality.jitter_x16(), expected);
  CHECK_EQ(expected, 18u);  // 0, 10, then 10+10-1=19, and 19+0-1
}

TEST(quality_goes_on_after_a_restart) {
  Quality before;
  for (uint32_t i = 0; i < 30; ++i) {
    if (i != 3) Feed(before, 65520 + i);
  }
  Quality after;
  after.Restore(before.ssrc(), before.highest_sequence(), before.expected(), before.received(), before.jitter_x16());
  Feed(after, 65520 + 30);
  CHECK_EQ(after.expected(), 31u);
  CHECK_EQ(after.received(), 30u);
  Quality nothing;
  nothing.Restore(0, 0, 0, 0, 0);
  CHECK_EQ(nothing.expected(), 0u);
}

TEST(quality_arrival_does_not_overflow_after_weeks) {
  const int64_t month_us = int64_t{30} * 86400 * 1'000'000;
  CHECK_EQ(Quality::Arrival(month_us + 1'000'000, 90000) - Quality::Arrival(month_us, 90000), 90000u);
  CHECK_EQ(Quality::Arrival(1500, 90000), 135u);
}

TEST(round_trip_from_a_report_that_answers) {
  RoundTrip trip;
  trip.OnSenderReportOut(0x12345678, 1'000'000);
  // Held for half a second, answered 600 ms later: 100 ms.
  CHECK_EQ(trip.OnReportIn(0x12345678, 0x8000, 1'600'000), 100'000u);
  CHECK_EQ(trip.OnReportIn(0x12345679, 0x8000, 1'600'000), 0u);
  CHECK_EQ(trip.OnReportIn(0, 0, 1'600'000), 0u);
  CHECK_EQ(trip.OnReportIn(0x12345678, 0xffffffff, 1'600'000), 0u);  // held longer than it was away
  for (uint32_t i = 1; i <= 4; ++i) trip.OnSenderReportOut(i, 2'000'000);
  CHECK_EQ(trip.OnReportIn(0x12345678, 0x8000, 1'600'000), 0u);
  CHECK_EQ(trip.OnReportIn(4, 0, 2'000'500), 500u);
}

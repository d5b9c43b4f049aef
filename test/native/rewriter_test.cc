#include "rtp/rewriter.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "check.h"
#include "packets.h"

using namespace penstock;
using namespace penstock::test;
using table::Rewrite;

namespace {

constexpr uint32_t kFrom = 0x11111111;
constexpr uint32_t kTo = 0x22222222;

Rewrite All(uint16_t sequence, uint32_t timestamp) {
  Rewrite rewrite{};
  rewrite.flags = table::kRewriteSsrc | table::kRewriteSequence | table::kRewriteTimestamp | table::kRewritePayloadType;
  rewrite.ssrc_from = kFrom;
  rewrite.ssrc_to = kTo;
  rewrite.sequence_delta = sequence;
  rewrite.timestamp_delta = timestamp;
  rewrite.payload_type = 33;
  return rewrite;
}

Bytes ThroughRtp(const Rewrite& rewrite, Bytes packet) {
  rtp::RewriteRtp(rewrite, packet);
  return packet;
}

Bytes ThroughRtcp(const Rewrite& rewrite, Bytes packet) {
  rtp::RewriteRtcp(rewrite, packet);
  return packet;
}

}  // namespace

TEST(rewrite_rtp_wraps_sequence_and_timestamp) {
  const Bytes in = Rtp({.ssrc = kFrom, .sequence = 65534, .timestamp = 0xfffffff0, .payload_type = 96, .marker = true});
  Bytes expected = in;
  expected[1] = 0x80 | 33;
  rtp::Store16(&expected[2], 3);
  rtp::Store32(&expected[4], 0x10);
  rtp::Store32(&expected[8], kTo);
  CHECK(ThroughRtp(All(5, 0x20), in) == expected);
  // And back again: the payload, too, is as it was.
  Rewrite back = All(static_cast<uint16_t>(-5), 0u - 0x20u);
  std::swap(back.ssrc_from, back.ssrc_to);
  back.payload_type = 96;
  CHECK(ThroughRtp(back, expected) == in);
}

TEST(rewrite_touches_only_what_its_flags_name) {
  Rewrite rewrite = All(5, 6);
  rewrite.flags = table::kRewriteSequence;
  const Bytes out = ThroughRtp(rewrite, Rtp({.ssrc = kFrom, .sequence = 10, .timestamp = 20}));
  Bytes expected = Rtp({.ssrc = kFrom, .sequence = 10, .timestamp = 20});
  rtp::Store16(&expected[2], 15);
  CHECK(out == expected);
}

TEST(rewrite_leaves_other_sources_alone) {
  Bytes other = Rtp({.ssrc = 5});
  CHECK(!rtp::RewriteRtp(All(5, 6), other));
  CHECK(other == Rtp({.ssrc = 5}));
  Rewrite every = All(0, 0);
  every.ssrc_from = 0;
  CHECK_EQ(rtp::Load32(&ThroughRtp(every, Rtp({.ssrc = 5}))[8]), kTo);
}

TEST(rewrite_rtp_in_each_segment_of_a_merged_buffer) {
  Bytes merged;
  for (uint32_t i = 0; i < 4; ++i) merged = Join({merged, Rtp({.ssrc = kFrom, .sequence = 65534 + i, .timestamp = 0xffffffff, .payload = 50})});
  for (size_t at = 0; at < merged.size(); at += 62) CHECK(rtp::RewriteRtp(All(1, 2), std::span(merged).subspan(at, 62)));
  for (uint32_t i = 0; i < 4; ++i) {
    CHECK_EQ(rtp::Load16(&merged[i * 62 + 2]), (65535 + i) & 0xffff);
    CHECK_EQ(rtp::Load32(&merged[i * 62 + 4]), 1u);
  }
}

TEST(rewrite_sender_report_with_its_timestamp_and_reports) {
  const Bytes in = SenderReport(kFrom, 100, 200, 0xfffffffe, {{.ssrc = 7, .highest = 1}, {.ssrc = kFrom, .highest = 0x0001fffe}});
  Bytes expected = SenderReport(kTo, 100, 200, 3, {{.ssrc = 7, .highest = 1}, {.ssrc = kTo, .highest = 0x00020003}});
  CHECK(ThroughRtcp(All(5, 5), in) == expected);
}

TEST(rewrite_extended_sequence_both_ways_over_the_wrap) {
  const auto moved = [](uint32_t highest, uint16_t delta) {
    return rtp::Load32(&ThroughRtcp(All(delta, 0), ReceiverReport(1, {{.ssrc = kFrom, .highest = highest}}))[16]);
  };
  CHECK_EQ(moved(0x0002ffff, 1), 0x00030000u);
  CHECK_EQ(moved(0x00030000, 0xffff), 0x0002ffffu);
  CHECK_EQ(moved(0x00000000, 0xffff), 0x0000ffffu);  // no cycle below the first
  CHECK_EQ(moved(0xffffffff, 1), 0xffff0000u);
  CHECK_EQ(moved(0x00010005, 0), 0x00010005u);
}

TEST(rewrite_sdes_bye_and_feedback) {
  // Two chunks: CNAME "ab", and CNAME "abc" + NOTE "" whose end needs a whole word of padding.
  const Bytes sdes = [](uint32_t first, uint32_t second) {
    return Rtcp(202, 2, Join({Words({first}), {1, 2, 'a', 'b', 0, 0, 0, 0}, Words({second}), {1, 3, 'a', 'b', 'c', 8, 0, 0}}));
  }(9, kFrom);
  Bytes expected = sdes;
  rtp::Store32(&expected[16], kTo);
  CHECK(ThroughRtcp(All(0, 0), sdes) == expected);

  CHECK(ThroughRtcp(All(0, 0), Rtcp(203, 2, Words({9, kFrom}))) == Rtcp(203, 2, Words({9, kTo})));
  CHECK(ThroughRtcp(All(0, 0), Rtcp(204, 0, Words({kFrom, 0x41414141}))) == Rtcp(204, 0, Words({kTo, 0x41414141})));
  // Generic NACK: the lost packet's number is of the media source.
  CHECK(ThroughRtcp(All(5, 0), Rtcp(205, 1, Words({9, kFrom, 0xfffe0001}))) == Rtcp(205, 1, Words({9, kTo, 0x00030001})));
  CHECK(ThroughRtcp(All(5, 0), Rtcp(205, 1, Words({9, 8, 0xfffe0001}))) == Rtcp(205, 1, Words({9, 8, 0xfffe0001})));
  // FIR names its targets in its entries.
  CHECK(ThroughRtcp(All(0, 0), Rtcp(206, 4, Words({9, 0, kFrom, 0x01000000}))) == Rtcp(206, 4, Words({9, 0, kTo, 0x01000000})));
}

TEST(rewrite_a_whole_compound) {
  const auto compound = [](uint32_t ssrc, uint32_t timestamp) {
    return Join({SenderReport(ssrc, 1, 2, timestamp), Rtcp(202, 1, Join({Words({ssrc}), {1, 1, 'x', 0}})), Rtcp(203, 1, Words({ssrc}))});
  };
  CHECK(ThroughRtcp(All(0, 10), compound(kFrom, 0xffffffff)) == compound(kTo, 9));
}

// Hostile input: whatever the lengths say, nothing outside the packet is touched (the sanitizer
// build watches the reads) and the size stays.
TEST(rewrite_survives_hostile_lengths) {
  const Bytes seed = Join({SenderReport(kFrom, 1, 2, 3, {{.ssrc = kFrom}}), Rtcp(202, 2, Join({Words({kFrom}), {1, 255, 'x', 0}, Words({kFrom, 0})})),
                           Rtcp(203, 1, Words({kFrom})), Rtcp(205, 1, Words({9, kFrom, 1})), Rtcp(206, 4, Words({9, 0, kFrom, 1}))});
  Rewrite every = All(5, 6);
  every.ssrc_from = 0;
  size_t changed = 0;
  for (uint32_t round = 0; round < 20000; ++round) {
    const Bytes noise = RandomBytes(round * 2246822519u + 1, 6);
    const size_t size = rtp::Load16(&noise[0]) % (seed.size() + 1);
    auto exact = std::make_unique<uint8_t[]>(size);  // so that one byte too far is seen
    std::copy_n(seed.begin(), size, exact.get());
    if (size != 0) exact[rtp::Load16(&noise[2]) % size] = noise[4];
    changed += rtp::RewriteRtcp(every, {exact.get(), size}) ? 1 : 0;
    rtp::RewriteRtp(every, {exact.get(), size});
  }
  CHECK(changed > 1000);
}

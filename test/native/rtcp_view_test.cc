#include "rtp/rtcp_view.h"

#include "check.h"
#include "packets.h"
#include "rtp/punch.h"

using namespace penstock;
using namespace penstock::test;
using rtp::Kind;
using rtp::RtcpBlock;
using rtp::RtcpReader;

namespace {

size_t Blocks(Bytes packet) {
  RtcpReader reader(packet);
  RtcpBlock block;
  size_t count = 0;
  while (reader.Next(block)) ++count;
  return count;
}

Kind RtpLeg(Bytes packet) { return rtp::Classify(packet, false); }
Kind RtcpLeg(Bytes packet) { return rtp::Classify(packet, true); }

const Bytes kSdes = Rtcp(202, 1, Words({1, 0x01026162, 0}));
const Bytes kBye = Rtcp(203, 2, Words({1, 2}));

}  // namespace

TEST(rtcp_reader_walks_a_compound) {
  Bytes compound = Join({SenderReport(1, 2, 3, 4, {{.ssrc = 9}}), kSdes, kBye, Rtcp(204, 0, Words({1, 0x41424344})),
                         Rtcp(205, 1, Words({1, 2, 0x00050000})), Rtcp(206, 1, Words({1, 2}))});
  CHECK_EQ(Blocks(compound), 6u);
  CHECK(rtp::IsWholeRtcp(compound));
  RtcpReader reader(compound);
  RtcpBlock first;
  CHECK(reader.Next(first));
  CHECK_EQ(first.type(), 200);
  CHECK_EQ(first.reports(), 1u);
  CHECK_EQ(first.reports_offset(), 28u);
}

TEST(rtcp_reader_stops_at_lying_lengths) {
  const Bytes good = Join({ReceiverReport(1, {{.ssrc = 2}}), kBye});
  CHECK_EQ(Blocks(good), 2u);
  for (size_t size = 0; size < good.size(); ++size) {
    Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    CHECK_EQ(Blocks(cut), size >= 32 ? 1u : 0u);
    CHECK_EQ(rtp::IsWholeRtcp(cut), size == 32);
  }
  for (uint32_t length = 0; length <= 0xffff; ++length) {
    Bytes lying = good;
    rtp::Store16(&lying[2], static_cast<uint16_t>(length));
    // Only the true length, and the one that swallows the second block, can be a receiver report with one block.
    CHECK_EQ(Blocks(lying) > 0, length >= 7 && length <= 10);
  }
}

TEST(rtcp_reader_refuses_counts_that_do_not_fit) {
  Bytes report = ReceiverReport(1, {{.ssrc = 2}});
  report[0] = 0x80 | 2;
  CHECK_EQ(Blocks(report), 0u);
  Bytes bye = kBye;
  bye[0] = 0x80 | 31;
  CHECK_EQ(Blocks(bye), 0u);
  CHECK_EQ(Blocks(Rtcp(205, 15, Words({1}))), 0u);
}

TEST(rtcp_is_known_among_rtp_by_its_type_and_whole_length) {
  CHECK_EQ(RtpLeg(ReceiverReport(1, {})), Kind::kRtcp);
  CHECK_EQ(RtpLeg(Join({SenderReport(1, 2, 3, 4), kSdes})), Kind::kRtcp);
  // An odd payload type with its marker set has the same second byte: it is RTP all the same.
  CHECK_EQ(RtpLeg(Rtp({.payload_type = 72, .marker = true})), Kind::kRtp);
  CHECK_EQ(RtpLeg(Rtp({.payload_type = 96})), Kind::kRtp);
  // On a port of its own only the first block must be sound: the rest may be encrypted.
  CHECK_EQ(RtcpLeg(Join({ReceiverReport(1, {}), RandomBytes(5, 30)})), Kind::kRtcp);
  CHECK_EQ(RtpLeg(Join({ReceiverReport(1, {}), RandomBytes(5, 30)})), Kind::kRtp);
}

TEST(punches_of_real_players_are_known) {
  for (const bool rtcp : {false, true}) {
    Bytes zero = ZeroRtp(), report = EmptyReport(), word = OpenRtspPunch(), nothing;
    CHECK_EQ(rtp::Classify(zero, rtcp), Kind::kPunch);
    CHECK_EQ(rtp::Classify(report, rtcp), Kind::kPunch);
    CHECK_EQ(rtp::Classify(word, rtcp), Kind::kPunch);
    CHECK_EQ(rtp::Classify(nothing, rtcp), Kind::kPunch);
  }
  CHECK_EQ(RtpLeg(Rtp({.ssrc = 5, .payload = 0})), Kind::kPunch);   // any header without payload
  CHECK_EQ(RtcpLeg(ReceiverReport(5, {})), Kind::kRtcp);            // an empty report of a real source is none
  CHECK_EQ(RtpLeg(Bytes(9, 0xff)), Kind::kJunk);
  CHECK_EQ(RtcpLeg(Rtp({})), Kind::kJunk);
}

TEST(random_bytes_are_hardly_ever_rtcp) {
  // A quarter look like RTP by their version alone, which is why legs without media have a probation.
  size_t rtp = 0;
  for (uint32_t seed = 1; seed <= 4000; ++seed) {
    const Kind kind = RtpLeg(RandomBytes(seed * 2654435761u));
    CHECK(kind == Kind::kRtp || kind == Kind::kJunk);
    if (kind == Kind::kRtp) ++rtp;
  }
  CHECK(rtp > 0);
}

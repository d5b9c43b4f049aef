#include "rtp/rtp_view.h"

#include "check.h"
#include "packets.h"
#include "rtp/probation.h"

using namespace penstock;
using namespace penstock::test;
using rtp::RtpView;

TEST(rtp_view_reads_the_fixed_header) {
  const Bytes packet = Rtp({.ssrc = 0xdeadbeef, .sequence = 65535, .timestamp = 0xfffffff0, .payload_type = 97, .marker = true});
  const auto view = RtpView::Parse(packet);
  CHECK(view.has_value());
  CHECK(view->marker());
  CHECK_EQ(view->payload_type(), 97);
  CHECK_EQ(view->sequence(), 65535);
  CHECK_EQ(view->timestamp(), 0xfffffff0u);
  CHECK_EQ(view->ssrc(), 0xdeadbeefu);
  CHECK_EQ(view->header_bytes(), 12u);
  CHECK_EQ(view->payload_bytes(), 100u);
  CHECK(!view->header_only());
}

TEST(rtp_view_counts_csrcs_extension_and_padding) {
  Bytes packet = {0xb2, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3};          // padding, extension, 2 CSRCs
  packet = Join({packet, Words({10, 11}), Words({0xbede0001, 0x1234})});  // 8 + 4 + 4
  packet = Join({packet, {9, 9, 9, 0, 0, 3}});
  const auto view = RtpView::Parse(packet);
  CHECK(view.has_value());
  CHECK(view->has_extension());
  CHECK_EQ(view->header_bytes(), 28u);
  CHECK_EQ(view->padding_bytes(), 3u);
  CHECK_EQ(view->payload_bytes(), 3u);
}

TEST(rtp_view_refuses_what_does_not_fit) {
  const Bytes good = Rtp({.payload = 0});
  CHECK(RtpView::Parse(good).has_value());
  CHECK(RtpView::Parse(good)->header_only());
  for (size_t size = 0; size < 12; ++size) CHECK(!RtpView::Parse(std::span(good).first(size)));
  for (const int version : {0, 1, 3}) {
    Bytes other = good;
    other[0] = static_cast<uint8_t>(version << 6);
    CHECK(!RtpView::Parse(other));
  }
  Bytes csrcs = good;
  csrcs[0] |= 0x0f;  // 15 CSRCs that are not there
  CHECK(!RtpView::Parse(csrcs));
  csrcs.resize(12 + 60);
  CHECK(RtpView::Parse(csrcs)->header_only());
}

TEST(rtp_view_refuses_a_lying_extension) {
  Bytes packet = Rtp({.payload = 4});
  packet[0] |= 0x10;
  for (const uint16_t words : {1, 2, 0x4000, 0xffff}) {
    rtp::Store16(&packet[14], words);
    CHECK(!RtpView::Parse(packet));
  }
  rtp::Store16(&packet[14], 0);
  CHECK(RtpView::Parse(packet).has_value());
  packet.resize(14);  // half an extension header
  CHECK(!RtpView::Parse(packet));
}

TEST(rtp_view_tolerates_padding_that_cannot_be_right) {
  Bytes packet = Rtp({.payload = 4});
  packet[0] |= 0x20;
  packet.back() = 200;  // as with SRTP, where the count is encrypted
  const auto view = RtpView::Parse(packet);
  CHECK(view.has_value());
  CHECK_EQ(view->padding_bytes(), 0u);
  CHECK_EQ(view->payload_bytes(), 4u);
}

TEST(probation_wants_two_in_sequence_of_one_source) {
  rtp::Probation probation;
  CHECK(!probation.Pass(1, 65535));
  CHECK(probation.Pass(1, 0));   // over the wrap
  CHECK(probation.Pass(1, 500)); // once passed, gaps are the endpoint's affair
  CHECK(!probation.Pass(2, 501));
  CHECK(!probation.Pass(2, 503));
  CHECK(!probation.Pass(3, 504));
  CHECK(!probation.Pass(2, 505));
  CHECK(probation.Pass(2, 506));
  probation.Reset();
  CHECK(!probation.Pass(2, 507));
}

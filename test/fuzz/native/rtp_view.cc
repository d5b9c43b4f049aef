#include "rtp/rtp_view.h"

#include "rtp/punch.h"
#include "target.h"

using namespace penstock;
using namespace penstock::fuzz;

// Header, payload and padding are inside the packet and make up the whole of it.
FUZZ_TARGET(rtp_view) {
  Copy packet(input);
  const auto view = rtp::RtpView::Parse(packet.span());
  if (view) {
    Require(view->header_bytes() >= rtp::kRtpFixedHeader);
    Require(view->header_bytes() + view->payload_bytes() + view->padding_bytes() == input.size());
    Require(view->header_only() == (view->header_bytes() == input.size()));
    Require(view->payload_type() < 128);
    Require(view->sequence() == rtp::Load16(&packet.span()[2]) && view->ssrc() == rtp::Load32(&packet.span()[8]));
  }
  for (const bool rtcp_leg : {false, true}) {
    const rtp::Kind kind = rtp::Classify(packet.span(), rtcp_leg);
    Require(kind != rtp::Kind::kRtp || (view && !rtcp_leg && !view->header_only()));
    Require(kind != rtp::Kind::kRtcp || input.size() >= 8);
  }
}

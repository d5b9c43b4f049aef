#include "rtp/rewriter.h"

#include "rtp/rtcp_view.h"
#include "rtp/rtp_view.h"
#include "target.h"

using namespace penstock;
using namespace penstock::fuzz;

namespace {

table::Rewrite ReadRewrite(Reader& reader) {
  table::Rewrite rewrite{};
  rewrite.flags = reader.Byte() & 0x0f;
  rewrite.payload_type = reader.Byte();
  rewrite.sequence_delta = reader.Short();
  rewrite.timestamp_delta = reader.Word();
  rewrite.ssrc_from = reader.Word();
  rewrite.ssrc_to = reader.Word();
  return rewrite;
}

// Types, counts and sizes of the blocks.
std::vector<uint8_t> Shape(std::span<uint8_t> packet) {
  std::vector<uint8_t> shape;
  rtp::RtcpReader reader(packet);
  rtp::RtcpBlock block;
  while (reader.Next(block)) shape.insert(shape.end(), block.bytes.begin(), block.bytes.begin() + rtp::kRtcpHeader);
  return shape;
}

bool SameFrom(size_t at, std::span<uint8_t> a, Input b) {
  return a.size() <= at || std::memcmp(a.data() + at, b.data() + at, a.size() - at) == 0;
}

}  // namespace

// Rewriting changes no length, no structure and, of RTP, nothing behind the fixed header.
FUZZ_TARGET(rewriter) {
  Reader reader(input);
  const table::Rewrite rewrite = ReadRewrite(reader);
  const Input original = reader.rest();

  Copy rtp(original);
  const bool changed = rtp::RewriteRtp(rewrite, rtp.span());
  Require(changed || SameFrom(0, rtp.span(), original));
  Require(SameFrom(rtp::kRtpFixedHeader, rtp.span(), original));
  Require(original.empty() || rtp.span()[0] == original[0]);
  Require(rtp::RtpView::Parse(original).has_value() == rtp::RtpView::Parse(rtp.span()).has_value());

  Copy rtcp(original);
  const std::vector<uint8_t> shape = Shape(rtcp.span());
  const bool rewritten = rtp::RewriteRtcp(rewrite, rtcp.span());
  Require(rewritten || SameFrom(0, rtcp.span(), original));
  Require(Shape(rtcp.span()) == shape);
}

#include "rtp/rtcp_view.h"

#include "target.h"

using namespace penstock;
using namespace penstock::fuzz;

// Blocks follow each other inside the packet, and what they say of their contents fits into them.
FUZZ_TARGET(rtcp_view) {
  Copy packet(input);
  rtp::RtcpReader reader(packet.span());
  rtp::RtcpBlock block;
  size_t seen = 0;
  bool first = true;
  while (reader.Next(block)) {
    Require(block.bytes.data() == packet.span().data() + seen);
    Require(block.size() >= rtp::kRtcpHeader && block.size() % 4 == 0);
    Require(block.size() >= rtp::MinimumRtcpBlock(block.type(), block.count()));
    Require(block.reports() <= block.count());
    Require(block.reports_offset() + block.reports() * rtp::kReportBlock <= block.size());
    Require(!first || input.size() < 8 || rtp::StartsAsRtcp(packet.span()));
    first = false;
    seen += block.size();
  }
  Require(seen <= input.size());
  Require(reader.at_end() == (seen == input.size()));
  Require(rtp::IsWholeRtcp(packet.span()) == (input.size() >= 8 && reader.at_end()));
}

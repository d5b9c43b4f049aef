// The headers of a packet that goes on, as the leg that it leaves by wants them.
#pragma once

#include "flow/leg.h"
#include "rtp/rewriter.h"

namespace penstock::flow {

// True where something was changed.
inline bool Rewrite(const Packet& packet) {
  const table::Rewrite& rewrite = packet.leg->opposite()->rewrite();
  if (rewrite.flags == 0) return false;
  return packet.kind == rtp::Kind::kRtp ? rtp::RewriteRtp(rewrite, packet.bytes)
                                        : rtp::RewriteRtcp(rewrite, packet.bytes);
}

}  // namespace penstock::flow

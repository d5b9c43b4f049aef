// Header rewriting of packets that leave by a leg. A rewrite names the source it is about
// (`ssrc_from`, 0 = every source); packets and RTCP blocks of other sources pass unchanged.
#pragma once

#include <cstdint>
#include <span>

#include "table/region_layout.h"

namespace penstock::rtp {

// Both change the packet in place, never its length, and touch nothing outside it whatever
// its length fields say. True where something was changed.
bool RewriteRtp(const table::Rewrite& rewrite, std::span<uint8_t> packet);
bool RewriteRtcp(const table::Rewrite& rewrite, std::span<uint8_t> packet);

}  // namespace penstock::rtp

// The quality of what comes to a leg, in the leg's data half.
#pragma once

#include "memory/cell.h"
#include "rtp/quality.h"
#include "table/region_layout.h"

namespace penstock::flow {

inline void PublishTo(table::LegData& data, const rtp::Quality& quality) {
  memory::Store(data.ssrc, quality.ssrc());
  memory::Store(data.highest_sequence, quality.highest_sequence());
  memory::Store(data.expected, quality.expected());
  memory::Store(data.received, quality.received());
  memory::Store(data.jitter_x16, quality.jitter_x16());
}

// What a former engine counted.
inline void RestoreFrom(const table::LegData& data, rtp::Quality& quality) {
  quality.Restore(memory::Load(data.ssrc), memory::Load(data.highest_sequence), memory::Load(data.expected),
                  memory::Load(data.received), memory::Load(data.jitter_x16));
}

}  // namespace penstock::flow

// One stream: up to four legs, each paired with the one across (0 with 2, 1 with 3).
#pragma once

#include <array>
#include <cstdint>

#include "flow/leg.h"
#include "table/region_layout.h"

namespace penstock::flow {

enum class StreamPhase : uint8_t {
  kUnread,   // sockets are here, the row could not be read yet
  kRelaying,
  kClosing,  // sockets stay open and silent until nobody sends to them any more
};

struct Stream {
  uint32_t slot = 0;
  uint32_t generation = 0;
  table::StreamEntry* row = nullptr;
  StreamPhase phase = StreamPhase::kUnread;
  bool update_pending = false;      // an update met a row in the middle of a write
  table::Millis closing_since = 0;
  table::Millis last_late = 0;      // closing: when a packet last came
  std::array<Leg, table::kLegsPerStream> legs;

  Leg* Opposite(uint32_t leg) { return &legs[leg ^ 2]; }
};

}  // namespace penstock::flow

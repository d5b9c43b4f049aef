// What the kernel relays by itself of the packets that come to a leg (tier offload).
#pragma once

#include <cstdint>

#include "offload/relay_format.h"
#include "table/region_layout.h"

namespace penstock::flow {

struct KernelCount {
  uint64_t packets;
  uint64_t bytes;
};

struct KernelFlow {
  bool entered = false;  // in the kernel's table, as `key` and `flow` say
  bool pending = false;  // waits for a pause of the stream
  relay_key key{};
  relay_flow flow{};
  const relay_cell* cell = nullptr;  // null where there is no offload
  uint64_t judged = 0;               // the cell's packets when a candidate was last judged
  uint32_t fallen = 0;               // media that came to the socket all the same, since the last review
  bool settled = false;  // it was reviewed once: what was on its way when it was entered has come
  table::Millis pending_since = 0;
  table::Millis review_at = 0;  // routes are asked for again
  table::Millis unfit_until = 0;
  uint32_t routes_version = 0;
};

}  // namespace penstock::flow

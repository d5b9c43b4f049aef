// The maps of the relay.
#pragma once

#include <cstdint>

#include "memory/unique_fd.h"
#include "offload/relay_format.h"

namespace penstock::offload {

struct Maps {
  memory::UniqueFd flows;       // relay_key → relay_flow
  memory::UniqueFd cells;       // index → relay_cell; can be mapped into memory
  memory::UniqueFd interfaces;  // interface index → relay_interface
};

// The two directions of RTP; reports go through user space.
inline constexpr uint32_t kFlowsPerStream = 2;

// Throws memory::SystemError.
Maps CreateMaps(uint32_t streams);

}  // namespace penstock::offload

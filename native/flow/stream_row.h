// Reading the control half of a stream row, which a worker may be writing.
#pragma once

#include "memory/cell.h"
#include "table/region_layout.h"

namespace penstock::flow {

inline constexpr size_t kControlBytes = offsetof(table::StreamEntry, attached_generation);
inline constexpr int kReadTries = 64;

// A consistent copy of the control half. False where the row stayed in the middle of a
// write: its worker is busy, or died there and its successor will mend it. Try again later.
inline bool ReadControl(const table::StreamEntry& row, table::StreamEntry& out) {
  for (int i = 0; i < kReadTries; ++i) {
    const uint32_t before = memory::LoadAcquire(row.sequence);
    if ((before & 1) != 0) continue;
    memory::CopyWords(&out, &row, kControlBytes);
    if (memory::Load(row.sequence) == before) return true;
  }
  return false;
}

}  // namespace penstock::flow

// The ledger of a wire: a working copy, and two copies in its row of which one counts. The idle
// one is written and then becomes the one that counts, so that there is always a whole one.
#pragma once

#include "memory/cell.h"
#include "table/region_layout.h"

namespace penstock::wire {

class Ledger {
 public:
  explicit Ledger(table::WireEntry& row) : row_(row) {
    now.source = now.target = now.continue_wire = table::kNoWire;
  }

  alignas(8) table::WireLedger now{};

  void Commit() {
    const uint32_t idle = memory::Load(row_.ledger_index) == 0 ? 1 : 0;
    memory::CopyWords(&row_.ledgers[idle], &now, sizeof(now));
    memory::StoreRelease(row_.ledger_index, idle);
  }
  void Restore() { now = Read(row_); }

  static table::WireLedger Read(const table::WireEntry& row) {
    alignas(8) table::WireLedger out;
    const uint32_t current = memory::LoadAcquire(row.ledger_index) == 0 ? 0 : 1;
    memory::CopyWords(&out, &row.ledgers[current], sizeof(out));
    return out;
  }

 private:
  table::WireEntry& row_;
};

}  // namespace penstock::wire

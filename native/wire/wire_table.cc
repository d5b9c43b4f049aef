#include "wire/wire_table.h"

#include "memory/cell.h"

namespace penstock::wire {

bool WireTable::IsOpen(const table::WireEntry& row, uint32_t generation) const {
  return memory::LoadAcquire(row.state) == table::kRowOpen && memory::Load(row.generation) == generation &&
         memory::Load(row.released_generation) != generation && memory::Load(row.thread) == thread_;
}

// A former generation that is still here keeps the slot until it was let go of.
Wire* WireTable::Obtain(uint32_t slot, uint32_t generation, table::Millis now) {
  table::WireEntry* row = region_.Wire(slot);
  if (row == nullptr) return nullptr;
  if (Wire* known = At(slot)) return known->generation == generation ? known : nullptr;
  if (!IsOpen(*row, generation)) return nullptr;
  auto wire = std::make_unique<Wire>(slot, generation, region_.WorkerOfWire(slot), *row);
  wire->since = now;
  return (wires_[slot] = std::move(wire)).get();
}

}  // namespace penstock::wire

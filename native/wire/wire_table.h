// The wires of one engine thread, by slot.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "table/region.h"
#include "wire/wire.h"

namespace penstock::wire {

class WireTable {
 public:
  WireTable(table::Region& region, uint32_t thread) : region_(region), thread_(thread) {}

  // The wire of this slot and generation, where it is known.
  Wire* Find(uint32_t slot, uint32_t generation) const {
    const auto found = wires_.find(slot);
    return found != wires_.end() && found->second->generation == generation ? found->second.get() : nullptr;
  }
  // The one that holds the slot, of whatever generation.
  Wire* At(uint32_t slot) const {
    const auto found = wires_.find(slot);
    return found != wires_.end() ? found->second.get() : nullptr;
  }
  // As Find, and also a wire that was not heard of before, where its row says that it is open, and here.
  Wire* Obtain(uint32_t slot, uint32_t generation, table::Millis now);
  void Erase(uint32_t slot) { wires_.erase(slot); }

  bool IsOpen(const table::WireEntry& row, uint32_t generation) const;

  template <typename Do>
  void ForEach(Do what) {
    for (auto& [slot, wire] : wires_) what(*wire);
  }
  size_t size() const { return wires_.size(); }

 private:
  table::Region& region_;
  const uint32_t thread_;
  std::unordered_map<uint32_t, std::unique_ptr<Wire>> wires_;
};

}  // namespace penstock::wire

// The relay's maps as an engine, and the primary, work with them. Thread-safe, as the kernel's maps are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "offload/relay_format.h"
#include "table/region_layout.h"

namespace penstock::offload {

// Two endpoints as the maps have them. Both of one family.
relay_key MakeKey(const table::Endpoint& source, const table::Endpoint& local);
bool SameKey(const relay_key& a, const relay_key& b);
bool SameFlow(const relay_flow& a, const relay_flow& b);
void SetDestination(relay_flow& flow, const table::Endpoint& from, const table::Endpoint& to);

struct MapFds {
  int flows = -1;
  int cells = -1;
  int interfaces = -1;
};

struct EnteredFlow {
  relay_key key;
  relay_flow flow;
};

enum class InterfaceState : uint8_t { kAwaited, kAttached, kRefused };

class FlowTable {
 public:
  // The descriptors stay the caller's. Throws memory::SystemError where the counters cannot be mapped.
  FlowTable(const MapFds& fds, uint32_t streams);
  ~FlowTable();
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  // Enters a flow, or changes it in one step. 0 or an errno.
  int Enter(const relay_key& key, const relay_flow& flow);
  // Packets of it reach the socket again. A flow that is not there is no error.
  void Remove(const relay_key& key);
  // All flows there are; those that come or go meanwhile may be missed or given.
  std::vector<EnteredFlow> List() const;

  const relay_cell& cell(uint32_t index) const { return cells_[index]; }

  // Whether the program runs on that interface; asks the primary to see to it.
  InterfaceState Interface(uint32_t interface);

 private:
  const MapFds fds_;
  std::span<const relay_cell> cells_;
  size_t mapped_bytes_ = 0;
};

// Removes the flows whose stream is closed. For whoever outlives the engine that entered them.
template <typename IsOpen>
void RemoveClosed(FlowTable& table, IsOpen is_open) {
  for (const EnteredFlow& entered : table.List()) {
    if (!is_open(entered.flow.stream, entered.flow.generation)) table.Remove(entered.key);
  }
}

}  // namespace penstock::offload

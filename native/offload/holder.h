// The primary's part: it owns program, maps and links, so that the kernel goes on relaying while
// an engine is replaced, and stops when the primary ends, however it ends.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "memory/unique_fd.h"
#include "offload/flow_table.h"
#include "offload/maps.h"
#include "table/region.h"

namespace penstock::offload {

struct InterfaceNews {
  enum Kind : uint8_t { kAttached, kLost, kRefused };
  Kind kind;
  std::string interface;
  std::string reason;  // of a refusal
};

class Holder {
 public:
  // Loads the program. The region must outlive the holder. Throws memory::SystemError.
  explicit Holder(const table::Region& region);

  // Stay the holder's.
  MapFds fds() const { return {maps_.flows.get(), maps_.cells.get(), maps_.interfaces.get()}; }

  // Attaches to interfaces that the engine asked for, lets go of those that are gone, removes the flows
  // of streams that were closed while no engine lived. To be called a few times a second.
  std::vector<InterfaceNews> Tend();

 private:
  struct Attached {
    std::string name;
    memory::UniqueFd link;
  };

  void LetGo(std::vector<InterfaceNews>& news);
  void AttachWanted(std::vector<InterfaceNews>& news);
  InterfaceNews Attach(uint32_t interface);
  void SetState(uint32_t interface, relay_interface state);
  void RemoveClosedFlows();

  const table::Region& region_;
  Maps maps_;
  memory::UniqueFd program_;
  FlowTable table_;
  std::map<uint32_t, Attached> attached_;  // by interface index
  uint32_t turns_ = 0;
};

}  // namespace penstock::offload

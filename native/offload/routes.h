// Where packets leave: asked of the kernel (rtnetlink), remembered for a moment.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "memory/unique_fd.h"
#include "table/region_layout.h"

namespace penstock::offload {

struct Route {
  enum Kind : uint8_t { kNone, kLocal, kUnicast, kOther };
  Kind kind = kNone;
  bool ethernet = false;   // the interface has Ethernet headers and is up
  uint32_t interface = 0;
  uint32_t mtu = 0;        // of the path as far as known, at most that of the interface
};

class Routes {
 public:
  // Throws memory::SystemError.
  Routes();

  // Both of one family; ports do not matter.
  Route Find(const table::Endpoint& from, const table::Endpoint& to);

  // Changes when something did that routes, or ipsec(), may depend on. Nothing found before is remembered then.
  uint32_t Version();
  // Whether there were IPsec policies when Version was last asked for.
  bool ipsec() const { return ipsec_; }
  // Forgets what it found, so that a smaller path MTU, which nobody announces, is seen.
  void Forget() { found_.clear(); interfaces_.clear(); }

 private:
  struct Interface {
    bool ethernet = false;
    uint32_t mtu = 0;
  };
  Route Ask(const table::Endpoint& from, const table::Endpoint& to);
  Interface FindInterface(uint32_t index);

  memory::UniqueFd questions_;
  memory::UniqueFd changes_;
  uint32_t version_ = 1;
  bool ipsec_ = false;
  uint32_t sequence_ = 0;
  std::unordered_map<std::string, Route> found_;
  std::unordered_map<uint32_t, Interface> interfaces_;
};

}  // namespace penstock::offload

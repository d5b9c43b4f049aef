// Comparing endpoints.
#pragma once

#include <cstring>

#include "table/region_layout.h"

namespace penstock::flow {

// A scope id of 0 means that RTSP named a link-local address without one.
inline bool SameAddress(const table::Endpoint& a, const table::Endpoint& b) {
  return a.family == b.family && std::memcmp(a.address, b.address, sizeof(a.address)) == 0 &&
         (a.scope == b.scope || a.scope == 0 || b.scope == 0);
}

inline bool SameEndpoint(const table::Endpoint& a, const table::Endpoint& b) {
  return a.port == b.port && SameAddress(a, b);
}

inline bool HasAddress(const table::Endpoint& endpoint) { return endpoint.family != table::kFamilyNone; }

inline bool CanSendTo(const table::Endpoint& endpoint) { return HasAddress(endpoint) && endpoint.port != 0; }

}  // namespace penstock::flow

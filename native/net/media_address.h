// Endpoints as the socket calls want them, and back.
#pragma once

#include <netinet/in.h>

#include <cstring>

#include "table/region_layout.h"

namespace penstock::net {

struct MediaAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  socklen_t length = 0;

  MediaAddress() { std::memset(&v6, 0, sizeof(v6)); }
};

// `socket_family`: AF_INET or AF_INET6. An IPv4 endpoint is mapped for an IPv6 socket;
// an IPv6 endpoint has no address for an IPv4 socket (length 0).
inline MediaAddress ToMediaAddress(const table::Endpoint& endpoint, int socket_family) {
  MediaAddress out;
  if (socket_family == AF_INET) {
    if (endpoint.family != table::kFamilyV4) return out;
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(endpoint.port);
    std::memcpy(&out.v4.sin_addr, endpoint.address, 4);
    out.length = sizeof(out.v4);
    return out;
  }
  if (endpoint.family == table::kFamilyNone) return out;
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(endpoint.port);
  out.v6.sin6_scope_id = endpoint.scope;
  out.length = sizeof(out.v6);
  if (endpoint.family == table::kFamilyV6) {
    std::memcpy(&out.v6.sin6_addr, endpoint.address, 16);
    return out;
  }
  out.v6.sin6_addr.s6_addr[10] = out.v6.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(&out.v6.sin6_addr.s6_addr[12], endpoint.address, 4);
  return out;
}

inline table::Endpoint ToEndpoint(const MediaAddress& address) {
  table::Endpoint out{};
  if (address.any.sa_family == AF_INET) {
    out.family = table::kFamilyV4;
    out.port = ntohs(address.v4.sin_port);
    std::memcpy(out.address, &address.v4.sin_addr, 4);
  } else if (address.any.sa_family == AF_INET6) {
    out.port = ntohs(address.v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr)) {
      out.family = table::kFamilyV4;
      std::memcpy(out.address, &address.v6.sin6_addr.s6_addr[12], 4);
    } else {
      out.family = table::kFamilyV6;
      out.scope = address.v6.sin6_scope_id;
      std::memcpy(out.address, &address.v6.sin6_addr, 16);
    }
  }
  return out;
}

}  // namespace penstock::net

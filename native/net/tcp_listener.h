// Listening TCP sockets for RTSP.
#pragma once

#include <cstdint>
#include <string>

#include "memory/unique_fd.h"

namespace penstock::net {

inline constexpr int kDefaultBacklog = 1024;

struct ListenOptions {
  bool reuse_port = false;  // several sockets share the port, the kernel spreads the connections over them
  bool v6_only = false;     // false: a listener on :: takes IPv4 too
  int backlog = kDefaultBacklog;
};

struct BoundSocket {
  memory::UniqueFd fd;  // non-blocking, close-on-exec
  uint16_t port = 0;    // what the kernel chose where 0 was asked
};

// Throws std::invalid_argument (address), SystemError (EADDRINUSE, EADDRNOTAVAIL, EACCES…).
BoundSocket ListenTcp(const std::string& address, uint16_t port, const ListenOptions& options);

}  // namespace penstock::net

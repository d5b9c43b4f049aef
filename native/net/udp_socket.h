// The UDP socket of one leg.
#pragma once

#include <cstdint>
#include <string>

#include "memory/unique_fd.h"

namespace penstock::net {

struct UdpSocket {
  memory::UniqueFd fd;         // non-blocking, close-on-exec
  uint16_t port = 0;           // what the kernel chose where 0 was asked
  uint32_t receive_buffer = 0; // granted bytes as the kernel counts them (twice what is asked, its overhead included)
};

// Binds exactly one address and port. Never with SO_REUSEADDR or SO_REUSEPORT: the kernel
// is the arbiter between workers and other programs. An IPv6 socket takes IPv6 only.
// `receive_buffer`: bytes to ask for, beyond rmem_max where privileges allow; 0 keeps the default.
// Throws std::invalid_argument (address), SystemError (EADDRINUSE, EADDRNOTAVAIL, EACCES, EMFILE…).
UdpSocket BindUdp(const std::string& address, uint16_t port, uint32_t receive_buffer);

}  // namespace penstock::net

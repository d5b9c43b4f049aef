// IP addresses as text and as sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace penstock::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// "192.0.2.1", "2001:db8::1" or "fe80::1%eth0" (a scope by interface name or number); never a host name.
// Throws std::invalid_argument for other text, SystemError for an interface that does not exist.
SocketAddress ParseAddress(const std::string& address, uint16_t port);

// The port that a bound socket has. Throws SystemError.
uint16_t LocalPort(int socket);

}  // namespace penstock::net

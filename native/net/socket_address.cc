#include "net/socket_address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <charconv>
#include <stdexcept>

#include "memory/system_error.h"

namespace penstock::net {
namespace {

bool ParseV4(const std::string& text, uint16_t port, SocketAddress& out) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) != 1) return false;
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  out.length = sizeof(sockaddr_in);
  return true;
}

uint32_t ScopeId(const std::string& scope) {
  uint32_t number = 0;
  const char* end = scope.data() + scope.size();
  const auto [stop, error] = std::from_chars(scope.data(), end, number);
  if (error == std::errc() && stop == end) return number;
  number = ::if_nametoindex(scope.c_str());
  if (number == 0) throw memory::SystemError("if_nametoindex", scope);
  return number;
}

bool ParseV6(const std::string& text, uint16_t port, SocketAddress& out) {
  const size_t percent = text.find('%');
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET6, text.substr(0, percent).c_str(), &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  if (percent != std::string::npos) v6->sin6_scope_id = ScopeId(text.substr(percent + 1));
  out.length = sizeof(sockaddr_in6);
  return true;
}

}  // namespace

SocketAddress ParseAddress(const std::string& address, uint16_t port) {
  SocketAddress parsed;
  if (ParseV4(address, port, parsed) || ParseV6(address, port, parsed)) return parsed;
  throw std::invalid_argument("address must be an IPv4 or IPv6 address, got '" + address + "'");
}

uint16_t LocalPort(int socket) {
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
    throw memory::SystemError("getsockname");
  }
  // The port lies at the same place in both families.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

}  // namespace penstock::net

#include "net/tcp_listener.h"

#include "net/socket_address.h"
#include "net/socket_option.h"

namespace penstock::net {

using memory::SystemError;

BoundSocket ListenTcp(const std::string& address, uint16_t port, const ListenOptions& options) {
  const SocketAddress local = ParseAddress(address, port);
  const std::string about = address + " port " + std::to_string(port);
  memory::UniqueFd fd(::socket(local.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) throw SystemError("socket", about);
  // Connections of a former run in TIME_WAIT must not keep a restarted appliance from its port.
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  if (options.reuse_port) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  if (local.family() == AF_INET6) SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only, "IPV6_V6ONLY");
  if (::bind(fd.get(), local.get(), local.length) != 0) throw SystemError("bind", about);
  if (::listen(fd.get(), options.backlog) != 0) throw SystemError("listen", about);
  const uint16_t bound = LocalPort(fd.get());
  return {std::move(fd), bound};
}

}  // namespace penstock::net

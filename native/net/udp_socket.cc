#include "net/udp_socket.h"

#include <algorithm>
#include <climits>

#include "net/socket_address.h"
#include "net/socket_option.h"

namespace penstock::net {
namespace {

using memory::SystemError;

void AskReceiveBuffer(int fd, uint32_t bytes) {
  const int wanted = static_cast<int>(std::min<uint32_t>(bytes, INT_MAX / 2));
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) == 0) return;
  SetOption(fd, SOL_SOCKET, SO_RCVBUF, wanted, "SO_RCVBUF");
}

uint32_t GrantedReceiveBuffer(int fd) {
  int granted = 0;
  socklen_t length = sizeof(granted);
  if (::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &length) != 0) throw SystemError("getsockopt", "SO_RCVBUF");
  return static_cast<uint32_t>(granted);
}

}  // namespace

UdpSocket BindUdp(const std::string& address, uint16_t port, uint32_t receive_buffer) {
  const SocketAddress local = ParseAddress(address, port);
  const std::string about = address + " port " + std::to_string(port);
  memory::UniqueFd fd(::socket(local.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) throw SystemError("socket", about);
  if (local.family() == AF_INET6) SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
  // Before bind: the first packet may come in the same instant.
  if (receive_buffer > 0) AskReceiveBuffer(fd.get(), receive_buffer);
  if (::bind(fd.get(), local.get(), local.length) != 0) throw SystemError("bind", about);
  UdpSocket socket{.fd = std::move(fd)};
  socket.port = LocalPort(socket.fd.get());
  socket.receive_buffer = GrantedReceiveBuffer(socket.fd.get());
  return socket;
}

}  // namespace penstock::net

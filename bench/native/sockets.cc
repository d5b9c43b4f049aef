#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

namespace penstock::bench {
namespace {

constexpr int kBacklog = 4096;

int Open(int type) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0) throw SystemError("socket");
  return fd;
}

void Bind(int fd, const sockaddr_in& address) {
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return;
  const std::system_error error = SystemError("bind " + IpText(address) + ":" + std::to_string(ntohs(address.sin_port)));
  ::close(fd);
  throw error;
}

}  // namespace

std::system_error SystemError(const std::string& what) { return {errno, std::generic_category(), what}; }

sockaddr_in ParseAddress(const std::string& text) {
  const size_t cut = text.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const std::string ip = text.substr(0, cut);
  if (::inet_pton(AF_INET, ip.c_str(), &address.sin_addr) != 1) throw std::invalid_argument("no IPv4 address: " + text);
  if (cut != std::string::npos) address.sin_port = htons(static_cast<uint16_t>(std::stoi(text.substr(cut + 1))));
  return address;
}

std::string IpText(const sockaddr_in& address) {
  char text[INET_ADDRSTRLEN];
  return ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
}

sockaddr_in WithPort(sockaddr_in address, int port) {
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

int ListenTcp(const sockaddr_in& address) {
  const int fd = Open(SOCK_STREAM | SOCK_NONBLOCK);
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  Bind(fd, address);
  if (::listen(fd, kBacklog) != 0) throw SystemError("listen");
  return fd;
}

int StartConnect(const sockaddr_in& local, const sockaddr_in& to) {
  const int fd = Open(SOCK_STREAM | SOCK_NONBLOCK);
  SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  // The kernel then picks the port at connect, where it may reuse one that is known to another peer.
  SetOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  Bind(fd, WithPort(local, 0));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0 && errno != EINPROGRESS) {
    const std::system_error error = SystemError("connect");
    ::close(fd);
    throw error;
  }
  return fd;
}

int BindUdp(const sockaddr_in& address) {
  const int fd = Open(SOCK_DGRAM);
  Bind(fd, address);
  return fd;
}

void SetBuffers(int fd, int receive_bytes, int send_bytes) {
  SetOption(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
  SetOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive_bytes);
  SetOption(fd, SOL_SOCKET, SO_SNDBUF, send_bytes);
  SetOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, send_bytes);
}

void SetOption(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof(value)); }

}  // namespace penstock::bench

// IPv4 sockets. Failures throw std::system_error.
#pragma once

#include <netinet/in.h>

#include <string>
#include <system_error>

namespace penstock::bench {

std::system_error SystemError(const std::string& what);

// `10.0.0.1:554`
sockaddr_in ParseAddress(const std::string& text);
std::string IpText(const sockaddr_in& address);
sockaddr_in WithPort(sockaddr_in address, int port);

int ListenTcp(const sockaddr_in& address);
// Non-blocking; the connection is made when the socket becomes writable.
int StartConnect(const sockaddr_in& local, const sockaddr_in& to);
int BindUdp(const sockaddr_in& address);
// Asks for buffers past net.core.rmem_max and wmem_max, which root gets.
void SetBuffers(int fd, int receive_bytes, int send_bytes);
void SetOption(int fd, int level, int name, int value);

}  // namespace penstock::bench

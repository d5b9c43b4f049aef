#include "net/unix_datagram.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "memory/system_error.h"
#include "memory/unique_fd.h"

namespace penstock::net {
namespace {

using memory::SystemError;

constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};

struct UnixAddress {
  sockaddr_un address{};
  socklen_t length = 0;
};

UnixAddress ParsePath(const std::string& path) {
  UnixAddress to;
  to.address.sun_family = AF_UNIX;
  if (path.empty()) throw SystemError("sendto", "", EDESTADDRREQ);
  if (path.size() >= sizeof(to.address.sun_path)) throw SystemError("sendto", path, ENAMETOOLONG);
  std::memcpy(to.address.sun_path, path.data(), path.size());
  if (path.front() == '@') to.address.sun_path[0] = '\0';
  // An abstract name has no end but that of the address; a zero after a path does no harm.
  to.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return to;
}

}  // namespace

void SendUnixDatagram(const std::string& path, std::string_view text) {
  const UnixAddress to = ParsePath(path);
  const memory::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) throw SystemError("socket", path);
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience)) != 0) {
    throw SystemError("setsockopt", "SO_SNDTIMEO");
  }
  const auto* address = reinterpret_cast<const sockaddr*>(&to.address);
  if (::sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL, address, to.length) < 0) {
    throw SystemError("sendto", path);
  }
}

}  // namespace penstock::net

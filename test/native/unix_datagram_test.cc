#include "net/unix_datagram.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "check.h"
#include "memory/system_error.h"
#include "memory/unique_fd.h"

using namespace penstock;

namespace {

// A socket under a name of this process alone; `first` is its first character, 0 for an abstract one.
struct Listener {
  memory::UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::string name;

  explicit Listener(char first) {
    name = std::string(1, first) + "tmp/penstock-datagram-" + std::to_string(::getpid());
    if (first == '/') ::unlink(name.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    CHECK_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  }
  ~Listener() {
    if (name.front() == '/') ::unlink(name.c_str());
  }

  std::string Read() const {
    char bytes[64];
    const ssize_t size = ::recv(fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    return size < 0 ? "nothing" : std::string(bytes, static_cast<size_t>(size));
  }
};

int ErrorOf(const std::string& path) {
  try {
    net::SendUnixDatagram(path, "x");
  } catch (const memory::SystemError& failure) {
    return failure.error();
  }
  return 0;
}

}  // namespace

TEST(unix_datagram_reaches_a_path) {
  const Listener listener('/');
  net::SendUnixDatagram(listener.name, "READY=1\nSTATUS=good");
  CHECK_EQ(listener.Read(), "READY=1\nSTATUS=good");
  CHECK_EQ(listener.Read(), "nothing");
}

TEST(unix_datagram_reaches_an_abstract_name) {
  const Listener listener('\0');
  net::SendUnixDatagram("@" + listener.name.substr(1), "READY=1");
  CHECK_EQ(listener.Read(), "READY=1");
}

TEST(unix_datagram_says_why_it_cannot) {
  CHECK_EQ(ErrorOf("/tmp/penstock-nobody-listens-here"), ENOENT);
  CHECK_EQ(ErrorOf("@penstock-nobody-listens-here"), ECONNREFUSED);
  CHECK_EQ(ErrorOf(""), EDESTADDRREQ);
  CHECK_EQ(ErrorOf(std::string(108, '/')), ENAMETOOLONG);
}

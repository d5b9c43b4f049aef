#pragma once

#include <sys/socket.h>

#include "memory/system_error.h"

namespace penstock::net {

// Sets an int option; throws SystemError that names it.
inline void SetOption(int socket, int level, int option, int value, const char* name) {
  if (::setsockopt(socket, level, option, &value, sizeof(value)) != 0) throw memory::SystemError("setsockopt", name);
}

}  // namespace penstock::net

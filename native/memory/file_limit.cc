#include "memory/file_limit.h"

#include <sys/resource.h>

#include "memory/system_error.h"

namespace penstock::memory {

FileLimit GetFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw SystemError("getrlimit");
  return {limit.rlim_cur, limit.rlim_max};
}

FileLimit RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw SystemError("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) throw SystemError("setrlimit");
  return {limit.rlim_cur, limit.rlim_max};
}

}  // namespace penstock::memory

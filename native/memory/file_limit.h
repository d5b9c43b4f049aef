// The limit of open descriptors of this process.
#pragma once

#include <cstdint>

namespace penstock::memory {

struct FileLimit {
  uint64_t soft;
  uint64_t hard;
};

// Both throw SystemError.
FileLimit GetFileLimit();
FileLimit RaiseFileLimit();  // soft becomes hard; gives what holds afterwards

}  // namespace penstock::memory

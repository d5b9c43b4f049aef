// Sealed anonymous memory files and their mappings.
#pragma once

#include <cstddef>

#include "memory/unique_fd.h"

namespace penstock::memory {

// Zeroed, close-on-exec, seals still allowed. Throws SystemError.
UniqueFd CreateMemfd(const char* name, size_t bytes);

// Against shrinking, growing and further seals: a process that holds the descriptor
// can make no other process's mapping fault. Throws SystemError.
void SealSize(int fd);

// Size in bytes. Throws SystemError.
size_t FileSize(int fd);

// A shared read-write mapping of a whole file; unmapped with the object. Throws SystemError.
class Mapping {
 public:
  Mapping(int fd, size_t bytes);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  void* base() const { return base_; }
  size_t bytes() const { return bytes_; }

 private:
  void* base_;
  size_t bytes_;
};

}  // namespace penstock::memory

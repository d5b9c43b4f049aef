#include "memory/memfd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "memory/system_error.h"

namespace penstock::memory {

UniqueFd CreateMemfd(const char* name, size_t bytes) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) throw SystemError("memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) throw SystemError("ftruncate");
  return fd;
}

void SealSize(int fd) {
  if (::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) throw SystemError("fcntl(F_ADD_SEALS)");
}

size_t FileSize(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw SystemError("fstat");
  return static_cast<size_t>(info.st_size);
}

Mapping::Mapping(int fd, size_t bytes)
    : base_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), bytes_(bytes) {
  if (base_ == MAP_FAILED) throw SystemError("mmap");
}

Mapping::~Mapping() { ::munmap(base_, bytes_); }

}  // namespace penstock::memory

// How many bytes of a TCP connection have gone through the hands of its holders, as the kernel
// counts them: what is left where a process died between doing and noting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace penstock::wire {

struct KernelCounts {
  uint64_t taken;  // read out of it
  uint64_t sent;   // written to it
};

// Of a connection that nobody reads or writes meanwhile. Nothing where it is no live TCP connection.
std::optional<KernelCounts> ReadKernelCounts(int fd);

// Bytes that could be read now.
size_t WaitingBytes(int fd);

}  // namespace penstock::wire

#include "wire/kernel_counts.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace penstock::wire {
namespace {

// The states of net/tcp_states.h, which no header of user space has whole.
constexpr uint8_t kTimeWait = 6;
constexpr uint8_t kClose = 7;
constexpr uint8_t kCloseWait = 8;
constexpr uint8_t kLastAck = 9;
constexpr uint8_t kClosing = 11;

constexpr int kTries = 100;

// The kernel counts a FIN as a byte.
bool HasPeersFin(uint8_t state) {
  return state == kCloseWait || state == kLastAck || state == kClosing || state == kTimeWait;
}

std::optional<uint64_t> Queued(int fd, unsigned long request) {
  int bytes = 0;
  if (::ioctl(fd, request, &bytes) != 0 || bytes < 0) return std::nullopt;
  return static_cast<uint64_t>(bytes);
}

bool ReadInfo(int fd, tcp_info& info) {
  socklen_t length = sizeof(info);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
         length >= offsetof(tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received);
}

}  // namespace

// Acknowledgements and data go on arriving between the calls: what is not acknowledged and what
// waits must be the same before and after.
std::optional<KernelCounts> ReadKernelCounts(int fd) {
  for (int i = 0; i < kTries; ++i) {
    tcp_info info{};
    const auto unacked = Queued(fd, SIOCOUTQ);
    const auto waiting = Queued(fd, SIOCINQ);
    if (!unacked || !waiting || !ReadInfo(fd, info) || info.tcpi_state == kClose) return std::nullopt;
    if (Queued(fd, SIOCOUTQ) != unacked || Queued(fd, SIOCINQ) != waiting) continue;
    const uint64_t received = info.tcpi_bytes_received - (HasPeersFin(info.tcpi_state) ? 1 : 0);
    return KernelCounts{received - *waiting, info.tcpi_bytes_acked + *unacked};
  }
  return std::nullopt;
}

size_t WaitingBytes(int fd) { return static_cast<size_t>(Queued(fd, SIOCINQ).value_or(0)); }

}  // namespace penstock::wire

#include "net/fd_passing.h"

#include <sys/socket.h>

#include <bit>
#include <cstring>

#include "memory/system_error.h"

namespace penstock::net {
namespace {

using memory::SystemError;

constexpr size_t kControlBytes = CMSG_SPACE(sizeof(int) * kMaxPassedFds);

bool Closed(int error) { return error == EPIPE || error == ECONNRESET || error == ENOTCONN; }

// ETOOMANYREFS: too many descriptors are in flight; it passes when the reader reads.
bool Full(int error) { return error == EAGAIN || error == ENOBUFS || error == ETOOMANYREFS; }

bool IsRelease(uint32_t op) { return op == kVaultRelease || op == kVaultReleaseWire; }
bool IsAdd(uint32_t op) { return op == kVaultAdd || op == kVaultAddWire; }
uint32_t MaskOf(uint32_t op) { return op == kVaultAddWire ? kWireMask : kLegMask; }

struct Received {
  std::array<memory::UniqueFd, kMaxPassedFds> fds;
  uint32_t count = 0;
};

Received TakeDescriptors(msghdr& header) {
  Received taken;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && taken.count < kMaxPassedFds; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      taken.fds[taken.count++].Reset(fd);
    }
  }
  return taken;
}

bool Sound(const msghdr& header, ssize_t bytes, const VaultMessage& message, uint32_t count) {
  if (bytes != sizeof(VaultMessage) || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return false;
  if (IsRelease(message.op)) return count == 0;
  return IsAdd(message.op) && message.legs != 0 && (message.legs & ~MaskOf(message.op)) == 0 &&
         std::popcount(message.legs) == static_cast<int>(count);
}

void SpreadOverLegs(Received& taken, PassedMessage& out) {
  uint32_t next = 0;
  for (uint32_t leg = 0; leg < kMaxPassedFds; ++leg) {
    if ((out.message.legs >> leg) & 1) out.fds[leg] = std::move(taken.fds[next++]);
  }
}

}  // namespace

PassResult SendMessage(int socket, const VaultMessage& message, std::span<const int> fds) {
  if (fds.size() > kMaxPassedFds) throw SystemError("sendmsg", "with too many descriptors", EINVAL);
  alignas(cmsghdr) char control[kControlBytes] = {};
  iovec data{const_cast<VaultMessage*>(&message), sizeof(message)};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return PassResult::kDone;
  if (Full(errno)) return PassResult::kWouldBlock;
  if (Closed(errno)) return PassResult::kClosed;
  throw SystemError("sendmsg");
}

PassResult ReceiveMessage(int socket, PassedMessage& out) {
  alignas(cmsghdr) char control[kControlBytes] = {};
  out = PassedMessage{};
  iovec data{&out.message, sizeof(out.message)};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t bytes;
  do {
    bytes = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (bytes < 0 && errno == EINTR);
  if (bytes == 0) return PassResult::kClosed;
  if (bytes < 0) {
    if (errno == EAGAIN) return PassResult::kWouldBlock;
    if (Closed(errno)) return PassResult::kClosed;
    throw SystemError("recvmsg");
  }
  Received taken = TakeDescriptors(header);
  if (!Sound(header, bytes, out.message, taken.count)) return PassResult::kFault;
  SpreadOverLegs(taken, out);
  return PassResult::kDone;
}

}  // namespace penstock::net

// Messages with descriptors over a SOCK_SEQPACKET unix socket.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "memory/unique_fd.h"
#include "net/vault_message.h"

namespace penstock::net {

inline constexpr uint32_t kMaxPassedFds = 4;  // one per leg of a stream
inline constexpr uint32_t kLegMask = (1u << kMaxPassedFds) - 1;

enum class PassResult {
  kDone,        // one message was sent or received
  kWouldBlock,  // nothing happened; try again when the socket is ready
  kClosed,      // the other end is gone
  kFault,       // received: not a message of ours, or not all its descriptors; all of them were closed
};

struct PassedMessage {
  VaultMessage message{};
  std::array<memory::UniqueFd, kMaxPassedFds> fds;  // by leg; empty where the mask has no bit
};

// Never blocks. The caller keeps its descriptors. `fds` in the order of the bits of message.legs.
// Throws SystemError for anything but a full or closed socket.
PassResult SendMessage(int socket, const VaultMessage& message, std::span<const int> fds);

// Never blocks. Received descriptors are close-on-exec.
// Throws SystemError for anything but an empty or closed socket.
PassResult ReceiveMessage(int socket, PassedMessage& out);

}  // namespace penstock::net

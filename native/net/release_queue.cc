#include "net/release_queue.h"

#include <exception>

#include "net/fd_passing.h"

namespace penstock::net {

void ReleaseQueue::Tell(VaultOp op, uint32_t slot, uint32_t generation) {
  const VaultMessage message{op, slot, generation, 0};
  if (!unsent_.empty() || !Send(message)) unsent_.push_back(message);
}

// False where it has to be tried again.
bool ReleaseQueue::Send(const VaultMessage& message) {
  if (vault_fd_ < 0) return true;
  try {
    const PassResult result = SendMessage(vault_fd_, message, {});
    if (result == PassResult::kDone) return true;
    if (result == PassResult::kWouldBlock) return false;
  } catch (const std::exception&) {
    // Any other failure of this socket is as final as its end.
  }
  counters_.Add(counters::Counter::releases_lost, 1);
  return true;
}

void ReleaseQueue::Retry() {
  size_t sent = 0;
  while (sent < unsent_.size() && Send(unsent_[sent])) ++sent;
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<ptrdiff_t>(sent));
}

}  // namespace penstock::net

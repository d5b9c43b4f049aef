// An engine thread's words to the vault: what it has let go of. They wait where the socket is full.
#pragma once

#include <vector>

#include "counters/counters.h"
#include "net/vault_message.h"

namespace penstock::net {

class ReleaseQueue {
 public:
  // `vault_fd` stays the caller's; -1 = nobody is told.
  ReleaseQueue(int vault_fd, counters::CounterBlock& counters) : vault_fd_(vault_fd), counters_(counters) {}

  // `op`: kVaultRelease or kVaultReleaseWire.
  void Tell(VaultOp op, uint32_t slot, uint32_t generation);
  void Retry();
  bool empty() const { return unsent_.empty(); }

 private:
  bool Send(const VaultMessage& message);

  const int vault_fd_;
  counters::CounterBlock& counters_;
  std::vector<VaultMessage> unsent_;
};

}  // namespace penstock::net

// The streams of one engine thread: taking over, updating, closing with quarantine, and
// telling workers and vault. Runs between batches, never per packet.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bridge/bridge.h"
#include "counters/counters.h"
#include "engine/offloader.h"
#include "flow/stream.h"
#include "net/fd_passing.h"
#include "net/release_queue.h"
#include "table/region.h"

namespace penstock::engine {

class StreamSet {
 public:
  struct Options {
    uint32_t thread;
    int epoll_fd;  // legs are watched here, with the Leg as data
    int vault_fd;  // releases go here; -1 = nobody is told
    bool gro;
    bool gso;
    offload::FlowTable* table;     // null: no offload
    table::TierReason no_offload;  // why
    bridge::Bridge& bridge;
  };
  StreamSet(table::Region& region, const Options& options, counters::CounterBlock& counters);
  ~StreamSet();

  // Descriptors from the vault. A row that is not open with this generation is closed at once.
  void Add(net::PassedMessage message, table::Millis now);
  void Obey(const table::Command& command, table::Millis now);
  // Retries, quarantine, lost commands.
  void Tick(table::Millis now);
  // How long a thread without packets may sleep.
  int SleepMs() const;
  // A leg learned its source: flows from it and to it change. Then what waits for a pause may enter.
  void SourceChanged(flow::Leg& leg, table::Millis now);
  void RunPending(table::Millis now) { offloader_.RunPending(now); }

  void Emit(table::EventKind kind, const flow::Leg& leg);

 private:
  using Slot = std::unique_ptr<flow::Stream>;

  Slot* Find(uint32_t stream);
  bool MakeRoom(Slot& slot, const net::VaultMessage& message);
  void TakeSockets(flow::Stream& stream, net::PassedMessage& message);
  void TryAttach(flow::Stream& stream, table::Millis now);
  void Attach(flow::Stream& stream, const table::StreamEntry& control, table::Millis now);
  void Reconsider(flow::Stream& stream, table::Millis now);
  void Update(flow::Stream& stream, table::Millis now);
  void Watch(flow::Leg& leg);
  void BeginClosing(flow::Stream& stream, table::Millis now);
  void Release(Slot& slot);
  void RetryUnread(table::Millis now);
  void EndQuarantines(table::Millis now);
  void Sweep(table::Millis now);
  void EmitTo(const table::Event& event);

  table::Region& region_;
  const Options options_;
  counters::CounterBlock& counters_;
  net::ReleaseQueue releases_;
  Offloader offloader_;
  std::vector<table::EventRing> events_;  // by worker
  std::vector<Slot> slots_;               // by stream / engine threads
  std::vector<uint32_t> waiting_;         // slots whose row is to be read again
  std::vector<uint32_t> closing_;         // slots in quarantine
  table::Millis next_sweep_ = 0;
};

}  // namespace penstock::engine

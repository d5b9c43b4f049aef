// The wires of one engine thread: taking them over, what workers say of them, and letting them go.
// Wires come and go only in Add, Obey and Tick, never while events of them are being looked at.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bridge/bridge.h"
#include "counters/counters.h"
#include "net/fd_passing.h"
#include "net/release_queue.h"
#include "table/region.h"
#include "wire/relay.h"
#include "wire/stream_table.h"

namespace penstock::wire {

class WireSet {
 public:
  struct Options {
    uint32_t thread;
    int epoll_fd;  // wires are watched here, their data a Wire with kWireTag
    int vault_fd;  // releases go here; -1 = nobody is told
    std::vector<int> worker_wakes;   // an event descriptor per worker, or none
    const StepHook* hook = nullptr;  // for tests
    bool gso = false;                // for frames that leave by sockets
  };
  WireSet(table::Region& region, const Options& options, counters::CounterBlock& counters);
  ~WireSet();

  // A descriptor from the vault. A row that is not open with this generation is let go of at once.
  void Add(net::PassedMessage message, int64_t now_us);
  // What workers have said.
  void Obey(int64_t now_us);
  void OnEvent(Wire& wire, uint32_t events);
  bridge::Bridge& bridge() { return bridge_; }
  // Does a bounded amount of what there is to do.
  void Run(int64_t now_us);
  // Retries, deadlines, lost records.
  void Tick(int64_t now_us);
  // Wakes the workers that were told something.
  void Wake() { mailbox_.Wake(); }

  // There is something to do now.
  bool busy() const { return relay_.busy() || unread_; }
  // Something waits for the next Tick.
  bool waiting() const { return relay_.stalled() || streams_.waiting() || !releases_.empty() || !untold_.empty(); }

 private:
  static constexpr uint32_t kRecordsPerTurn = 256;  // of one worker

  void Handle(uint32_t worker, const table::WireRecord& record, std::span<const uint8_t> payload);
  void HandleWire(Wire& wire, const table::WireRecord& record, std::span<const uint8_t> payload);
  bool MakeRoom(const net::VaultMessage& message);
  void Attach(Wire& wire);
  void BeginRow(Wire& wire);
  void Watch(Wire& wire);
  void Close(Wire& wire);
  void Release(Wire& wire);
  void ReleaseRow(uint32_t slot, uint32_t generation);
  void Sweep();
  void CheckTimes(Wire& wire);
  void SetClock(int64_t now_us);

  table::Region& region_;
  const Options options_;
  counters::CounterBlock& counters_;
  net::ReleaseQueue releases_;
  Mailbox mailbox_;
  WireIo io_;
  WireTable wires_;
  StreamTable streams_;
  Relay relay_;
  bridge::Bridge bridge_;
  std::vector<table::ByteRing> outboxes_;  // by worker
  bool unread_ = false;                    // an outbox held more than a turn takes
  std::vector<table::WireRecord> untold_;  // releases that an inbox had no room for
  table::Millis now_ = 0;
  table::Millis next_sweep_ = 0;
};

// What tells a wire from anything else that is watched: the lowest bit of the event's data.
inline constexpr uint64_t kWireTag = 1;

}  // namespace penstock::wire

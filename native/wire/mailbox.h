// An engine thread's end of the inboxes: records for workers, and their waking.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "counters/counters.h"
#include "table/region.h"
#include "wire/wire.h"

namespace penstock::wire {

class Mailbox {
 public:
  // `wakes`: an event descriptor per worker, or none at all; they stay the caller's.
  Mailbox(table::Region& region, uint32_t thread, std::vector<int> wakes, counters::CounterBlock& counters);

  // The largest message that a worker can be shown.
  size_t max_message() const { return max_message_; }

  // False where the inbox has no room: nothing was said.
  bool Send(uint32_t worker, const table::WireRecord& record, std::span<const uint8_t> payload = {});
  // With the wire's own notices before it.
  bool SendMessage(Wire& wire, std::span<const uint8_t> bytes);
  bool SendFault(Wire& wire, table::WireFault fault, std::span<const uint8_t> bytes);
  // What there is to tell of the wire; false where some of it has to wait.
  bool SendNotices(Wire& wire);
  // Once a turn: wakes the workers that got something.
  void Wake();

 private:
  table::WireRecord RecordOf(const Wire& wire, table::WireRecordKind kind) const;
  bool SendNotice(Wire& wire, Notice notice);

  std::vector<table::ByteRing> inboxes_;  // by worker
  std::vector<int> wakes_;
  std::vector<bool> told_;
  counters::CounterBlock& counters_;
  size_t max_message_;
};

}  // namespace penstock::wire

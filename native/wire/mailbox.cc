#include "wire/mailbox.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "memory/cell.h"

namespace penstock::wire {

using counters::Counter;
using table::WireRecord;

Mailbox::Mailbox(table::Region& region, uint32_t thread, std::vector<int> wakes, counters::CounterBlock& counters)
    : wakes_(std::move(wakes)), told_(region.workers()), counters_(counters) {
  for (uint32_t worker = 0; worker < region.workers(); ++worker) inboxes_.push_back(region.Inbox(worker, thread));
  max_message_ = std::min<size_t>(table::kMaxHeldMessage, inboxes_[0].max_payload());
}

bool Mailbox::Send(uint32_t worker, const WireRecord& record, std::span<const uint8_t> payload) {
  if (!inboxes_[worker].Push(record, payload)) {
    counters_.Add(Counter::inbox_full, 1);
    return false;
  }
  told_[worker] = true;
  return true;
}

WireRecord Mailbox::RecordOf(const Wire& wire, table::WireRecordKind kind) const {
  WireRecord record{};
  record.kind = kind;
  record.wire = wire.slot;
  record.generation = wire.generation;
  record.continue_wire = table::kNoWire;
  return record;
}

bool Mailbox::SendMessage(Wire& wire, std::span<const uint8_t> bytes) {
  if (!SendNotices(wire)) return false;
  WireRecord record = RecordOf(wire, table::kRecordMessage);
  record.seq = wire.ledger.now.messages_taken + 1;
  return Send(wire.worker, record, bytes);
}

bool Mailbox::SendFault(Wire& wire, table::WireFault fault, std::span<const uint8_t> bytes) {
  if (!SendNotices(wire)) return false;
  WireRecord record = RecordOf(wire, table::kRecordFault);
  record.value = fault;
  return Send(wire.worker, record, bytes.first(std::min(bytes.size(), max_message_)));
}

bool Mailbox::SendNotices(Wire& wire) {
  for (const Notice notice : {kTellAttached, kTellFault, kTellEnd, kTellClosed}) {
    if ((wire.notices & notice) == 0) continue;
    if (!SendNotice(wire, notice)) return false;
    wire.notices &= static_cast<uint8_t>(~notice);
  }
  return true;
}

bool Mailbox::SendNotice(Wire& wire, Notice notice) {
  WireRecord record = RecordOf(wire, table::kRecordEnd);
  if (notice == kTellAttached) {
    record.kind = table::kRecordAttached;
    record.seq = wire.accepted_seq();
    record.value = wire.ledger.now.written_seq;
    record.continue_seq = wire.ledger.now.messages_taken;
    record.continue_generation = wire.token;
  } else if (notice == kTellFault) {
    record.kind = table::kRecordFault;
    record.value = memory::Load(wire.row.fault);
  } else if (notice == kTellClosed) {
    record.kind = table::kRecordClosed;
    record.value = memory::Load(wire.row.end);
    record.seq = memory::Load(wire.row.error);
  }
  return Send(wire.worker, record);
}

void Mailbox::Wake() {
  for (size_t worker = 0; worker < told_.size(); ++worker) {
    if (!told_[worker]) continue;
    told_[worker] = false;
    const uint64_t one = 1;
    // A full event counter (EAGAIN) wakes as well.
    while (worker < wakes_.size() && ::write(wakes_[worker], &one, sizeof(one)) < 0 && errno == EINTR) {
    }
  }
}

}  // namespace penstock::wire

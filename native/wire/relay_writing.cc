// What a wire has to say for itself: messages of its worker, the rest of a frame that lost its source, its end.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "memory/cell.h"
#include "wire/relay.h"

namespace penstock::wire {

using counters::Counter;
using memory::Add;
using memory::Load;
using memory::Store;
using memory::StoreRelease;
using table::WireLedger;

namespace {

table::Millis Millis(int64_t now_us) { return static_cast<table::Millis>(now_us) / 1000; }

}  // namespace

bool Relay::MayWrite(Wire& from, Wire& to) {
  if (!to.settled || !to.writable) return false;
  if (to.IsMidFrame()) return from.sink == &to;
  return Flush(to);
}

// Writes what the wire itself has to say. True when frames may follow.
bool Relay::Flush(Wire& wire) {
  while (wire.writable && wire.attached() && !wire.closed()) {
    if (wire.HasTail()) {
      if (!SendTail(wire)) return false;
    } else if (wire.IsMidFrame()) {
      return false;
    } else if (wire.out.empty() || wire.out.front().seq != wire.ledger.now.written_seq + 1) {
      if (wire.IsMidMessage()) return false;  // its worker has the rest
      if (!wire.queue.empty() && MayBegin(wire)) {
        if (!SendBurst(wire)) return false;
        continue;
      }
      if (wire.out.empty()) FinishShut(wire);
      return !wire.closed();
    } else if (!SendMessage(wire)) {
      return false;
    }
  }
  return false;
}

void Relay::Sent(Wire& wire, size_t bytes) {
  wire.ledger.now.sent += bytes;
  Add(wire.row.tx_bytes, bytes);
  Store(wire.row.last_tx_ms, Millis(now_us_));
  counters_.Add(Counter::wire_bytes, bytes);
}

void Relay::SendFailed(Wire& wire, int error) {
  wire.writable = false;
  if (error != EAGAIN) Finish(wire, table::kEndError, error);
}

bool Relay::SendTail(Wire& wire) {
  WireLedger& ledger = wire.ledger.now;
  const uint8_t* tail = wire.HasRest() ? wire.rest.data() : wire.row.tail;
  const IoResult result = io_.Send(wire, {tail + ledger.tail_offset, ledger.tail_bytes - ledger.tail_offset});
  if (result.error != 0) {
    SendFailed(wire, result.error);
    return false;
  }
  io_.At(Step::kSent);
  Sent(wire, result.bytes);
  ledger.tail_offset += static_cast<uint32_t>(result.bytes);
  const bool done = ledger.tail_offset == ledger.tail_bytes;
  if (done) {
    ledger.writing = table::kWritingFrames;
    ledger.tail_bytes = ledger.tail_offset = 0;
    wire.rest = {};
  }
  wire.ledger.Commit();
  io_.At(Step::kSinkNoted);
  wire.writable = done;
  return done;
}

bool Relay::SendMessage(Wire& wire) {
  const OutMessage& message = wire.out.front();
  if (!BeginMessage(wire, message)) return false;
  WireLedger& ledger = wire.ledger.now;
  if (message.bytes.empty()) {  // one that was lost with a worker: there is nothing of it to write
    MessageWritten(wire);
    return true;
  }
  const std::span<const uint8_t> rest = std::span(message.bytes).subspan(ledger.message_offset);
  const IoResult result = io_.Send(wire, rest);
  counters_.Add(Counter::wire_sends, 1);
  if (result.error != 0) {
    SendFailed(wire, result.error);
    return false;
  }
  io_.At(Step::kMessageSent);
  Sent(wire, result.bytes);
  ledger.message_offset += static_cast<uint32_t>(result.bytes);
  if (ledger.message_offset == ledger.message_bytes) {
    MessageWritten(wire);
    return true;
  }
  wire.ledger.Commit();
  wire.writable = false;
  return false;
}

// False where it cannot go on: it is not the message that a former engine has begun.
bool Relay::BeginMessage(Wire& wire, const OutMessage& message) {
  WireLedger& ledger = wire.ledger.now;
  const auto size = static_cast<uint32_t>(message.bytes.size());
  if (ledger.message_offset != 0) {
    if (ledger.message_seq == message.seq && ledger.message_bytes == size) return true;
    Finish(wire, table::kEndTorn);
    return false;
  }
  ledger.writing = table::kWritingMessage;
  ledger.message_seq = message.seq;
  ledger.message_bytes = size;
  ledger.continue_wire = message.continue_wire;
  ledger.continue_generation = message.continue_generation;
  ledger.continue_seq = message.continue_seq;
  wire.ledger.Commit();
  io_.At(Step::kIntended);
  return true;
}

void Relay::MessageWritten(Wire& wire) {
  WireLedger& ledger = wire.ledger.now;
  ledger.written_seq = ledger.message_seq;
  ledger.message_bytes = ledger.message_offset = 0;
  ledger.writing = table::kWritingFrames;
  wire.ledger.Commit();
  io_.At(Step::kMessageNoted);
  StoreRelease(wire.row.written_seq, ledger.written_seq);
  Add(wire.row.tx_messages, 1);
  counters_.Add(Counter::wire_messages_out, 1);
  const OutMessage message = std::move(wire.out.front());
  wire.out.pop_front();
  wire.out_bytes -= message.bytes.size();
  ContinueAfter(message);
}

void Relay::ContinueAfter(const OutMessage& message) {
  Wire* wire = wires_.Find(message.continue_wire, message.continue_generation);
  if (wire != nullptr) Continue(*wire, message.continue_seq);
}

// Written in the order of their numbers, whatever order they come in: those that a former engine
// took and did not write come again behind newer ones.
void Relay::Write(Wire& wire, const table::WireRecord& record, std::span<const uint8_t> bytes) {
  const uint32_t written = wire.ledger.now.written_seq;
  const auto ahead = static_cast<int32_t>(record.seq - written);
  if (ahead <= 0) return;
  auto at = wire.out.end();
  while (at != wire.out.begin() && std::prev(at)->seq - written >= static_cast<uint32_t>(ahead)) --at;
  if (at != wire.out.end() && at->seq == record.seq) return;
  const auto place = wire.out.insert(at, {record.seq, record.continue_wire, record.continue_generation,
                                          record.continue_seq, {bytes.begin(), bytes.end()}});
  wire.out_bytes += bytes.size();
  if (Wire* answered = wires_.Obtain(record.continue_wire, record.continue_generation, Millis(now_us_))) {
    answered->answered_seq = record.continue_seq;
  }
  if (!wire.open()) {
    const OutMessage lost = std::move(*place);
    wire.out.erase(place);
    wire.out_bytes -= bytes.size();
    return ContinueAfter(lost);
  }
  if (wire.out_bytes > kMaxMessageBacklog) return Finish(wire, table::kEndMessages);
  Ready(wire);
}

void Relay::DropMessages(Wire& wire) {
  const std::deque<OutMessage> lost = std::move(wire.out);
  wire.out.clear();
  wire.out_bytes = 0;
  for (const OutMessage& message : lost) ContinueAfter(message);
}

void Relay::Shut(Wire& wire) {
  if (wire.closed() || wire.shut_asked) return;
  LeaveSink(wire);
  wire.shut_asked = true;
  wire.discards = true;
  wire.queue.Clear();
  wire.held_bytes = 0;
  wire.readable = true;
  wire.shut_at = Millis(now_us_);
  StoreRelease(wire.row.shut, table::kShutAsked);
  if (wire.blocked_on != nullptr) Unblock(wire);
  Ready(wire);
}

void Relay::FinishShut(Wire& wire) {
  if (!wire.shut_asked || Load(wire.row.shut) == table::kShutSent) return;
  // The kernel counts a FIN as a byte: a successor must know that it may be there.
  StoreRelease(wire.row.shut, table::kShutSent);
  ::shutdown(wire.fd.get(), SHUT_WR);
  if (wire.fin) Finish(wire, table::kEndBoth);
}

void Relay::Finish(Wire& wire, table::WireEnd end, int error) {
  if (wire.closed()) return;
  if (wire.attached()) LeaveSink(wire);
  wire.state = table::kWireClosed;
  wire.held_bytes = 0;
  wire.queue.Clear();
  Store(wire.row.end, end);
  Store(wire.row.error, static_cast<uint32_t>(error));
  StoreRelease(wire.row.wire_state, wire.state);
  // The vault and others may hold the same connection: closing it here would not end it.
  if (wire.attached()) ::shutdown(wire.fd.get(), SHUT_RDWR);
  if (end == table::kEndTorn) counters_.Add(Counter::wires_torn, 1);
  DropMessages(wire);
  if (end != table::kEndNone) wire.notices |= kTellClosed;
  if (wire.blocked_on != nullptr) Unblock(wire);
  WakeWaiters(wire);
  Tell(wire);
}

}  // namespace penstock::wire

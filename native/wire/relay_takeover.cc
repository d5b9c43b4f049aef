// Going on where a former engine stopped. It noted each step after it was made, so that the kernel may
// be one step ahead of the ledgers, never behind:
//   bytes were sent to a wire and not noted: they were those at the head of its source, or of the
//     message that was being written, or of its tail;
//   bytes were noted and not thrown away: they still lie at the head.
#include <algorithm>

#include "memory/cell.h"
#include "wire/kernel_counts.h"
#include "wire/relay.h"

namespace penstock::wire {
namespace {

table::Millis Millis(int64_t now_us) { return static_cast<table::Millis>(now_us) / 1000; }

}  // namespace

using counters::Counter;
using memory::Load;
using memory::StoreRelease;
using table::WireLedger;

void Relay::TakeOver(Wire& wire) {
  wire.ledger.Restore();
  wire.state = static_cast<table::WireState>(Load(wire.row.wire_state));
  StoreRelease(wire.row.written_seq, wire.ledger.now.written_seq);
  StoreRelease(wire.row.messages_taken, wire.ledger.now.messages_taken);
  wire.started = wire.started || wire.state != table::kWireIdle;
  wire.shut_asked = Load(wire.row.shut) == table::kShutSent;
  wire.discards = wire.shut_asked || wire.state == table::kWireFaulted;
  if (!wire.shut_asked) StoreRelease(wire.row.shut, table::kShutNone);  // the worker says so again
  DropWritten(wire);
  const auto counts = wire.closed() ? std::nullopt : ReadKernelCounts(wire.fd.get());
  if (!counts) {
    wire.failed = wire.settled = wire.proven = true;
    return Ready(wire);
  }
  wire.discarded = counts->taken - Load(wire.row.base_taken);
  wire.unnoted = counts->sent - Load(wire.row.base_sent) - wire.ledger.now.sent;
  wire.ledger.now.taken = TakenOf(wire);
  const bool possible = wire.discards || (wire.discarded <= wire.ledger.now.taken &&
                                          wire.ledger.now.taken - wire.discarded <= kScratch);
  if (!possible || (!wire.shut_asked && wire.unnoted > kScratch)) return Finish(wire, table::kEndTorn);
  wire.ledger.Commit();
  Discard(wire);
}

// What its last sink had of it may be noted there only.
uint64_t Relay::TakenOf(Wire& wire) {
  WireLedger& ledger = wire.ledger.now;
  Wire* target = wires_.Obtain(ledger.target, ledger.target_generation, Millis(now_us_));
  if (target == nullptr || Load(target->row.attached_generation) != target->generation) return ledger.taken;
  const WireLedger sink = Ledger::Read(target->row);
  if (sink.source != wire.slot || sink.source_generation != wire.generation) return ledger.taken;
  wire.sink = target;
  return std::max(ledger.taken, sink.source_taken);
}

void Relay::DropWritten(Wire& wire) {
  std::erase_if(wire.out, [&wire](const OutMessage& message) {
    const bool written = static_cast<int32_t>(message.seq - wire.ledger.now.written_seq) <= 0;
    if (written) wire.out_bytes -= message.bytes.size();
    return written;
  });
}

// What of the wire's own bytes is at its sink is only certain once the sink is settled.
bool Relay::Prove(Wire& wire) {
  if (wire.proven) return true;
  wire.proven = wire.sink == nullptr || wire.sink->settled || wire.sink->closed();
  if (!wire.proven) WaitFor(wire, *wire.sink);
  return wire.proven;
}

bool Relay::Settle(Wire& wire) {
  if (wire.settled) return true;
  wire.settled = Load(wire.row.shut) == table::kShutSent || SettleSent(wire);
  if (!wire.settled) return false;
  wire.unnoted = 0;
  WakeWaiters(wire);
  if (wire.heard && !CheckWhole(wire)) return false;
  if (wire.started) Announce(wire);
  // The last message was written, and perhaps that was all.
  const WireLedger& ledger = wire.ledger.now;
  Wire* continued = wires_.Obtain(ledger.continue_wire, ledger.continue_generation, Millis(now_us_));
  if (continued != nullptr && ledger.writing != table::kWritingMessage) Continue(*continued, ledger.continue_seq);
  return true;
}

bool Relay::SettleSent(Wire& wire) {
  switch (wire.ledger.now.writing) {
    case table::kWritingMessage:
      return SettleMessage(wire);
    case table::kWritingTail:
    case table::kWritingRest:
      return SettleTail(wire);
    case table::kWritingBurst:
      return SettleBurst(wire);
    default:
      return SettleFrames(wire);
  }
}

// A message that was not begun is the worker's to send again; one that was begun must be the same again.
bool Relay::SettleMessage(Wire& wire) {
  WireLedger& ledger = wire.ledger.now;
  if (wire.unnoted > ledger.message_bytes - ledger.message_offset) return Torn(wire);
  Recovered(wire);
  ledger.message_offset += static_cast<uint32_t>(wire.unnoted);
  if (ledger.message_offset == ledger.message_bytes) {
    ledger.written_seq = ledger.message_seq;
    ledger.message_offset = 0;
    ledger.writing = table::kWritingFrames;
  } else if (ledger.message_offset == 0) {
    ledger.continue_wire = table::kNoWire;
    ledger.writing = table::kWritingFrames;
  }
  wire.ledger.Commit();
  StoreRelease(wire.row.written_seq, ledger.written_seq);
  DropWritten(wire);
  return true;
}

bool Relay::SettleTail(Wire& wire) {
  WireLedger& ledger = wire.ledger.now;
  const uint32_t left = ledger.tail_bytes - ledger.tail_offset;
  if (wire.unnoted > left || (wire.HasRest() && wire.unnoted != left)) return Torn(wire);
  Recovered(wire);
  ledger.tail_offset += static_cast<uint32_t>(wire.unnoted);
  if (ledger.tail_offset == ledger.tail_bytes) ledger.writing = table::kWritingFrames;
  wire.ledger.Commit();
  return true;
}

bool Relay::SettleFrames(Wire& wire) {
  if (wire.unnoted == 0 && !wire.IsMidFrame()) return true;
  const WireLedger& ledger = wire.ledger.now;
  Wire* source = wires_.Obtain(ledger.source, ledger.source_generation, Millis(now_us_));
  if (source == nullptr || source->closed() || source->discards) return Torn(wire);
  if (source->attached()) return WalkUnnoted(wire, *source);
  WaitFor(wire, *source);
  return false;
}

bool Relay::WalkUnnoted(Wire& wire, Wire& source) {
  std::span<uint8_t> bytes;
  io_.Peek(source, bytes);
  const size_t sent = wire.ledger.now.frame_offset + static_cast<size_t>(wire.unnoted);
  FrameRun run{};
  while (run.bytes < sent) {
    const std::span<uint8_t> rest = bytes.subspan(run.bytes);
    const Piece piece = rest.empty() ? Piece{PieceKind::kPartial, 1} : NextPiece(rest, mailbox_.max_message());
    if (piece.kind != PieceKind::kFrame || run.frames == kMaxRun) return Torn(wire);
    frames_[run.frames++] = {run.bytes, static_cast<uint32_t>(piece.size), source.RouteOf(rest[1])};
    run.bytes += static_cast<uint32_t>(piece.size);
  }
  counters_.Add(Counter::wire_recovered_bytes, wire.unnoted);
  source.sink = &wire;
  NoteSent(source, wire, run, bytes, sent);
  Discard(source);
  return true;
}

void Relay::Recovered(Wire& wire) {
  counters_.Add(Counter::wire_recovered_bytes, wire.unnoted);
  wire.ledger.now.sent += wire.unnoted;
}

bool Relay::Torn(Wire& wire) {
  Finish(wire, table::kEndTorn);
  return false;
}

}  // namespace penstock::wire

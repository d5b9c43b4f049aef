#include "wire/relay.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "memory/cell.h"
#include "wire/kernel_counts.h"

namespace penstock::wire {

using counters::Counter;
using memory::Add;
using memory::Load;
using memory::Store;
using memory::StoreRelease;
using table::WireLedger;

namespace {

constexpr int kTurnsAtOnce = 32;          // so that the packets of others are not kept waiting
constexpr size_t kLargePiece = 16 * 1024;  // worth asking whether it is whole before it is looked at

table::Millis Millis(int64_t now_us) { return static_cast<table::Millis>(now_us) / 1000; }

int SocketError(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

}  // namespace

// ---------------------------------------------------------------- turns

void Relay::Ready(Wire& wire) {
  if (wire.queued || !wire.attached()) return;
  wire.queued = true;
  wire.next = nullptr;
  (first_ == nullptr ? first_ : last_->next) = &wire;
  last_ = &wire;
}

void Relay::Run() {
  for (int i = 0; i < kTurnsAtOnce && first_ != nullptr; ++i) {
    Wire& wire = *first_;
    first_ = wire.next;
    wire.queued = false;
    Serve(wire);
  }
}

void Relay::Serve(Wire& wire) {
  if (wire.closed() || !Settle(wire)) return;
  Flush(wire);
  if (wire.closed()) return;
  if (wire.writable) WakeWaiters(wire);
  if (wire.discards) {
    Throw(wire);
  } else {
    Read(wire);
  }
  if (wire.failed && !wire.closed()) Failed(wire);
}

void Relay::Forget(Wire& wire) {
  for (Wire** at = &first_; *at != nullptr;) {
    if (*at == &wire) *at = wire.next;
    else at = &(*at)->next;
  }
  for (last_ = first_; last_ != nullptr && last_->next != nullptr;) last_ = last_->next;
  std::erase(stalled_, &wire);
  if (wire.blocked_on != nullptr) Unblock(wire);
  WakeWaiters(wire);
  if (Wire* source = wires_.Find(wire.ledger.now.source, wire.ledger.now.source_generation);
      source != nullptr && source->sink == &wire) {
    source->sink = nullptr;
  }
}

void Relay::Attached(Wire& wire) {
  wire.readable = wire.writable = true;
  if (wire.started && wire.settled) Announce(wire);
  Ready(wire);
  WakeWaiters(wire);
}

// The first word of a worker, or of its successor, to whom all that is open is said again.
void Relay::Start(Wire& wire, uint32_t token) {
  wire.started = wire.heard = true;
  wire.token = token;
  // Where it stands is not known before it is settled.
  if (wire.settled && CheckWhole(wire)) Announce(wire);
}

// What a worker's successor does not have cannot be finished.
bool Relay::CheckWhole(Wire& wire) {
  const WireLedger& ledger = wire.ledger.now;
  const bool lacks = wire.out.empty() ? wire.IsMidMessage() : wire.out.front().seq != ledger.written_seq + 1;
  if (lacks) Finish(wire, table::kEndTorn);
  return !lacks;
}

void Relay::Announce(Wire& wire) {
  if (wire.state == table::kWireIdle) wire.state = table::kWireOpen;
  StoreRelease(wire.row.wire_state, wire.state);
  wire.notices |= kTellAttached;
  if (wire.state == table::kWireFaulted) wire.notices |= kTellFault;
  if (wire.state == table::kWireEnded) wire.notices |= kTellEnd;
  if (wire.closed()) wire.notices |= kTellClosed;
  if (wire.answered_seq != wire.ledger.now.messages_taken + 1) wire.held_bytes = 0;
  wire.readable = true;
  Tell(wire);
  Ready(wire);
}

void Relay::Stall(Wire& wire) {
  if (wire.stalled) return;
  wire.stalled = true;
  stalled_.push_back(&wire);
}

void Relay::RetryStalled() {
  std::vector<Wire*> again;
  again.swap(stalled_);
  for (Wire* wire : again) {
    wire->stalled = false;
    Tell(*wire);
    wire->readable = true;
    Ready(*wire);
  }
}

void Relay::Tell(Wire& wire) {
  if (!mailbox_.SendNotices(wire)) Stall(wire);
}

void Relay::WaitFor(Wire& waiting, Wire& wire) {
  const auto found = std::find(wire.waiters.begin(), wire.waiters.end(), &waiting);
  if (found == wire.waiters.end()) wire.waiters.push_back(&waiting);
}

void Relay::WakeWaiters(Wire& wire) {
  for (Wire* waiter : wire.waiters) {
    if (waiter->blocked_on == &wire) waiter->blocked_on = nullptr;
    waiter->readable = true;
    Ready(*waiter);
  }
  wire.waiters.clear();
}

void Relay::Block(Wire& from, Wire& to) {
  from.blocked_on = &to;
  WaitFor(from, to);
}

void Relay::Unblock(Wire& wire) {
  std::erase(wire.blocked_on->waiters, &wire);
  wire.blocked_on = nullptr;
  wire.readable = true;
  Ready(wire);
}

// ---------------------------------------------------------------- reading

void Relay::Read(Wire& wire) {
  if (!wire.started || !wire.readable || wire.state != table::kWireOpen || !Prove(wire)) return;
  if (wire.held_bytes != 0) return CheckHeld(wire);
  if (wire.blocked_on != nullptr) return CheckOverflow(wire);
  wire.readable = false;
  if (wire.wanted > kLargePiece && !wire.fin && !wire.failed && WaitingBytes(wire.fd.get()) < wire.wanted) return;
  std::span<uint8_t> bytes;
  const IoResult result = io_.Peek(wire, bytes);
  counters_.Add(Counter::wire_reads, 1);
  if (result.error == EAGAIN) return;
  if (result.error != 0) {
    wire.failed = true;
    wire.error = result.error;
    return;
  }
  if (bytes.empty()) return PeerEnded(wire);
  wire.wanted = 0;
  Walk(wire, bytes);
  Discard(wire);
  const bool waits = wire.closed() || wire.discards || wire.held_bytes != 0 || wire.stalled || wire.blocked_on != nullptr;
  if (waits) return;
  if (bytes.size() == kScratch) {
    wire.readable = true;
    return Ready(wire);
  }
  wire.behind_since = 0;
  if (wire.fin) PeerEnded(wire);  // what may be left never becomes whole
}

void Relay::Walk(Wire& wire, std::span<uint8_t> bytes) {
  while (!bytes.empty() && !wire.closed() && wire.blocked_on == nullptr) {
    const size_t dealt = WalkPiece(wire, bytes, NextPiece(bytes, mailbox_.max_message()));
    if (dealt == 0) return;
    bytes = bytes.subspan(dealt);
  }
}

// Gives how many bytes are dealt with; after 0 the bytes may not be looked at any more.
size_t Relay::WalkPiece(Wire& wire, std::span<uint8_t> bytes, const Piece& piece) {
  switch (piece.kind) {
    case PieceKind::kFrame:
      return Pass(wire, bytes);
    case PieceKind::kMessage:
      return Hold(wire, bytes.first(piece.size));
    case PieceKind::kBlank:
      Take(wire, piece.size);
      return piece.size;
    case PieceKind::kPartial:
      NotePartial(wire, piece.size);
      return 0;
    case PieceKind::kFault:
      break;
  }
  Discard(wire);
  RaiseFault(wire, piece.fault);
  return 0;
}

void Relay::Take(Wire& wire, size_t size) {
  wire.ledger.now.taken += size;
  wire.ledger.Commit();
  io_.At(Step::kSourceNoted);
  Add(wire.row.rx_bytes, size);
}

void Relay::Discard(Wire& wire) {
  if (wire.discards || wire.closed()) return;
  if (!io_.Discard(wire)) Finish(wire, table::kEndTorn);
}

void Relay::NotePartial(Wire& wire, size_t wanted) {
  const bool same = wire.partial_since != 0 && wire.partial_at == wire.ledger.now.taken;
  if (!same) wire.partial_since = Millis(now_us_);
  wire.partial_at = wire.ledger.now.taken;
  wire.wanted = wanted;
}

size_t Relay::Hold(Wire& wire, std::span<const uint8_t> message) {
  const uint32_t seq = wire.ledger.now.messages_taken + 1;
  if (wire.continue_seq == seq) {
    TakeMessage(wire, message.size());
    return message.size();
  }
  if (wire.answered_seq != seq && !mailbox_.SendMessage(wire, message)) {
    Stall(wire);
    return 0;
  }
  wire.held_bytes = static_cast<uint32_t>(message.size());
  Store(wire.row.last_rx_ms, Millis(now_us_));
  return 0;
}

void Relay::TakeMessage(Wire& wire, size_t size) {
  ++wire.ledger.now.messages_taken;
  Take(wire, size);
  Store(wire.row.messages_taken, wire.ledger.now.messages_taken);
  Add(wire.row.rx_messages, 1);
  counters_.Add(Counter::wire_messages_in, 1);
}

void Relay::Continue(Wire& wire, uint32_t seq) {
  if (!wire.attached()) wire.continue_seq = seq;
  if (!wire.attached() || wire.closed() || wire.discards || seq != wire.ledger.now.messages_taken + 1) return;
  wire.continue_seq = seq;
  if (wire.held_bytes == 0) return Ready(wire);  // found again, it will be taken
  TakeMessage(wire, wire.held_bytes);
  wire.held_bytes = 0;
  Discard(wire);
  wire.readable = true;
  Ready(wire);
}

void Relay::RaiseFault(Wire& wire, table::WireFault fault) {
  std::span<uint8_t> bytes;
  io_.Peek(wire, bytes);
  if (!mailbox_.SendFault(wire, fault, bytes)) return Stall(wire);
  counters_.Add(Counter::wire_faults, 1);
  LeaveSink(wire);
  wire.state = table::kWireFaulted;
  wire.discards = true;
  Store(wire.row.fault, fault);
  StoreRelease(wire.row.wire_state, wire.state);
  wire.readable = true;
  Ready(wire);
}

// Left unread, what comes would turn our FIN into a reset.
void Relay::Throw(Wire& wire) {
  if (!wire.readable) return;
  const IoResult result = io_.Drain(wire);
  wire.readable = result.bytes != 0;
  if (wire.readable) return Ready(wire);
  if (result.error != 0 && result.error != EAGAIN) wire.failed = true;
  if (result.error != 0) return;
  wire.fin = true;
  if (Load(wire.row.shut) == table::kShutSent) Finish(wire, table::kEndBoth);
}

void Relay::PeerEnded(Wire& wire) {
  wire.fin = true;
  wire.state = table::kWireEnded;
  StoreRelease(wire.row.wire_state, wire.state);
  wire.notices |= kTellEnd;
  Tell(wire);
}

void Relay::Failed(Wire& wire) {
  const int error = wire.error != 0 ? wire.error : SocketError(wire.fd.get());
  const bool orderly = error == 0 && Load(wire.row.shut) == table::kShutSent;
  Finish(wire, orderly ? table::kEndBoth : table::kEndError, error);
}

}  // namespace penstock::wire

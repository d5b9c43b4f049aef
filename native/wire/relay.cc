#include "wire/relay.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "memory/cell.h"
#include "wire/interleaved_stream.h"
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
  if (!wire.started || wire.held_bytes != 0 || !wire.readable || wire.state != table::kWireOpen || !Prove(wire)) return;
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
    Ready(wire);
  } else if (wire.fin) {
    PeerEnded(wire);  // what may be left never becomes whole
  }
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

// ---------------------------------------------------------------- frames

size_t Relay::Pass(Wire& wire, std::span<uint8_t> bytes) {
  const FrameRun run = Gather(wire, bytes);
  if (run.target != nullptr) return SendRun(wire, *run.target, run, bytes);
  AccountDropped(wire, run);
  Take(wire, run.bytes);
  return run.bytes;
}

// A frame that was begun is finished where it was begun, whoever its channel belongs to by now.
Relay::FrameRun Relay::Gather(const Wire& wire, std::span<const uint8_t> bytes) {
  FrameRun run{};
  Wire* const begun = wire.sink != nullptr && wire.sink->IsMidFrame() && !wire.sink->closed() ? wire.sink : nullptr;
  while (run.frames < kMaxRun && run.bytes + kFrameHeader <= bytes.size() && bytes[run.bytes] == kFrameMark) {
    const uint8_t* frame = &bytes[run.bytes];
    const size_t size = FrameSize(frame);
    if (run.bytes + size > bytes.size()) break;
    const Route* route = wire.RouteOf(frame[1]);
    Wire* target = route != nullptr && route->target->open() ? route->target : nullptr;
    if (run.frames == 0) run.target = target = begun != nullptr ? begun : target;
    if (target != run.target) break;
    run.renumbered |= route != nullptr && route->channel != frame[1];
    frames_[run.frames++] = {run.bytes, static_cast<uint32_t>(size), route};
    run.bytes += static_cast<uint32_t>(size);
  }
  return run;
}

size_t Relay::SendRun(Wire& from, Wire& to, FrameRun run, std::span<uint8_t> bytes) {
  if (!MayWrite(from, to)) {
    WaitOrRetry(from, to);
    return 0;
  }
  const uint32_t offset = to.ledger.now.frame_offset;
  if (offset != 0 && !to.out.empty()) Limit(run, 1);  // messages go between frames, and before any further one
  if (run.renumbered) Renumber(run, bytes);
  Intend(from, to);
  const IoResult result = io_.Send(to, bytes.subspan(offset, run.bytes - offset));
  counters_.Add(Counter::wire_sends, 1);
  if (result.error != 0) {
    SendFailed(to, result.error);
    WaitOrRetry(from, to);
    return 0;
  }
  io_.At(Step::kSent);
  const size_t taken = NoteSent(from, to, run, bytes, offset + result.bytes);
  if (offset + result.bytes < run.bytes) {
    counters_.Add(Counter::wire_blocked, 1);
    to.writable = false;
    Block(from, to);
  } else {
    if (!to.out.empty() || to.shut_asked) Ready(to);  // they had to wait for the end of a frame
    if (!to.waiters.empty()) WakeWaiters(to);
  }
  return taken;
}

// A sink that just ended takes nothing more: the frames are looked at anew.
void Relay::WaitOrRetry(Wire& from, Wire& to) {
  if (!to.closed()) return Block(from, to);
  from.readable = true;
  Ready(from);
}

// Only as many frames as there are bytes asked for.
void Relay::Limit(FrameRun& run, size_t bytes) {
  uint32_t frames = 0;
  size_t size = 0;
  while (frames < run.frames && size < bytes) size += frames_[frames++].size;
  run.frames = frames;
  run.bytes = static_cast<uint32_t>(size);
}

void Relay::Renumber(const FrameRun& run, std::span<uint8_t> bytes) {
  for (uint32_t i = 0; i < run.frames; ++i) {
    if (frames_[i].route != nullptr) bytes[frames_[i].at + 1] = frames_[i].route->channel;
  }
}

// Before the first byte is sent, a successor must be able to tell whose it was. Afterwards nothing
// of this changes while frames go on from the one wire to the other.
void Relay::Intend(Wire& from, Wire& to) {
  WireLedger& sink = to.ledger.now;
  WireLedger& source = from.ledger.now;
  if (source.target != to.slot || source.target_generation != to.generation) {
    source.target = to.slot;
    source.target_generation = to.generation;
    from.ledger.Commit();
  }
  if (from.sink == &to && sink.writing == table::kWritingFrames) return;
  if (Wire* former = wires_.Find(sink.source, sink.source_generation); former != nullptr && former->sink == &to) {
    former->sink = nullptr;
  }
  from.sink = &to;
  sink.source = from.slot;
  sink.source_generation = from.generation;
  sink.source_taken = source.taken;
  sink.writing = table::kWritingFrames;
  to.ledger.Commit();
  io_.At(Step::kIntended);
}

// `sent`: from the beginning of the first frame on.
size_t Relay::NoteSent(Wire& from, Wire& to, const FrameRun& run, std::span<uint8_t> bytes, size_t sent) {
  WireLedger& sink = to.ledger.now;
  uint32_t frames = run.frames;
  size_t whole = run.bytes;
  while (whole > sent) whole -= frames_[--frames].size;
  Sent(to, sent - sink.frame_offset);
  sink.frame_offset = static_cast<uint32_t>(sent - whole);
  sink.source_taken = from.ledger.now.taken + whole;
  to.ledger.Commit();
  io_.At(Step::kSinkNoted);
  if (whole != 0) Take(from, whole);
  AccountPassed(from, to, frames, bytes);
  return whole;
}

void Relay::AccountPassed(Wire& from, Wire& to, uint32_t frames, std::span<uint8_t> bytes) {
  for (uint32_t i = 0; i < frames; ++i) {
    const Frame& frame = frames_[i];
    if (frame.route == nullptr) continue;
    frame.route->stream->Passed(frame.route->leg, bytes.subspan(frame.at + kFrameHeader, frame.size - kFrameHeader),
                                now_us_);
    const bool last = i + 1 == frames || frames_[i + 1].route != frame.route;
    if (last) frame.route->stream->PublishQuality(frame.route->leg);
  }
  Add(from.row.rx_frames, frames);
  Add(to.row.tx_frames, frames);
  Store(from.row.last_rx_ms, Millis(now_us_));
  counters_.Add(Counter::wire_frames, frames);
}

void Relay::AccountDropped(Wire& from, const FrameRun& run) {
  for (uint32_t i = 0; i < run.frames; ++i) {
    const Route* route = frames_[i].route;
    if (route == nullptr) continue;
    route->stream->Dropped(route->leg, now_us_);
    if (route->target != nullptr) Add(route->target->row.dropped_frames, 1);
  }
  const auto unrouted = static_cast<uint32_t>(
      std::count_if(frames_.begin(), frames_.begin() + run.frames, [](const Frame& f) { return f.route == nullptr; }));
  Add(from.row.rx_frames, run.frames);
  Add(from.row.unrouted_frames, unrouted);
  Store(from.row.last_rx_ms, Millis(now_us_));
  counters_.Add(Counter::wire_frames_unrouted, unrouted);
  counters_.Add(Counter::wire_frames_dropped, run.frames - unrouted);
}

// ---------------------------------------------------------------- writing

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
  const IoResult result =
      io_.Send(wire, {wire.row.tail + ledger.tail_offset, ledger.tail_bytes - ledger.tail_offset});
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

// ---------------------------------------------------------------- peers that do not read

// More waits for a peer than may: whole frames go, or the peer.
void Relay::CheckOverflow(Wire& wire) {
  wire.readable = false;
  Wire& to = *wire.blocked_on;
  if (!to.settled) return;
  const size_t waiting = WaitingBytes(wire.fd.get());
  const size_t limit = std::min(region_.interleaved_backlog(), wire.backlog_max);
  if (waiting <= limit) return;
  if (region_.interleaved_overflow() == table::kOverflowDropFrames) return DropFrames(wire, to, waiting - limit / 2);
  counters_.Add(Counter::wire_overflow_closes, 1);
  Finish(to, table::kEndFrames);
}

void Relay::DropFrames(Wire& from, Wire& to, size_t excess) {
  if (to.IsMidFrame() && from.sink == &to && !KeepTail(from, to)) return;
  while (excess > 0 && !from.closed()) {
    std::span<uint8_t> bytes;
    io_.Peek(from, bytes);
    FrameRun run = Gather(from, bytes);
    if (run.frames == 0 || (run.target != nullptr && run.target != &to)) break;
    Limit(run, excess);
    AccountDropped(from, run);
    Take(from, run.bytes);
    Discard(from);
    excess -= std::min<size_t>(excess, run.bytes);
  }
  if (from.blocked_on != nullptr) Unblock(from);
}

// The rest of a frame that was begun moves to the sink's row, so that what is behind it can go.
// False where it is too large for that.
bool Relay::KeepTail(Wire& from, Wire& to) {
  std::span<uint8_t> bytes;
  io_.Peek(from, bytes);
  FrameRun run = Gather(from, bytes);
  if (run.frames == 0) return false;
  Limit(run, 1);
  WireLedger& sink = to.ledger.now;
  const uint32_t rest = run.bytes - sink.frame_offset;
  if (rest > table::kMaxWireTail) return false;
  if (run.renumbered) Renumber(run, bytes);
  std::memcpy(to.row.tail, &bytes[sink.frame_offset], rest);
  sink.writing = table::kWritingTail;
  sink.tail_bytes = rest;
  sink.tail_offset = 0;
  sink.frame_offset = 0;
  sink.source_taken = from.ledger.now.taken + run.bytes;
  to.ledger.Commit();
  io_.At(Step::kSinkNoted);
  Take(from, run.bytes);
  AccountPassed(from, to, 1, bytes);
  Discard(from);
  counters_.Add(Counter::wire_tails, 1);
  Ready(to);
  return true;
}

// Nothing more is passed on of what comes by this wire: a frame that it has begun must not stay half.
void Relay::LeaveSink(Wire& wire) {
  Wire* sink = wire.sink;
  if (sink == nullptr || !sink->IsMidFrame() || sink->closed()) return;
  if (!KeepTail(wire, *sink)) Finish(*sink, table::kEndTorn);
}

}  // namespace penstock::wire

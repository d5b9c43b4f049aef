// Frames, from the wire that they come by to the one that they go to; and peers that take too few of them.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "bridge/channel.h"
#include "memory/cell.h"
#include "wire/interleaved_stream.h"
#include "wire/kernel_counts.h"
#include "wire/relay.h"

namespace penstock::wire {

using counters::Counter;
using memory::Add;
using memory::Store;
using table::WireLedger;

namespace {

// Frames also gather while an engine, a worker or a network is away; a peer that reads has caught up by then.
constexpr table::Millis kCatchUpMs = 2'000;

table::Millis Millis(int64_t now_us) { return static_cast<table::Millis>(now_us) / 1000; }

}  // namespace

size_t Relay::Pass(Wire& wire, std::span<uint8_t> bytes) {
  const FrameRun run = Gather(wire, bytes);
  if (run.bridged) return PassToSockets(wire, run, bytes);
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
    Wire* target = route != nullptr && route->target != nullptr && route->target->open() ? route->target : nullptr;
    bool bridged = route != nullptr && route->bridged != nullptr;
    if (run.frames == 0) {
      run.target = target = begun != nullptr ? begun : target;
      run.bridged = bridged = bridged && begun == nullptr;
    }
    if (target != run.target || bridged != run.bridged) break;
    run.renumbered |= route != nullptr && route->channel != frame[1];
    frames_[run.frames++] = {run.bytes, static_cast<uint32_t>(size), route};
    run.bytes += static_cast<uint32_t>(size);
  }
  return run;
}

// Sent and then noted: what an engine's death comes between is sent twice, which receivers of RTP take for nothing.
size_t Relay::PassToSockets(Wire& wire, const FrameRun& run, std::span<uint8_t> bytes) {
  for (uint32_t i = 0; i < run.frames; ++i) {
    const Frame& frame = frames_[i];
    to_sockets_.Add(frame.route->bridged->leg(), bytes.subspan(frame.at + kFrameHeader, frame.size - kFrameHeader),
                    now_us_);
    if (to_sockets_.full()) to_sockets_.Send(now_us_);
  }
  to_sockets_.Send(now_us_);
  io_.At(Step::kSent);
  Take(wire, run.bytes);
  Add(wire.row.rx_frames, run.frames);
  Store(wire.row.last_rx_ms, Millis(now_us_));
  return run.bytes;
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
    if (!to.out.empty() || !to.queue.empty() || to.shut_asked) Ready(to);  // they had to wait for the end of a frame
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
    if (frame.route == nullptr || frame.route->stream == nullptr) continue;
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
    if (route == nullptr || route->stream == nullptr) continue;
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

// ---------------------------------------------------------------- peers that do not read

// `since`: when more began to wait than may; 0 = now. Once it is over, it is so until nothing waits.
bool Relay::PatienceIsOver(table::Millis& since) const {
  if (since == 0) since = Millis(now_us_);
  return Millis(now_us_) - since >= kCatchUpMs;
}

// More waits than may, and not just now.
bool Relay::Overflows(Wire& wire, size_t& waiting, size_t limit) {
  waiting = WaitingBytes(wire.fd.get());
  return waiting > limit && PatienceIsOver(wire.behind_since);
}

// Whole frames go, or the peer that does not read them.
void Relay::CheckOverflow(Wire& wire) {
  wire.readable = false;
  Wire& to = *wire.blocked_on;
  if (!to.settled) return;
  const size_t limit = std::min(region_.interleaved_backlog(), wire.backlog_max);
  size_t waiting = 0;
  if (!Overflows(wire, waiting, limit)) return;
  if (region_.interleaved_overflow() == table::kOverflowDropFrames) return DropFrames(wire, to, waiting - limit / 2);
  counters_.Add(Counter::wire_overflow_closes, 1);
  Finish(to, table::kEndFrames);
}

// A message for a peer that does not read holds the media behind it. It is in our hands and its worker's, and need
// not lie here any longer.
void Relay::CheckHeld(Wire& wire) {
  wire.readable = false;
  size_t waiting = 0;
  const size_t limit = std::min(region_.interleaved_backlog(), wire.backlog_max);
  const bool answered = wire.answered_seq == wire.ledger.now.messages_taken + 1;
  if (answered && Overflows(wire, waiting, limit)) Continue(wire, wire.answered_seq);
}

void Relay::DropFrames(Wire& from, Wire& to, size_t excess) {
  if (to.IsMidFrame() && from.sink == &to && !KeepTail(from, to)) return;
  while (excess > 0 && !from.closed()) {
    std::span<uint8_t> bytes;
    io_.Peek(from, bytes);
    FrameRun run = Gather(from, bytes);
    if (run.frames == 0 || (run.target != nullptr && run.target != &to)) break;
    Limit(run, excess);
    if (run.bridged) {
      PassToSockets(from, run, bytes);
    } else {
      AccountDropped(from, run);
      Take(from, run.bytes);
    }
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

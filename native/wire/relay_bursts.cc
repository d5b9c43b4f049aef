// Packets of sockets, which wait as frames in the wire's own queue and are written many at once. They lie in this
// process's memory alone; the row has their lengths before they are sent, so that a successor knows whether it
// stands between two frames. What an engine takes with it when it dies are whole frames, or the connection ends.
#include <algorithm>
#include <cstring>

#include "bridge/channel.h"
#include "memory/cell.h"
#include "wire/relay.h"

namespace penstock::wire {

using counters::Counter;
using memory::Add;
using memory::Load;
using memory::Store;
using table::WireLedger;

void Relay::Put(Wire& wire, uint8_t channel, std::span<const uint8_t> packet) {
  if (!wire.open() || packet.size() > bridge::kLargestPayload) return;
  if (wire.queue.empty()) wire.queue_behind_since = 0;
  wire.queue.Push(channel, packet);
  if (wire.queue.size() > region_.interleaved_backlog()) RelieveQueue(wire);
  Ready(wire);
}

// The same limit and the same choice as for frames that wait in another wire. But these lie in this process's memory:
// while the peer may still catch up, or may not be written to at all, the oldest go whatever was chosen.
void Relay::RelieveQueue(Wire& wire) {
  Flush(wire);
  const size_t limit = region_.interleaved_backlog();
  if (wire.closed() || wire.queue.size() <= limit) return;
  const bool closes = region_.interleaved_overflow() == table::kOverflowClose;
  if (!closes || !MayBegin(wire) || !PatienceIsOver(wire.queue_behind_since)) return DropQueued(wire, limit / 2);
  counters_.Add(Counter::wire_overflow_closes, 1);
  Finish(wire, table::kEndFrames);
}

void Relay::DropQueued(Wire& wire, size_t left) {
  uint32_t dropped = 0;
  for (; wire.queue.size() > left; ++dropped) {
    const uint8_t* frame = wire.queue.bytes().data();
    if (flow::Leg* leg = BridgedLeg(wire, frame)) leg->AccountUnsent();
    wire.queue.Pop(FrameSize(frame));
  }
  Add(wire.row.dropped_frames, dropped);
  counters_.Add(Counter::wire_frames_dropped, dropped);
}

// Null where the channel has been closed.
flow::Leg* Relay::BridgedLeg(const Wire& wire, const uint8_t* frame) {
  const Route* route = wire.RouteOf(frame[1]);
  return route == nullptr || route->bridged == nullptr ? nullptr : &route->bridged->leg();
}

// A client takes media for an answer that it waits for, or throws it away, until its first PLAY is answered.
bool Relay::MayBegin(const Wire& wire) const { return wire.held_bytes == 0 || Load(wire.row.tx_frames) != 0; }

// False where no more can be written now.
bool Relay::SendBurst(Wire& wire) {
  const std::span<const uint8_t> burst = BeginBurst(wire);
  const IoResult result = io_.Send(wire, burst);
  counters_.Add(Counter::wire_sends, 1);
  io_.At(Step::kSent);
  const bool whole = result.bytes == burst.size();
  if (result.bytes != 0) Sent(wire, result.bytes);
  EndBurst(wire, result.bytes);
  if (result.error != 0) {
    SendFailed(wire, result.error);
  } else if (!whole) {
    counters_.Add(Counter::wire_blocked, 1);
    wire.writable = false;
  }
  return whole;
}

std::span<const uint8_t> Relay::BeginBurst(Wire& wire) {
  const std::span<const uint8_t> waiting = wire.queue.bytes();
  WireLedger& ledger = wire.ledger.now;
  size_t size = 0;
  uint32_t frames = 0;
  while (frames < table::kMaxBurst && size < waiting.size()) {
    const size_t next = FrameSize(&waiting[size]);
    if (frames != 0 && size + next > kScratch) break;
    Store(wire.row.burst[frames++], static_cast<uint16_t>(next - kFrameHeader));
    size += next;
  }
  ledger.writing = table::kWritingBurst;
  ledger.burst_frames = frames;
  wire.ledger.Commit();
  io_.At(Step::kIntended);
  return waiting.first(size);
}

// Of a frame that was sent in part the rest moves to where it can be finished from, whatever becomes of the queue.
void Relay::EndBurst(Wire& wire, size_t sent) {
  const std::span<const uint8_t> waiting = wire.queue.bytes();
  uint32_t frames = 0;
  size_t whole = 0;
  for (; whole < sent; ++frames) {
    const uint8_t* frame = &waiting[whole];
    whole += FrameSize(frame);
    if (flow::Leg* leg = BridgedLeg(wire, frame)) leg->AccountSent(FrameSize(frame) - kFrameHeader);
  }
  wire.ledger.now.writing = table::kWritingFrames;
  wire.ledger.now.burst_frames = 0;
  if (whole != sent) KeepRest(wire, waiting.subspan(sent, whole - sent));
  wire.ledger.Commit();
  io_.At(Step::kSinkNoted);
  wire.queue.Pop(whole);
  Add(wire.row.tx_frames, frames);
  counters_.Add(Counter::bridged_frames, frames);
}

void Relay::KeepRest(Wire& wire, std::span<const uint8_t> rest) {
  WireLedger& ledger = wire.ledger.now;
  ledger.tail_bytes = static_cast<uint32_t>(rest.size());
  ledger.tail_offset = 0;
  if (rest.size() <= table::kMaxWireTail) {
    std::memcpy(wire.row.tail, rest.data(), rest.size());
    ledger.writing = table::kWritingTail;
  } else {
    wire.rest.assign(rest.begin(), rest.end());
    ledger.writing = table::kWritingRest;
  }
}

// Between two frames all is well: what was not sent is lost like any packet.
bool Relay::SettleBurst(Wire& wire) {
  uint64_t border = 0;
  const uint32_t frames = std::min(wire.ledger.now.burst_frames, table::kMaxBurst);
  for (uint32_t i = 0; i < frames && border < wire.unnoted; ++i) border += kFrameHeader + Load(wire.row.burst[i]);
  if (border != wire.unnoted) return Torn(wire);
  Recovered(wire);
  wire.ledger.now.writing = table::kWritingFrames;
  wire.ledger.now.burst_frames = 0;
  wire.ledger.Commit();
  return true;
}

}  // namespace penstock::wire

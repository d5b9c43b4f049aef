// One TCP connection that an engine thread relays, and all that is known of it; private to the thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "bridge/frame_queue.h"
#include "memory/unique_fd.h"
#include "table/region_layout.h"
#include "wire/ledger.h"

namespace penstock::bridge {
class Channel;
}

namespace penstock::wire {

class InterleavedStream;
struct Wire;

// A message of the worker that waits to be written.
struct OutMessage {
  uint32_t seq;
  uint32_t continue_wire;  // kNoWire = nothing
  uint32_t continue_generation;
  uint32_t continue_seq;
  std::vector<uint8_t> bytes;
};

// Where the frames of one channel go: to another wire, or out of a socket.
struct Route {
  Wire* target = nullptr;
  InterleavedStream* stream = nullptr;
  bridge::Channel* bridged = nullptr;  // then there is neither of those
  uint8_t channel = 0;  // on the target
  uint8_t leg = 0;      // table::LegIndex that they come to
};

// Records that the worker has yet to be sent, in this order.
enum Notice : uint8_t { kTellAttached = 1, kTellFault = 2, kTellEnd = 4, kTellClosed = 8 };

struct Wire {
  Wire(uint32_t slot_, uint32_t generation_, uint32_t worker_, table::WireEntry& row_)
      : slot(slot_), generation(generation_), worker(worker_), row(row_), ledger(row_) {}

  const uint32_t slot;
  const uint32_t generation;
  const uint32_t worker;
  table::WireEntry& row;
  Ledger ledger;
  memory::UniqueFd fd;  // empty until the vault sends it
  table::Millis since = 0;  // when the wire was first heard of

  table::WireState state = table::kWireIdle;
  bool started = false;
  bool heard = false;      // this engine has the worker's word for it
  uint32_t token = 0;      // of that word
  // What a former engine sent and did not note was found out. Until then nothing is written to it.
  bool settled = false;
  uint64_t unnoted = 0;  // bytes of it
  // Which of its own bytes a former engine had passed on was found out. Until then nothing is read.
  bool proven = false;
  uint64_t discarded = 0;  // of ledger.taken, what the kernel has thrown away
  bool readable = false;
  bool writable = false;
  bool fin = false;       // the peer's
  bool failed = false;    // the kernel has an error, or both directions are shut
  int error = 0;
  bool discards = false;  // nothing that comes is of interest
  bool shut_asked = false;
  table::Millis shut_at = 0;

  // Incoming: the message that lies at the head until the worker has dealt with it.
  uint32_t held_bytes = 0;      // 0 = none
  uint32_t answered_seq = 0;    // its answer waits to be written
  uint32_t continue_seq = 0;    // dealt with already, before it was found again
  bool stalled = false;         // the worker's inbox had no room
  uint32_t backlog_max = 0;     // more than this may not fit the receive buffer
  size_t wanted = 0;            // bytes of the frame or message at the head that is not complete; 0 = none
  table::Millis partial_since = 0;
  uint64_t partial_at = 0;      // ledger.taken, then

  // Outgoing.
  std::deque<OutMessage> out;  // by number; it may lack some that the worker has yet to send again
  size_t out_bytes = 0;
  bridge::FrameQueue queue;   // packets of sockets
  table::Millis queue_behind_since = 0;  // more of them than may wait since then; 0 = they do not
  std::vector<uint8_t> rest;  // of a half-sent one that is too large for the row

  // Frames.
  std::array<uint16_t, 256> route_of{};  // by channel: index into `routes` plus one
  std::vector<Route> routes;
  Wire* sink = nullptr;                 // that took frames last, while this wire is its source
  Wire* blocked_on = nullptr;           // that takes no frame now
  table::Millis behind_since = 0;       // more frames than may wait for it since then; 0 = they do not
  std::vector<Wire*> waiters;           // wires that are blocked on this one, or settle after it

  uint8_t notices = 0;
  bool queued = false;  // in the list of those to be served
  Wire* next = nullptr;

  bool attached() const { return static_cast<bool>(fd); }
  bool closed() const { return state == table::kWireClosed; }
  // Takes frames and messages, perhaps not now.
  bool open() const { return !closed() && !shut_asked; }
  // The last message that is written or can be, with all before it.
  uint32_t accepted_seq() const {
    uint32_t seq = ledger.now.written_seq;
    for (const OutMessage& message : out) {
      if (message.seq != seq + 1) break;
      ++seq;
    }
    return seq;
  }
  // Has written a part of the frame at the head of `source`.
  bool IsMidFrame() const { return ledger.now.frame_offset != 0; }
  bool IsMidMessage() const { return ledger.now.message_offset != 0; }
  bool HasTail() const { return ledger.now.writing == table::kWritingTail || HasRest(); }
  // It lies in this process's memory alone: no successor can finish it.
  bool HasRest() const { return ledger.now.writing == table::kWritingRest; }
  // What lies at the head has begun and does not go on.
  bool IsLate(table::Millis now, table::Millis deadline) const {
    return state == table::kWireOpen && !discards && wanted != 0 && partial_at == ledger.now.taken && held_bytes == 0 &&
           blocked_on == nullptr && now - partial_since > deadline;
  }
  const Route* RouteOf(uint8_t channel) const {
    const uint16_t index = route_of[channel];
    return index == 0 ? nullptr : &routes[index - 1u];
  }
};

}  // namespace penstock::wire

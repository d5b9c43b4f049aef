// One stream: up to four legs, each paired with the one across (0 with 2, 1 with 3).
#pragma once

#include <array>
#include <cstdint>

#include "flow/leg.h"
#include "table/region_layout.h"

namespace penstock::flow {

enum class StreamPhase : uint8_t {
  kUnread,   // sockets are here, the row could not be read yet
  kRelaying,
  kClosing,  // sockets stay open and silent until nobody sends to them any more
};

// A peer that never stops sending cannot hold a pair longer than this many quarantines. A server may hold it
// far longer: whoever got the port next would take that server's old stream for his own.
inline constexpr table::Millis kQuarantineFactor = 10;
inline constexpr table::Millis kServerQuarantineFactor = 300;

struct Stream {
  uint32_t slot = 0;
  uint32_t generation = 0;
  table::StreamEntry* row = nullptr;
  StreamPhase phase = StreamPhase::kUnread;
  bool update_pending = false;      // an update met a row in the middle of a write
  table::Millis closing_since = 0;
  // Closing: when a packet of a peer last came, and of the server. Strangers cannot keep a pair from its rest.
  table::Millis last_late = 0;
  table::Millis last_server_late = 0;
  std::array<Leg, table::kLegsPerStream> legs;

  void HearLate(const Leg& leg, table::Millis now) {
    last_late = now;
    if (leg.index() >= table::kServerRtp) last_server_late = now;
  }
  // Closing: nobody sends to the sockets any more, or they were held long enough.
  bool IsAtRest(table::Millis quarantine, table::Millis now) const {
    if (now - last_late >= quarantine) return true;
    const bool server_sends = last_server_late != 0 && now - last_server_late < quarantine;
    return now - closing_since >= quarantine * (server_sends ? kServerQuarantineFactor : kQuarantineFactor);
  }

  Leg* Opposite(uint32_t leg) { return &legs[leg ^ 2]; }
};

}  // namespace penstock::flow

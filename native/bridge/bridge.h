// Streams with UDP on one side and a wire on the other: gives their legs without a socket a channel.
#pragma once

#include <memory>
#include <unordered_map>

#include "bridge/channel.h"
#include "flow/stream.h"
#include "table/region.h"
#include "wire/relay.h"
#include "wire/wire_table.h"

namespace penstock::bridge {

class Bridge {
 public:
  Bridge(wire::WireTable& wires, wire::Relay& relay) : wires_(wires), relay_(relay) {}

  // As the row says now. A wire that is not there, or closing, takes no packets.
  void Connect(flow::Stream& stream, const table::StreamEntry& control, table::Millis now);
  // No packet of the stream gets into a wire any more, and no frame out of one.
  void Disconnect(flow::Stream& stream);

 private:
  wire::WireTable& wires_;
  wire::Relay& relay_;
  std::unordered_map<const flow::Leg*, std::unique_ptr<Channel>> channels_;
};

// Whether the row has a channel in the place of that leg's socket.
inline bool IsChannel(const table::StreamEntry& control, uint32_t leg) {
  return control.transport == table::kTransportBridged && control.legs[leg].local.family == table::kFamilyNone;
}

}  // namespace penstock::bridge

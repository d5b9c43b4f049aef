#include "bridge/bridge.h"

namespace penstock::bridge {
namespace {

struct Place {
  uint32_t wire;
  uint32_t generation;
  uint8_t channel;
};

Place PlaceOf(const table::StreamEntry& control, uint32_t leg) {
  switch (leg) {
    case table::kClientRtp: return {control.client_wire, control.client_wire_generation, control.client_channel};
    case table::kClientRtcp: return {control.client_wire, control.client_wire_generation, control.client_rtcp_channel};
    case table::kServerRtp: return {control.server_wire, control.server_wire_generation, control.server_channel};
    default: return {control.server_wire, control.server_wire_generation, control.server_rtcp_channel};
  }
}

}  // namespace

void Bridge::Connect(flow::Stream& stream, const table::StreamEntry& control, table::Millis now) {
  Disconnect(stream);
  for (flow::Leg& leg : stream.legs) {
    if (!leg.is_channel()) continue;
    const Place place = PlaceOf(control, leg.index());
    wire::Wire* wire = wires_.Obtain(place.wire, place.generation, now);
    if (wire != nullptr) channels_[&leg] = std::make_unique<Channel>(leg, relay_, *wire, place.channel);
  }
}

void Bridge::Disconnect(flow::Stream& stream) {
  for (const flow::Leg& leg : stream.legs) channels_.erase(&leg);
}

}  // namespace penstock::bridge

#include "bridge/channel.h"

#include "wire/routes.h"

namespace penstock::bridge {

Channel::Channel(flow::Leg& leg, wire::Relay& relay, wire::Wire& wire, uint8_t number)
    : leg_(leg), relay_(relay), wire_(&wire), number_(number) {
  wire::AddRoute(wire, number, {.bridged = this, .channel = number, .leg = static_cast<uint8_t>(leg.index())});
  leg.SetWay(this);
}

void Channel::Cut() {
  if (wire_ == nullptr) return;
  wire::Wire& wire = *wire_;
  wire_ = nullptr;
  leg_.SetWay(nullptr);
  wire.queue.DropChannel(number_);
  const wire::Route* route = wire.RouteOf(number_);
  if (route != nullptr && route->bridged == this) wire::RemoveRoute(wire, number_);
}

}  // namespace penstock::bridge

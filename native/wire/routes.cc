#include "wire/routes.h"

#include "bridge/channel.h"

namespace penstock::wire {

void AddRoute(Wire& wire, uint8_t channel, const Route& route) {
  RemoveRoute(wire, channel);
  wire.routes.push_back(route);
  wire.route_of[channel] = static_cast<uint8_t>(wire.routes.size());
}

void RemoveRoute(Wire& wire, uint8_t channel) {
  const uint8_t index = wire.route_of[channel];
  if (index == 0) return;
  bridge::Channel* const bridged = wire.routes[index - 1u].bridged;
  wire.route_of[channel] = 0;
  const size_t last = wire.routes.size() - 1;
  wire.routes[index - 1u] = wire.routes[last];
  wire.routes.pop_back();
  for (uint8_t& other : wire.route_of) {
    if (other == last + 1 && other != index) other = index;
  }
  if (bridged != nullptr) bridged->Cut();
}

}  // namespace penstock::wire

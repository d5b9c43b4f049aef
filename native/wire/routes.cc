#include "wire/routes.h"

#include <utility>

#include "bridge/channel.h"

namespace penstock::wire {

void AddRoute(Wire& wire, uint8_t channel, const Route& route) {
  RemoveRoute(wire, channel);
  wire.routes.push_back(route);
  wire.route_of[channel] = static_cast<uint16_t>(wire.routes.size());
}

void RemoveRoute(Wire& wire, uint8_t channel) {
  const uint16_t index = wire.route_of[channel];
  if (index == 0) return;
  bridge::Channel* const bridged = wire.routes[index - 1u].bridged;
  wire.route_of[channel] = 0;
  const size_t last = wire.routes.size() - 1;
  wire.routes[index - 1u] = wire.routes[last];
  wire.routes.pop_back();
  for (uint16_t& other : wire.route_of) {
    if (other == last + 1 && other != index) other = index;
  }
  if (bridged != nullptr) bridged->Cut();
}

std::vector<Route> TakeRoutes(Wire& wire) {
  std::vector<Route> routes = std::exchange(wire.routes, {});
  wire.route_of.fill(0);
  for (const Route& route : routes) {
    if (route.bridged != nullptr) route.bridged->Cut();
  }
  return routes;
}

}  // namespace penstock::wire

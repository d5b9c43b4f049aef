// Where the channels of a wire lead.
#pragma once

#include <vector>

#include "wire/wire.h"

namespace penstock::wire {

// A channel has one route: the newest.
void AddRoute(Wire& wire, uint8_t channel, const Route& route);
void RemoveRoute(Wire& wire, uint8_t channel);
// All at once; gives where they led.
std::vector<Route> TakeRoutes(Wire& wire);

template <typename Which>
void RemoveRoutesWhere(Wire& wire, Which which) {
  for (size_t channel = 0; channel < wire.route_of.size(); ++channel) {
    const Route* route = wire.RouteOf(static_cast<uint8_t>(channel));
    if (route != nullptr && which(*route)) RemoveRoute(wire, static_cast<uint8_t>(channel));
  }
}

}  // namespace penstock::wire

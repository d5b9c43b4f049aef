// What a leg of a bridged stream has in the place of a socket: a channel of a wire.
#pragma once

#include "flow/frame_way.h"
#include "flow/leg.h"
#include "wire/relay.h"

namespace penstock::bridge {

class Channel final : public flow::FrameWay {
 public:
  // Puts the wire's frames of that number on the leg, and the leg's packets into frames of that number.
  Channel(flow::Leg& leg, wire::Relay& relay, wire::Wire& wire, uint8_t number);
  ~Channel() { Cut(); }

  flow::Leg& leg() const { return leg_; }

  bool IsOpen() const override { return wire_->attached() && wire_->settled && wire_->open(); }
  void Put(std::span<const uint8_t> packet) override { relay_.Put(*wire_, number_, packet); }

  // The leg is no longer that of the channel, or the wire is about to be gone.
  void Cut();

 private:
  flow::Leg& leg_;
  wire::Relay& relay_;
  wire::Wire* wire_;  // null once it is cut
  const uint8_t number_;
};

}  // namespace penstock::bridge

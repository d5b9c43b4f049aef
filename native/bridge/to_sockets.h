// Frames of wires on their way out of sockets: judged, measured, sent in runs and counted like any packets.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "counters/counters.h"
#include "flow/leg.h"
#include "net/udp_sender.h"

namespace penstock::bridge {

class ToSockets {
 public:
  ToSockets(bool gso, counters::CounterBlock& counters) : counters_(counters), sender_(gso, counters) {}

  bool full() const { return used_ == kMaxPackets; }
  // `leg`: that the packet came to. The bytes must stay until Send.
  void Add(flow::Leg& leg, std::span<uint8_t> packet, int64_t now_us);
  // Never blocks: what a socket does not take is dropped and counted.
  void Send(int64_t now_us);

 private:
  static constexpr uint32_t kMaxPackets = 2048;

  void Account(table::Millis now);

  counters::CounterBlock& counters_;
  net::UdpSender sender_;
  uint32_t used_ = 0;
  uint32_t outgoing_used_ = 0;
  std::array<flow::Packet, kMaxPackets> packets_;
  std::array<net::Outgoing, kMaxPackets> outgoing_;
};

}  // namespace penstock::bridge

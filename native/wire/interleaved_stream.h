// A stream whose packets come as frames of wires: its channels, and its counts and quality in the row.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "rtp/quality.h"
#include "table/region_layout.h"

namespace penstock::wire {

class InterleavedStream {
 public:
  InterleavedStream(uint32_t slot, uint32_t generation, table::StreamEntry& row)
      : slot_(slot), generation_(generation), row_(row) {}

  uint32_t slot() const { return slot_; }
  uint32_t generation() const { return generation_; }
  table::StreamEntry& row() const { return row_; }
  uint32_t client_wire() const { return client_wire_; }
  uint32_t server_wire() const { return server_wire_; }
  // The channel by which packets come to a leg, and leave by it.
  uint8_t channel(uint32_t leg) const { return channels_[leg]; }

  // What the row says. Counts begin anew unless this generation was counted in it before.
  void Configure(const table::StreamEntry& control);

  // A packet came to `leg` and was passed on.
  void Passed(uint32_t leg, std::span<uint8_t> packet, int64_t now_us);
  // A packet came to `leg` and was dropped.
  void Dropped(uint32_t leg, int64_t now_us);
  void PublishQuality(uint32_t leg);

 private:
  void BeginCounts();
  void Measure(uint32_t leg, std::span<uint8_t> packet, int64_t now_us);

  const uint32_t slot_;
  const uint32_t generation_;
  table::StreamEntry& row_;
  bool counting_ = false;
  uint32_t client_wire_ = table::kNoWire;
  uint32_t server_wire_ = table::kNoWire;
  uint32_t clock_rate_ = 0;
  std::array<uint8_t, table::kLegsPerStream> channels_{};
  std::array<rtp::Quality, table::kLegsPerStream> quality_;
  std::array<rtp::RoundTrip, table::kLegsPerStream> round_trips_;
};

}  // namespace penstock::wire

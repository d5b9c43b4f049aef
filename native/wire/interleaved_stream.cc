#include "wire/interleaved_stream.h"

#include "flow/leg_quality.h"
#include "memory/cell.h"
#include "rtp/round_trips.h"
#include "rtp/rtp_view.h"

namespace penstock::wire {
namespace {

using memory::Add;
using memory::Load;
using memory::Store;

constexpr uint32_t kAcross = 2;     // from a leg to that of the other side
constexpr uint32_t kRtcpLegs = 1;   // the bit that tells them

table::Millis Millis(int64_t now_us) { return static_cast<table::Millis>(now_us) / 1000; }

}  // namespace

void InterleavedStream::Configure(const table::StreamEntry& control) {
  client_wire_ = control.client_wire;
  server_wire_ = control.server_wire;
  clock_rate_ = control.clock_rate;
  channels_ = {control.client_channel, control.client_rtcp_channel, control.server_channel,
               control.server_rtcp_channel};
  if (!counting_) BeginCounts();
  counting_ = true;
}

void InterleavedStream::BeginCounts() {
  static constexpr table::LegData kNothing[table::kLegsPerStream] = {};
  if (Load(row_.attached_generation) != generation_) memory::CopyWords(row_.data, kNothing, sizeof(row_.data));
  for (uint32_t leg = 0; leg < table::kLegsPerStream; ++leg) {
    flow::RestoreFrom(row_.data[leg], quality_[leg]);
  }
  memory::StoreRelease(row_.attached_generation, generation_);
}

void InterleavedStream::Passed(uint32_t leg, std::span<uint8_t> packet, int64_t now_us) {
  table::LegData& in = row_.data[leg];
  table::LegData& out = row_.data[leg ^ kAcross];
  Add(in.rx_packets, 1);
  Add(in.rx_bytes, packet.size());
  Add(out.tx_packets, 1);
  Add(out.tx_bytes, packet.size());
  Store(in.last_rx_ms, Millis(now_us));
  Measure(leg, packet, now_us);
}

void InterleavedStream::Dropped(uint32_t leg, int64_t now_us) {
  Add(row_.data[leg].refused, 1);
  Store(row_.data[leg].last_rx_ms, Millis(now_us));
}

void InterleavedStream::Measure(uint32_t leg, std::span<uint8_t> packet, int64_t now_us) {
  if ((leg & kRtcpLegs) != 0) {
    const uint32_t trip = rtp::MeasureRoundTrips(packet, round_trips_[leg], round_trips_[leg ^ kAcross], now_us);
    if (trip != 0) Store(row_.data[leg].round_trip_us, trip);
  } else if (const auto rtp = rtp::RtpView::Parse(packet)) {
    quality_[leg].OnPacket(rtp->ssrc(), rtp->sequence(), rtp->timestamp(), clock_rate_ != 0,
                           rtp::Quality::Arrival(now_us, clock_rate_));
  }
}

void InterleavedStream::PublishQuality(uint32_t leg) {
  if ((leg & kRtcpLegs) != 0) return;
  flow::PublishTo(row_.data[leg], quality_[leg]);
}

}  // namespace penstock::wire

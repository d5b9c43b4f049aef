// One media socket of a stream and all that is known of it; private to an engine thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "flow/frame_way.h"
#include "flow/kernel_flow.h"
#include "flow/latch.h"
#include "flow/rate_limit.h"
#include "memory/unique_fd.h"
#include "net/udp_sender.h"
#include "rtp/probation.h"
#include "rtp/quality.h"
#include "table/region_layout.h"

namespace penstock::flow {

struct Stream;

// A packet as the stages of the engine see it.
struct Packet {
  std::span<uint8_t> bytes;
  const table::Endpoint* source;
  class Leg* leg;  // that it came to
  counters::Verdict verdict;
  rtp::Kind kind;
};

class Leg {
 public:
  bool open() const { return static_cast<bool>(fd_); }
  bool is_channel() const { return channel_; }
  FrameWay* way() const { return way_; }
  int fd() const { return fd_.get(); }
  Stream& stream() const { return *stream_; }
  uint32_t index() const { return index_; }
  Leg* opposite() const { return opposite_; }
  const table::Endpoint& remote() const { return latch_.remote(); }
  const table::Endpoint& local() const { return local_; }
  table::LegState state() const { return latch_.state(); }
  bool expects_media() const { return expects_media_; }
  bool opaque() const { return opaque_; }
  bool rtcp() const { return (index_ & 1) != 0; }
  net::SendTarget& target() { return target_; }
  const table::Rewrite& rewrite() const { return rewrite_; }
  RateLimit& rate() { return rate_; }
  table::LegData* data() const { return data_; }
  KernelFlow& kernel() { return kernel_; }

  // The socket, before anything is known of the row.
  void TakeSocket(Stream& stream, uint32_t index, memory::UniqueFd fd);
  void CloseSocket() { fd_.Reset(); }
  // In the place of a socket: its packets are frames of a connection, which SetWay names, or null while there is none.
  void TakeChannel(Stream& stream, uint32_t index);
  void SetWay(FrameWay* way) { way_ = way; }
  // What the row says; at the start and after each update.
  void Configure(const table::LegControl& control, uint32_t clock_rate);
  // Where results go, and whom packets go to. `restore`: go on from what the data half says.
  void Attach(table::LegData& data, Leg* opposite, bool restore);

  // Whether packets of that source may be the peer's, accepted or not. Where nothing is known, any may.
  bool KnowsPeer(const table::Endpoint& source) const;
  // Decides what becomes of a packet and sets its kind and verdict; gives what changed of the source.
  Decision::Change Judge(Packet& packet);
  // The same for what came as a frame: there is no doubt whose it is.
  void JudgeFrame(Packet& packet);
  // Counts quality and round trips of a packet that will be forwarded, before it is rewritten.
  void Measure(const Packet& packet, int64_t now_us);
  // Puts one packet into the leg's counters of the data half.
  void AccountReceived(const Packet& packet);
  void AccountSent(size_t bytes);
  // A packet that was to leave by this leg was dropped after all.
  void AccountUnsent();
  void Touch(table::Millis now);  // something acceptable came
  void PublishQuality();
  void PublishState(table::LegState state);
  void PublishTier(table::Tier tier, table::TierReason reason);

  // The kernel takes the media over: nobody here sees its sequence numbers from now on.
  void BeginKernelFlow();
  // Adds what the kernel relayed since the last call, and gives it.
  KernelCount AccountKernel(table::Millis now);

  // Packets lost in the socket since the last call, from the kernel's running total, which goes on counting
  // while no engine lives; absent = none ever.
  uint32_t Overflowed(std::optional<uint32_t> total);

 private:
  rtp::Kind KindOf(std::span<uint8_t> bytes) const;
  bool TakesPackets() const;
  counters::Verdict JudgeWayOut() const;
  bool Tolerates(const Packet& packet) const;
  bool PeerAtHome() const;
  void HearKernel(const Packet& packet);
  counters::Verdict JudgeContent(const Packet& packet, const Arrival& arrival);
  void MeasureRtp(const Packet& packet, int64_t now_us);
  void MeasureRtcp(const Packet& packet, int64_t now_us);
  void PublishSource(bool learned);
  void Restore();

  Stream* stream_ = nullptr;
  uint32_t index_ = 0;
  int family_ = 0;
  memory::UniqueFd fd_;
  bool channel_ = false;
  FrameWay* way_ = nullptr;
  Leg* opposite_ = nullptr;
  table::Endpoint local_{};
  table::LegData* data_ = nullptr;
  bool expects_media_ = false;
  bool opaque_ = false;
  bool measured_ = false;
  uint32_t clock_rate_ = 0;
  table::Rewrite rewrite_{};
  RateLimit rate_;
  Latch latch_;
  rtp::Probation probation_;
  rtp::Quality quality_;
  rtp::RoundTrip round_trip_;
  net::SendTarget target_;
  KernelFlow kernel_;
};

}  // namespace penstock::flow

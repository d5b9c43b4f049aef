#include "flow/leg.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "flow/endpoint.h"
#include "flow/leg_quality.h"
#include "flow/stream.h"
#include "memory/cell.h"
#include "rtp/round_trips.h"
#include "rtp/rtp_view.h"

namespace penstock::flow {
namespace {

using counters::Verdict;
using memory::Add;
using memory::Load;
using memory::Store;
using rtp::Kind;

constexpr size_t kLargestPunch = 299;  // on RTCP legs; rtspsrc's are of 200 bytes

int SocketFamily(int fd) {
  int family = AF_INET;
  socklen_t length = sizeof(family);
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
  return family;
}

LatchRules RulesOf(const table::LegControl& control, bool rtcp) {
  LatchRules rules;
  rules.declared = control.declared;
  rules.alternate = control.alternate;
  // A value from nowhere is the strictest one.
  rules.mode = control.latching <= table::kLatchAny ? static_cast<table::Latching>(control.latching) : table::kLatchOff;
  rules.rtcp = rtcp;
  rules.expects_media = (control.flags & table::kLegExpectsMedia) != 0;
  return rules;
}

}  // namespace

void Leg::TakeSocket(Stream& stream, uint32_t index, memory::UniqueFd fd) {
  stream_ = &stream;
  index_ = index;
  fd_ = std::move(fd);
  family_ = SocketFamily(fd_.get());
  target_.fd = fd_.get();
}

void Leg::TakeChannel(Stream& stream, uint32_t index) {
  stream_ = &stream;
  index_ = index;
  channel_ = true;
}

void Leg::Configure(const table::LegControl& control, uint32_t clock_rate) {
  clock_rate_ = clock_rate;
  local_ = control.local;
  rewrite_ = control.rewrite;
  rate_.Configure(control.max_rate);
  expects_media_ = (control.flags & table::kLegExpectsMedia) != 0;
  opaque_ = (control.flags & table::kLegOpaque) != 0;
  latch_.Update(RulesOf(control, rtcp()));
  if (data_ != nullptr && !channel_) PublishSource(false);
}

void Leg::Attach(table::LegData& data, Leg* opposite, bool restore) {
  data_ = &data;
  opposite_ = opposite;
  if (restore) Restore();
  if (!channel_) PublishSource(false);
}

void Leg::Restore() {
  const uint32_t state = Load(data_->state);
  if ((state == table::kLegLatched || state == table::kLegRelearning) && CanSendTo(data_->remote)) {
    latch_.Restore(data_->remote, Load(data_->latches) > 1);
  }
  RestoreFrom(*data_, quality_);
}

Decision::Change Leg::Judge(Packet& packet) {
  packet.kind = KindOf(packet.bytes);
  Arrival arrival{*packet.source, packet.kind, Tolerates(packet), 0, 0, PeerAtHome()};
  if (packet.kind == Kind::kRtp) {
    arrival.sequence = rtp::Load16(&packet.bytes[2]);
    arrival.ssrc = rtp::Load32(&packet.bytes[8]);
  } else if (packet.kind == Kind::kRtcp) {
    arrival.ssrc = rtp::Load32(&packet.bytes[4]);
  }
  HearKernel(packet);
  const Decision decision = latch_.Judge(arrival);
  if (decision.change == Decision::kLatched || decision.change == Decision::kRelearned) {
    probation_.Reset();
    PublishSource(true);
  } else if (decision.change != Decision::kNone) {
    PublishState(latch_.state());
  }
  packet.verdict = decision.accepted ? JudgeContent(packet, arrival) : decision.refusal;
  return decision.change;
}

Kind Leg::KindOf(std::span<uint8_t> bytes) const {
  if (!opaque_) return rtp::Classify(bytes, rtcp());
  return bytes.empty() ? Kind::kPunch : Kind::kOpaque;
}

bool Leg::KnowsPeer(const table::Endpoint& source) const {
  return data_ == nullptr || latch_.IsPeer(source) || SameAddress(source, latch_.remote());
}

// The latched source may be alive without a packet of it coming here: a candidate must know.
void Leg::HearKernel(const Packet& packet) {
  if (!kernel_.entered || SameEndpoint(*packet.source, latch_.remote())) return;
  const uint64_t packets = Load(kernel_.cell->packets);
  if (packets == kernel_.judged) return;
  kernel_.judged = packets;
  if (latch_.OldSourceHeard(ntohl(Load(kernel_.cell->ssrc)))) PublishState(latch_.state());
}

bool Leg::Tolerates(const Packet& packet) const {
  return rtcp() ? packet.bytes.size() <= kLargestPunch : !expects_media_;
}

// What tells of an RTP port where no RTP is due is the RTCP of the same peer.
bool Leg::PeerAtHome() const { return !rtcp() && !expects_media_ && stream_->legs[index_ | 1].latch_.AtHome(); }

Verdict Leg::JudgeContent(const Packet& packet, const Arrival& arrival) {
  if (packet.kind == Kind::kPunch || packet.kind == Kind::kJunk) return Verdict::punch;
  const bool proven = expects_media_ || packet.kind != Kind::kRtp || probation_.Pass(arrival.ssrc, arrival.sequence);
  if (!proven) return Verdict::punch;
  return JudgeWayOut();
}

Verdict Leg::JudgeWayOut() const {
  if (opposite_ == nullptr || (!opposite_->open() && !opposite_->channel_)) return Verdict::no_opposite;
  return opposite_->TakesPackets() ? Verdict::forwarded : Verdict::no_remote;
}

bool Leg::TakesPackets() const { return channel_ ? way_ != nullptr && way_->IsOpen() : target_.usable(); }

void Leg::JudgeFrame(Packet& packet) {
  packet.kind = KindOf(packet.bytes);
  const bool empty = packet.kind == Kind::kPunch;
  packet.verdict = empty ? Verdict::punch : packet.kind == Kind::kJunk ? Verdict::bad_header : JudgeWayOut();
}

void Leg::Measure(const Packet& packet, int64_t now_us) {
  if (packet.kind == Kind::kOpaque) return;
  if (packet.kind == Kind::kRtp) {
    MeasureRtp(packet, now_us);
  } else {
    MeasureRtcp(packet, now_us);
  }
}

void Leg::MeasureRtp(const Packet& packet, int64_t now_us) {
  if (kernel_.entered) return;  // a few of many would look like loss
  const uint8_t* header = packet.bytes.data();
  quality_.OnPacket(rtp::Load32(header + 8), rtp::Load16(header + 2), rtp::Load32(header + 4), clock_rate_ != 0,
                    rtp::Quality::Arrival(now_us, clock_rate_));
  measured_ = true;
}

void Leg::MeasureRtcp(const Packet& packet, int64_t now_us) {
  const uint32_t trip = rtp::MeasureRoundTrips(packet.bytes, round_trip_, opposite_->round_trip_, now_us);
  if (trip != 0) Store(data_->round_trip_us, trip);
}

void Leg::AccountReceived(const Packet& packet) {
  switch (packet.verdict) {
    case Verdict::forwarded:
      Add(data_->rx_packets, 1);
      Add(data_->rx_bytes, packet.bytes.size());
      break;
    case Verdict::punch: Add(data_->punches, 1); break;
    default: Add(data_->refused, 1); break;
  }
}

void Leg::AccountSent(size_t bytes) {
  Add(data_->tx_packets, 1);
  Add(data_->tx_bytes, bytes);
}

void Leg::AccountUnsent() { Add(opposite_->data_->refused, 1); }

void Leg::Touch(table::Millis now) { Store(data_->last_rx_ms, now); }

void Leg::PublishQuality() {
  if (!measured_) return;
  measured_ = false;
  PublishTo(*data_, quality_);
}

void Leg::PublishState(table::LegState state) { memory::StoreRelease(data_->state, static_cast<uint32_t>(state)); }

void Leg::PublishTier(table::Tier tier, table::TierReason reason) {
  if (data_ == nullptr) return;
  Store(data_->tier, tier);
  Store(data_->tier_reason, reason);
}

void Leg::BeginKernelFlow() {
  kernel_.entered = true;
  kernel_.settled = false;
  kernel_.judged = Load(kernel_.cell->packets);
  quality_ = rtp::Quality();
  measured_ = true;
  PublishQuality();
}

KernelCount Leg::AccountKernel(table::Millis now) {
  const uint64_t packets = Load(kernel_.cell->packets);
  const uint64_t bytes = Load(kernel_.cell->bytes);
  const uint64_t new_packets = packets - Load(data_->kernel_packets);
  const uint64_t new_bytes = bytes - Load(data_->kernel_bytes);
  if (new_packets == 0) return {0, 0};
  Store(data_->kernel_packets, packets);
  Store(data_->kernel_bytes, bytes);
  Add(data_->rx_packets, new_packets);
  Add(data_->rx_bytes, new_bytes);
  table::LegData& out = *opposite_->data_;
  Add(out.tx_packets, new_packets);
  Add(out.tx_bytes, new_bytes);
  Touch(now);
  return {new_packets, new_bytes};
}

// `waiting` while the remote is half written: a successor believes only what a learned state vouches for.
void Leg::PublishSource(bool learned) {
  target_.address = net::ToMediaAddress(latch_.remote(), family_);
  if (latch_.remote().port == 0) target_.address.length = 0;
  target_.gso_refused = false;
  PublishState(table::kLegWaiting);
  alignas(uint64_t) const table::Endpoint remote = latch_.remote();
  memory::CopyWords(&data_->remote, &remote, sizeof(remote));
  if (learned) Add(data_->latches, 1);
  PublishState(latch_.state());
}

uint32_t Leg::Overflowed(std::optional<uint32_t> total) {
  if (!total || data_ == nullptr) return 0;
  const uint32_t since = *total - static_cast<uint32_t>(Load(data_->overflowed));
  Add(data_->overflowed, since);
  return since;
}

}  // namespace penstock::flow

#include "bridge/to_sockets.h"

#include "flow/rewriting.h"

namespace penstock::bridge {

using counters::Counter;
using counters::Verdict;

void ToSockets::Add(flow::Leg& leg, std::span<uint8_t> bytes, int64_t now_us) {
  flow::Packet& packet = packets_[used_++];
  packet = {bytes, nullptr, &leg, Verdict::forwarded, {}};
  leg.JudgeFrame(packet);
  if (packet.verdict != Verdict::forwarded) return;
  if (leg.rate().limited() && !leg.rate().Take(bytes.size(), now_us)) {
    packet.verdict = Verdict::over_rate;
    return;
  }
  leg.Measure(packet, now_us);
  if (flow::Rewrite(packet)) counters_.Add(Counter::rewritten, 1);
  outgoing_[outgoing_used_++] = {&leg.opposite()->target(), packet.bytes};
}

void ToSockets::Send(int64_t now_us) {
  sender_.Send({outgoing_.data(), outgoing_used_});
  Account(static_cast<table::Millis>(now_us) / 1000);
  used_ = outgoing_used_ = 0;
}

void ToSockets::Account(table::Millis now) {
  uint32_t place = 0;
  uint32_t sent = 0;
  for (uint32_t i = 0; i < used_; ++i) {
    const flow::Packet& packet = packets_[i];
    flow::Leg& leg = *packet.leg;
    counters_.Add(packet.verdict, 1);
    if (packet.verdict == Verdict::forwarded && outgoing_[place++].sent) {
      leg.opposite()->AccountSent(packet.bytes.size());
      ++sent;
    }
    leg.AccountReceived(packet);
    leg.Touch(now);
    if (i + 1 == used_ || packets_[i + 1].leg != &leg) leg.PublishQuality();
  }
  counters_.Add(Counter::bridged_packets, sent);
}

}  // namespace penstock::bridge

#include "engine/offloader.h"

#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

#include "flow/endpoint.h"
#include "memory/cell.h"
#include "offload/maps.h"

namespace penstock::engine {
namespace {

using counters::Counter;
using flow::KernelFlow;
using flow::Leg;
using offload::Route;
using table::Endpoint;
using table::Millis;
using table::TierReason;

// A stream that paused this long has nothing on its way between the kernel and us that could be overtaken.
constexpr Millis kPauseMs = 2;
// One that never pauses is taken at a moment when nothing waits in its socket, and one whose socket is never
// empty all the same: it needs the kernel most.
constexpr Millis kPatienceMs = 1000;
constexpr Millis kLastPatienceMs = 5000;
constexpr Millis kTryMs = 1;
// Media that reaches the socket of a flow within a second, before the kernel is found unfit for it, and for how long.
constexpr uint32_t kMostFallen = 8;
constexpr Millis kUnfitMs = 60'000;
// How often routes are asked for again: path MTUs shrink without notice. Spread, so that not all are asked for at once.
constexpr Millis kRoutesMs = 10'000;
constexpr Millis kRoutesV6Ms = 1000;  // routers do not fragment IPv6: what is too large is lost until we know
constexpr uint32_t kDefaultTtl = 64;

uint32_t CellOf(const Leg& leg) { return leg.stream().slot * offload::kFlowsPerStream + (leg.index() >> 1); }

bool IsLoopback(const Endpoint& endpoint) {
  if (endpoint.family == table::kFamilyV4) return endpoint.address[0] == 127;
  static constexpr uint8_t kOne[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return std::equal(std::begin(kOne), std::end(kOne), endpoint.address);
}

// The same address may be on several links, which flows do not tell apart.
bool IsLinkLocal(const Endpoint& endpoint) {
  return endpoint.family == table::kFamilyV6 && endpoint.address[0] == 0xfe && (endpoint.address[1] & 0xc0) == 0x80;
}

uint32_t TtlOf(int fd, uint8_t family) {
  int ttl = 0;
  socklen_t length = sizeof(ttl);
  const bool v4 = family == table::kFamilyV4;
  const int result = v4 ? ::getsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, &length)
                        : ::getsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &ttl, &length);
  return result == 0 && ttl > 0 && ttl < 256 ? static_cast<uint32_t>(ttl) : kDefaultTtl;
}

Millis ReviewIn(const Leg& leg) {
  if (leg.local().family == table::kFamilyV6) return kRoutesV6Ms;
  return kRoutesMs + static_cast<Millis>(leg.stream().slot % 10) * 1000;
}

bool IsDrained(int fd) {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 && bytes == 0;
}

TierReason ReasonOf(const Route& route) {
  if (route.kind == Route::kLocal) return table::kReasonLoopback;
  if (route.kind != Route::kUnicast) return table::kReasonRoute;
  return route.ethernet ? table::kReasonNone : table::kReasonInterface;
}

}  // namespace

Offloader::Offloader(const Options& options, counters::CounterBlock& counters)
    : options_(options), counters_(counters) {
  if (options.table == nullptr) return;
  routes_.emplace();
  routes_version_ = routes_->Version();
  for (const offload::EnteredFlow& entered : options.table->List()) {
    if (entered.flow.stream % options.threads != options.thread) continue;
    inherited_[entered.flow.cell].push_back(entered.key);
  }
}

void Offloader::Adopt(Leg& leg, bool fresh) {
  if (options_.table == nullptr || leg.rtcp()) return;
  KernelFlow& kernel = leg.kernel();
  kernel.cell = &options_.table->cell(CellOf(leg));
  if (!fresh) return;
  // The cell counts for ever, whoever's the row is.
  memory::Store(leg.data()->kernel_packets, memory::Load(kernel.cell->packets));
  memory::Store(leg.data()->kernel_bytes, memory::Load(kernel.cell->bytes));
}

void Offloader::Consider(Leg& leg, Millis now) {
  if (!leg.open() || leg.data() == nullptr) return;
  KernelFlow& kernel = leg.kernel();
  relay_key key{};
  relay_flow flow{};
  const TierReason reason = Plan(leg, now, key, flow);
  if (reason != table::kReasonNone) {
    Withdraw(leg, now);
    return Publish(leg, reason);
  }
  const bool same = kernel.entered && offload::SameKey(kernel.key, key);
  const bool unchanged = same && offload::SameFlow(kernel.flow, flow);
  if (kernel.entered && !same) Withdraw(leg, now);
  kernel.key = key;
  kernel.flow = flow;
  kernel.routes_version = routes_version_;
  kernel.review_at = now + ReviewIn(leg);
  if (unchanged) return;
  // What a former engine entered is relayed by the kernel already.
  if (same || TakeInherited(leg, key)) return Enter(leg, now);
  Await(leg, now);
}

TierReason Offloader::Plan(Leg& leg, Millis now, relay_key& key, relay_flow& flow) {
  if (leg.opaque()) return table::kReasonNotRtp;
  if (leg.rtcp()) return table::kReasonReports;
  if (options_.table == nullptr) return options_.absent;
  if (!leg.expects_media()) return table::kReasonNoMedia;
  if (leg.state() != table::kLegLatched && leg.state() != table::kLegRelearning) return table::kReasonWaiting;
  if (leg.kernel().unfit_until > now) return table::kReasonUnfit;
  Leg* const out = leg.opposite();
  if (out != nullptr && out->is_channel()) return table::kReasonBridged;
  if (out == nullptr || !out->target().usable()) return table::kReasonNoRemote;
  if (out->rewrite().flags != 0) return table::kReasonRewriting;
  if (leg.rate().limited()) return table::kReasonLimited;
  for (const Endpoint* end : {&leg.local(), &out->local(), &out->remote()}) {
    if (end->family != leg.remote().family) return table::kReasonFamilies;
  }
  const TierReason path = PlanPath(leg, flow);
  if (path != table::kReasonNone) return path;
  key = offload::MakeKey(leg.remote(), leg.local());
  offload::SetDestination(flow, out->local(), out->remote());
  flow.cell = CellOf(leg);
  flow.ttl = TtlOf(out->fd(), out->remote().family);
  flow.stream = leg.stream().slot;
  flow.generation = leg.stream().generation;
  return table::kReasonNone;
}

// Packets come in where packets to their source go out (a strict reverse path, RFC 3704 §2.2), even where our
// address is on another interface. Where they do not, they fall to the sockets, which is noticed.
TierReason Offloader::PlanPath(const Leg& leg, relay_flow& flow) {
  const Leg& out = *leg.opposite();
  if (routes_->ipsec()) return table::kReasonIpsec;
  for (const Endpoint* end : {&leg.remote(), &leg.local(), &out.local(), &out.remote()}) {
    if (IsLoopback(*end)) return table::kReasonLoopback;
    if (IsLinkLocal(*end)) return table::kReasonInterface;
  }
  const Route in = routes_->Find(leg.local(), leg.remote());
  if (const TierReason reason = ReasonOf(in); reason != table::kReasonNone) return reason;
  const Route away = routes_->Find(out.local(), out.remote());
  if (const TierReason reason = ReasonOf(away); reason != table::kReasonNone) return reason;
  flow.arrives = in.interface;
  flow.interface = away.interface;
  flow.mtu = away.mtu;
  return CheckInterface(in.interface);
}

TierReason Offloader::CheckInterface(uint32_t interface) {
  if (attached_.contains(interface)) return table::kReasonNone;
  switch (options_.table->Interface(interface)) {
    case offload::InterfaceState::kAttached: attached_.insert(interface); return table::kReasonNone;
    case offload::InterfaceState::kAwaited: return table::kReasonAttaching;
    default: return table::kReasonInterface;
  }
}

void Offloader::Await(Leg& leg, Millis now) {
  KernelFlow& kernel = leg.kernel();
  if (!kernel.pending) {
    kernel.pending = true;
    kernel.pending_since = now;
    pending_.push_back(&leg);
  }
  Publish(leg, table::kReasonSettling);
}

void Offloader::RunPending(Millis now) {
  if (pending_.empty() || now < next_try_) return;
  next_try_ = now + kTryMs;
  std::erase_if(pending_, [&](Leg* leg) {
    const Millis silent = now - memory::Load(leg->data()->last_rx_ms);
    const Millis waited = now - leg->kernel().pending_since;
    const bool quiet = (silent >= kPauseMs || waited >= kPatienceMs) && IsDrained(leg->fd());
    if (!quiet && waited < kLastPatienceMs) return false;
    leg->kernel().pending = false;
    Enter(*leg, now);
    return true;
  });
}

void Offloader::Enter(Leg& leg, Millis now) {
  KernelFlow& kernel = leg.kernel();
  if (options_.table->Enter(kernel.key, kernel.flow) != 0) {
    Withdraw(leg, now);
    kernel.unfit_until = now + kUnfitMs;
    counters_.Add(Counter::offload_refused, 1);
    return Publish(leg, table::kReasonRefused);
  }
  if (!kernel.entered) {
    leg.BeginKernelFlow();
    counters_.Add(Counter::offload_entered, 1);
  }
  Publish(leg, table::kReasonNone);
}

void Offloader::Withdraw(Leg& leg, Millis now) {
  const bool entered = leg.kernel().entered;
  Drop(leg);
  if (entered) Account(leg, now);
}

void Offloader::Drop(Leg& leg) {
  if (options_.table == nullptr || leg.rtcp()) return;
  KernelFlow& kernel = leg.kernel();
  if (kernel.pending) std::erase(pending_, &leg);
  kernel.pending = false;
  TakeInherited(leg, {});
  if (!kernel.entered) return;
  options_.table->Remove(kernel.key);
  kernel.entered = false;
  counters_.Add(Counter::offload_withdrawn, 1);
}

void Offloader::DropInherited(uint32_t stream) {
  for (uint32_t i = 0; i < offload::kFlowsPerStream; ++i) {
    const auto found = inherited_.find(stream * offload::kFlowsPerStream + i);
    if (found == inherited_.end()) continue;
    for (const relay_key& key : found->second) options_.table->Remove(key);
    inherited_.erase(found);
  }
}

// True where a former engine had entered just this flow; what else it had for the leg goes.
bool Offloader::TakeInherited(const Leg& leg, const relay_key& wanted) {
  const auto found = inherited_.find(CellOf(leg));
  if (found == inherited_.end()) return false;
  bool there = false;
  for (const relay_key& key : found->second) {
    if (offload::SameKey(key, wanted)) {
      there = true;
      counters_.Add(Counter::offload_inherited, 1);
    } else {
      options_.table->Remove(key);
    }
  }
  inherited_.erase(found);
  return there;
}

void Offloader::BeginReview() {
  if (options_.table == nullptr) return;
  attached_.clear();
  routes_version_ = routes_->Version();
  routes_->Forget();
}

void Offloader::Review(Leg& leg, Millis now) {
  if (!leg.open() || leg.data() == nullptr) return;
  KernelFlow& kernel = leg.kernel();
  if (kernel.entered) {
    Account(leg, now);
    if (kernel.settled && kernel.fallen > kMostFallen) {
      kernel.unfit_until = now + kUnfitMs;
      counters_.Add(Counter::offload_unfit, 1);
    }
    kernel.fallen = 0;
    kernel.settled = true;
  }
  const bool due = kernel.routes_version != routes_version_ || now >= kernel.review_at || kernel.unfit_until > now;
  if (!kernel.entered || due) Consider(leg, now);
}

void Offloader::Account(Leg& leg, Millis now) {
  const flow::KernelCount count = leg.AccountKernel(now);
  counters_.Add(Counter::offload_packets, count.packets);
  counters_.Add(Counter::offload_bytes, count.bytes);
}

void Offloader::Publish(Leg& leg, TierReason reason) {
  if (leg.kernel().entered) return leg.PublishTier(table::kTierOffload, table::kReasonNone);
  const bool gso = options_.gso && (leg.opposite() == nullptr || !leg.opposite()->target().gso_refused);
  leg.PublishTier(gso ? table::kTierGso : table::kTierMmsg, reason);
}

}  // namespace penstock::engine

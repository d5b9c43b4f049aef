// Which legs the kernel relays by itself (tier offload), for one engine thread: decides, enters
// and withdraws flows, and adds the kernel's counts to those of the rows.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "counters/counters.h"
#include "flow/stream.h"
#include "offload/flow_table.h"
#include "offload/routes.h"
#include "table/region_layout.h"

namespace penstock::engine {

class Offloader {
 public:
  struct Options {
    uint32_t thread;
    uint32_t threads;
    bool gso;
    offload::FlowTable* table;         // null: no offload
    table::TierReason absent;  // why there is no table
  };
  // Throws memory::SystemError.
  Offloader(const Options& options, counters::CounterBlock& counters);

  // A leg begins. `fresh`: its counts begin at zero.
  void Adopt(flow::Leg& leg, bool fresh);
  // Something changed of the leg or of the one across.
  void Consider(flow::Leg& leg, table::Millis now);
  // The leg ends: the kernel has no flow of it when this returns.
  void Withdraw(flow::Leg& leg, table::Millis now);
  // As Withdraw, where the row is another generation's already.
  void Drop(flow::Leg& leg);
  // Flows that a former engine left for this stream.
  void DropInherited(uint32_t stream);

  // Once a second: BeginReview, then each leg.
  void BeginReview();
  void Review(flow::Leg& leg, table::Millis now);

  // Enters flows that waited for a pause of their stream.
  void RunPending(table::Millis now);
  bool pending() const { return !pending_.empty(); }

 private:
  table::TierReason Plan(flow::Leg& leg, table::Millis now, relay_key& key, relay_flow& flow);
  table::TierReason PlanPath(const flow::Leg& leg, relay_flow& flow);
  table::TierReason CheckInterface(uint32_t interface);
  void Await(flow::Leg& leg, table::Millis now);
  void Enter(flow::Leg& leg, table::Millis now);
  void Account(flow::Leg& leg, table::Millis now);
  void Publish(flow::Leg& leg, table::TierReason reason);
  bool TakeInherited(const flow::Leg& leg, const relay_key& wanted);

  const Options options_;
  counters::CounterBlock& counters_;
  std::optional<offload::Routes> routes_;
  uint32_t routes_version_ = 0;
  std::unordered_set<uint32_t> attached_;                            // interfaces known to be, since the last review
  std::vector<flow::Leg*> pending_;
  std::unordered_map<uint32_t, std::vector<relay_key>> inherited_;  // by cell
  table::Millis next_try_ = 0;
};

}  // namespace penstock::engine

// The native packet path of an appliance: relays media between the legs of streams, which
// workers describe in the region and whose sockets the vault hands over.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_thread.h"
#include "memory/unique_fd.h"
#include "offload/flow_table.h"
#include "table/region.h"

namespace penstock::engine {

struct EngineOptions {
  int vault_fd = -1;          // stays the caller's
  std::vector<int> wake_fds = {};  // one event descriptor per engine thread; stay the caller's
  std::vector<int> worker_wake_fds = {};  // one per worker, or none; stay the caller's
  bool gso = true;
  bool gro = true;
  int batch_delay_us = kAutoDelay;
  bool pin_threads = false;
  // What the primary made for tier offload; flows -1 = nothing, and why. They stay the caller's.
  offload::MapFds offload = {};
  table::TierReason no_offload = table::kReasonSwitchedOff;
};

struct EngineReport {
  bool gso = false;
  bool gro = false;
  bool offload = false;
  std::vector<std::string> reasons;  // why something that was asked for is not there
};

class Engine {
 public:
  // The region must outlive the engine.
  Engine(table::Region& region, EngineOptions options);
  ~Engine();

  // Probes the kernel and starts the threads. Throws std::invalid_argument where the number of wake
  // descriptors is not that of the engine threads, memory::SystemError where the kernel gives no more.
  EngineReport Start();
  // Ends the threads and closes the engine's copies of the sockets; streams stay in the region
  // and in the vault for the next engine. Safe to call twice.
  void Stop();

 private:
  EngineReport Probe() const;
  void StartThreads(EngineReport& report);
  void PinThreads(EngineReport& report);
  void Intake();
  bool TakeMessages();

  table::Region& region_;
  const EngineOptions options_;
  std::unique_ptr<offload::FlowTable> table_;  // before the threads, which use it
  std::vector<std::unique_ptr<EngineThread>> threads_;
  memory::UniqueFd intake_stop_;
  std::thread intake_;
};

}  // namespace penstock::engine

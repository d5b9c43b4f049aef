#include "engine/engine.h"

#include <climits>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "binding/args.h"
#include "binding/functions.h"
#include "binding/process_region.h"
#include "table/region_layout.h"

namespace penstock::binding {
namespace {

constexpr int64_t kMaxBatchDelayUs = 2000;
constexpr int64_t kAutoBatchDelay = -1;

struct ProcessEngine {
  std::mutex mutex;
  std::unique_ptr<engine::Engine> engine;
};

// Leaked on purpose: its threads may still run while the process exits.
ProcessEngine& State() {
  static ProcessEngine* const state = new ProcessEngine;
  return *state;
}

// `offload`: the descriptors of the maps, or a value of layout.tierReason that says why there are none.
void ReadOffload(const Napi::Value& value, engine::EngineOptions& options) {
  if (value.IsNumber()) {
    options.no_offload = static_cast<table::TierReason>(args::Uint32(value, "options.offload", 0, table::kReasonUnavailable));
    return;
  }
  const Napi::Object maps = args::Object(value, "options.offload");
  options.offload.flows = args::Fd(maps.Get("flowsFd"), "options.offload.flowsFd");
  options.offload.cells = args::Fd(maps.Get("cellsFd"), "options.offload.cellsFd");
  options.offload.interfaces = args::Fd(maps.Get("interfacesFd"), "options.offload.interfacesFd");
}

engine::EngineOptions ReadOptions(const Napi::Value& value) {
  const Napi::Object options = args::Object(value, "options");
  engine::EngineOptions read{};
  read.vault_fd = args::Fd(options.Get("vaultFd"), "options.vaultFd");
  read.wake_fds = args::Fds(options.Get("wakeFds"), "options.wakeFds", table::kMaxEngineThreads);
  const Napi::Value workers = options.Get("workerWakeFds");
  if (!workers.IsUndefined()) read.worker_wake_fds = args::Fds(workers, "options.workerWakeFds", table::kMaxWorkers);
  read.gso = args::Bool(options.Get("gso"), "options.gso");
  read.gro = args::Bool(options.Get("gro"), "options.gro");
  read.batch_delay_us = static_cast<int>(
      args::Integer(options.Get("batchDelayUs"), "options.batchDelayUs", kAutoBatchDelay, kMaxBatchDelayUs));
  read.pin_threads = args::Bool(options.Get("pinThreads"), "options.pinThreads");
  ReadOffload(options.Get("offload"), read);
  return read;
}

void CheckThreads(const engine::EngineOptions& options, const table::Region& region) {
  if (options.wake_fds.size() == region.engine_threads()) return;
  throw std::out_of_range("options.wakeFds must hold one eventfd per engine thread: " +
                          std::to_string(region.engine_threads()) + ", got " + std::to_string(options.wake_fds.size()));
}

Napi::Object ToJs(Napi::Env env, const engine::EngineReport& report) {
  Napi::Array reasons = Napi::Array::New(env, report.reasons.size());
  for (uint32_t i = 0; i < report.reasons.size(); ++i) reasons.Set(i, report.reasons[i]);
  Napi::Object result = Napi::Object::New(env);
  result.Set("gso", report.gso);
  result.Set("gro", report.gro);
  result.Set("offload", report.offload);
  result.Set("reasons", reasons);
  return result;
}

}  // namespace

Napi::Value EngineStart(const Napi::CallbackInfo& info) {
  engine::EngineOptions options = ReadOptions(info[0]);
  table::Region& region = MappedRegion().region;
  CheckThreads(options, region);
  ProcessEngine& state = State();
  const std::lock_guard lock(state.mutex);
  if (state.engine) throw std::runtime_error("the engine is started already");
  auto engine = std::make_unique<engine::Engine>(region, std::move(options));
  const engine::EngineReport report = engine->Start();
  state.engine = std::move(engine);
  return ToJs(info.Env(), report);
}

Napi::Value EngineStop(const Napi::CallbackInfo& info) {
  ProcessEngine& state = State();
  const std::lock_guard lock(state.mutex);
  if (state.engine) state.engine->Stop();
  state.engine.reset();
  return info.Env().Undefined();
}

}  // namespace penstock::binding

#include <sys/stat.h>

#include <ctime>
#include <mutex>
#include <stdexcept>

#include "binding/args.h"
#include "binding/functions.h"
#include "binding/process_region.h"
#include "binding/shared_array_buffer.h"
#include "memory/system_error.h"

namespace penstock::binding {
namespace {

struct Shared {
  std::mutex mutex;
  ProcessRegion* mapped = nullptr;
  dev_t device = 0;
  ino_t inode = 0;
};

// Leaked on purpose, with the mapping: threads may use it while the process exits.
Shared& State() {
  static Shared* const state = new Shared;
  return *state;
}

struct stat Identify(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw memory::SystemError("fstat");
  return info;
}

table::RegionSpec ReadSpec(const Napi::Value& value) {
  const Napi::Object spec = args::Object(value, "spec");
  const auto read = [&spec](const char* name) { return args::Uint32(spec.Get(name), name); };
  return {.workers = read("workers"),
          .engine_threads = read("engineThreads"),
          .services = read("services"),
          .sessions_per_worker = read("sessionsPerWorker"),
          .streams_per_worker = read("streamsPerWorker"),
          .ring_slots = read("ringSlots"),
          .quarantine_ms = read("quarantineMs"),
          .wires_per_worker = read("wiresPerWorker"),
          .wire_ring_bytes = read("wireRingBytes"),
          .interleaved_backlog = read("interleavedBacklog"),
          .interleaved_overflow = static_cast<table::Overflow>(read("interleavedOverflow")),
          .message_deadline_ms = read("messageDeadlineMs")};
}

}  // namespace

ProcessRegion& MapProcessRegion(int fd) {
  Shared& state = State();
  const std::lock_guard lock(state.mutex);
  const struct stat file = Identify(fd);
  if (state.mapped == nullptr) {
    state.mapped = new ProcessRegion(fd, static_cast<size_t>(file.st_size));
    state.device = file.st_dev;
    state.inode = file.st_ino;
  } else if (file.st_dev != state.device || file.st_ino != state.inode) {
    throw std::invalid_argument("fd must be the region that this process has mapped already");
  }
  return *state.mapped;
}

ProcessRegion& MappedRegion() {
  Shared& state = State();
  const std::lock_guard lock(state.mutex);
  if (state.mapped == nullptr) throw std::runtime_error("no region is mapped: call mapRegion first");
  return *state.mapped;
}

Napi::Value CreateRegion(const Napi::CallbackInfo& info) {
  const table::RegionHeader plan = table::PlanRegion(ReadSpec(info[0]));
  memory::UniqueFd fd = memory::CreateMemfd("penstock-region", plan.size);
  {
    const memory::Mapping mapping(fd.get(), plan.size);
    table::InitialiseRegion(mapping.base(), plan);
  }
  memory::SealSize(fd.get());
  return Napi::Number::New(info.Env(), fd.Release());
}

Napi::Value MapRegion(const Napi::CallbackInfo& info) {
  const ProcessRegion& mapped = MapProcessRegion(args::Fd(info[0], "fd"));
  return NewSharedArrayBuffer(info.Env(), mapped.mapping);
}

Napi::Value CommandPush(const Napi::CallbackInfo& info) {
  const table::Region& region = MappedRegion().region;
  const uint32_t worker = args::Uint32(info[0], "worker", 0, region.workers() - 1);
  const uint32_t thread = args::Uint32(info[1], "thread", 0, region.engine_threads() - 1);
  const uint32_t op = args::Uint32(info[2], "op", table::kCommandUpdate, table::kCommandClose);
  const uint32_t stream = args::Uint32(info[3], "stream", 0, region.streams() - 1);
  const uint32_t generation = args::Uint32(info[4], "generation");
  const bool pushed = region.Commands(worker, thread).Push({op, stream, generation, 0});
  return Napi::Boolean::New(info.Env(), pushed);
}

Napi::Value MonotonicMs(const Napi::CallbackInfo& info) {
  timespec now{};
  if (::clock_gettime(CLOCK_MONOTONIC, &now) != 0) throw memory::SystemError("clock_gettime");
  return Napi::Number::New(info.Env(), static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6);
}

}  // namespace penstock::binding

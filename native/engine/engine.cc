#include "engine/engine.h"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

#include "memory/system_error.h"
#include "net/fd_passing.h"
#include "net/offload_probe.h"

namespace penstock::engine {
namespace {

// True where asked for and found to work; else the reason is noted.
bool Usable(bool asked, const char* name, std::string (*probe)(), std::vector<std::string>& reasons) {
  const std::string found = asked ? probe() : "switched off";
  if (found == "ok") return true;
  reasons.push_back(std::string(name) + ": " + found);
  return false;
}

std::vector<int> AllowedCpus() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

Engine::Engine(table::Region& region, EngineOptions options) : region_(region), options_(std::move(options)) {}

Engine::~Engine() { Stop(); }

EngineReport Engine::Start() {
  if (options_.wake_fds.size() != region_.engine_threads()) {
    throw std::invalid_argument("engine: expected " + std::to_string(region_.engine_threads()) +
                                " wake descriptors, got " + std::to_string(options_.wake_fds.size()));
  }
  EngineReport report = Probe();
  if (options_.offload.flows >= 0) {
    table_ = std::make_unique<offload::FlowTable>(options_.offload, region_.streams());
    report.offload = true;
  }
  StartThreads(report);
  if (options_.pin_threads) PinThreads(report);
  if (options_.vault_fd < 0) return report;
  intake_stop_.Reset(::eventfd(0, EFD_CLOEXEC));
  if (!intake_stop_) throw memory::SystemError("eventfd");
  intake_ = std::thread([this] { Intake(); });
  return report;
}

EngineReport Engine::Probe() const {
  EngineReport report;
  report.gso = Usable(options_.gso, "gso", net::ProbeGso, report.reasons);
  report.gro = Usable(options_.gro, "gro", net::ProbeGro, report.reasons);
  return report;
}

void Engine::StartThreads(EngineReport& report) {
  for (uint32_t i = 0; i < region_.engine_threads(); ++i) {
    threads_.push_back(std::make_unique<EngineThread>(
        region_, EngineThread::Options{i, options_.vault_fd, options_.wake_fds[i], report.gso, report.gro,
                                       options_.batch_delay_us, table_.get(), options_.no_offload,
                                       options_.worker_wake_fds}));
  }
  for (const auto& thread : threads_) thread->Start();
}

void Engine::PinThreads(EngineReport& report) {
  const std::vector<int> cpus = AllowedCpus();
  for (size_t i = 0; i < threads_.size(); ++i) {
    const int error = i < cpus.size() ? threads_[i]->Pin(cpus[i]) : ENODEV;
    if (error != 0) report.reasons.push_back("pin: thread " + std::to_string(i) + ": " + std::strerror(error));
  }
}

void Engine::Stop() {
  if (intake_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(intake_stop_.get(), &one, sizeof(one));
    intake_.join();
  }
  for (const auto& thread : threads_) thread->Stop();
  threads_.clear();
}

// Ends with the vault's end of the socket: the streams at hand go on without it.
void Engine::Intake() {
  pollfd ready[2] = {{options_.vault_fd, POLLIN, 0}, {intake_stop_.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents != 0) return;
    if (ready[0].revents != 0 && !TakeMessages()) return;
  }
}

// False when no more will come.
bool Engine::TakeMessages() {
  for (;;) {
    net::PassedMessage passed;
    net::PassResult result = net::PassResult::kClosed;
    try {
      result = net::ReceiveMessage(options_.vault_fd, passed);
    } catch (const memory::SystemError&) {
      // The socket is of no use any more, which is what `closed` says.
    }
    if (result == net::PassResult::kWouldBlock) return true;
    if (result == net::PassResult::kClosed) return false;
    const bool is_wire = passed.message.op == net::kVaultAddWire;
    // Counted by a thread as naming no row that it has.
    const bool sound = result == net::PassResult::kDone && (is_wire || passed.message.op == net::kVaultAdd);
    if (!sound) passed.message.stream = UINT32_MAX;
    const uint32_t slot = passed.message.stream;
    threads_[is_wire ? region_.ThreadOfWire(slot) : region_.ThreadOfStream(slot)]->Hand(std::move(passed));
  }
}

}  // namespace penstock::engine

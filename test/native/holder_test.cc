// What the primary keeps of tier offload, in a network namespace of its own. Needs root and BPF.
#include "offload/holder.h"

#include <linux/bpf.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <optional>
#include <thread>

#include "check.h"
#include "memory/cell.h"
#include "memory/memfd.h"
#include "memory/system_error.h"
#include "offload/routes.h"
#include "packets.h"

using namespace penstock;
using namespace penstock::test;
using offload::InterfaceState;

namespace {

constexpr uint32_t kLoopback = 1;
constexpr uint32_t kTcxIngress = 46;  // BPF_TCX_INGRESS

// A namespace belongs to a thread.
void InNamespace(void (*body)()) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      if (::unshare(CLONE_NEWNET) != 0) throw memory::SystemError("unshare", "(this test needs root: sudo npm test)");
      body();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

uint32_t ProgramsOnLoopback() {
  bpf_attr attributes{};
  attributes.query.target_fd = kLoopback;
  attributes.query.attach_type = kTcxIngress;
  CHECK_EQ(::syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof(attributes)), 0);
  return attributes.query.prog_cnt;
}

class SmallRegion {
 public:
  SmallRegion() {
    const table::RegionHeader plan = table::PlanRegion({.workers = 1,
                                                        .engine_threads = 1,
                                                        .services = 1,
                                                        .sessions_per_worker = 4,
                                                        .streams_per_worker = 4,
                                                        .ring_slots = 64,
                                                        .quarantine_ms = 50});
    memfd_ = memory::CreateMemfd("holder-test", plan.size);
    mapping_.emplace(memfd_.get(), plan.size);
    table::InitialiseRegion(mapping_->base(), plan);
    region_.emplace(mapping_->base(), mapping_->bytes());
  }
  table::Region& operator*() { return *region_; }

 private:
  memory::UniqueFd memfd_;
  std::optional<memory::Mapping> mapping_;
  std::optional<table::Region> region_;
};

}  // namespace

TEST(holder_attaches_where_the_engine_asks_and_lets_go_at_its_end) {
  InNamespace([] {
    SmallRegion region;
    {
      offload::Holder holder(*region);
      offload::FlowTable engine(holder.fds(), (*region).streams());
      CHECK(holder.Tend().empty());
      CHECK_EQ(ProgramsOnLoopback(), 0u);
      CHECK(engine.Interface(kLoopback) == InterfaceState::kAwaited);
      const auto news = holder.Tend();
      CHECK_EQ(news.size(), 1u);
      CHECK(news[0].kind == offload::InterfaceNews::kAttached);
      CHECK_EQ(news[0].interface, "lo");
      CHECK(engine.Interface(kLoopback) == InterfaceState::kAttached);
      CHECK_EQ(ProgramsOnLoopback(), 1u);
      CHECK(holder.Tend().empty());
    }
    CHECK_EQ(ProgramsOnLoopback(), 0u);
  });
}

TEST(holder_says_that_an_interface_is_not_there) {
  InNamespace([] {
    SmallRegion region;
    offload::Holder holder(*region);
    offload::FlowTable engine(holder.fds(), (*region).streams());
    constexpr uint32_t kNobody = 0x7ffffff0;
    CHECK(engine.Interface(kNobody) == InterfaceState::kAwaited);
    const auto news = holder.Tend();
    CHECK_EQ(news.size(), 1u);
    CHECK(news[0].kind == offload::InterfaceNews::kRefused);
    CHECK(news[0].reason.find("ENODEV") != std::string::npos);
    // It may come yet.
    CHECK(engine.Interface(kNobody) == InterfaceState::kAwaited);
  });
}

TEST(holder_removes_flows_of_streams_that_are_closed) {
  InNamespace([] {
    SmallRegion region;
    offload::Holder holder(*region);
    offload::FlowTable engine(holder.fds(), (*region).streams());
    table::StreamEntry& row = *(*region).Stream(2);
    memory::StoreRelease(row.generation, 7u);
    memory::StoreRelease(row.state, static_cast<uint32_t>(table::kRowOpen));
    const auto enter = [&](uint16_t port, uint32_t stream, uint32_t generation) {
      relay_flow flow{};
      flow.stream = stream;
      flow.generation = generation;
      CHECK_EQ(engine.Enter(offload::MakeKey(V4(1, port), V4(2, port)), flow), 0);
    };
    enter(1, 2, 7);
    enter(2, 2, 6);      // a former opening of the row
    enter(3, 3, 0);      // a free row
    enter(4, 12345, 0);  // no row at all
    for (int i = 0; i < 8; ++i) holder.Tend();
    CHECK_EQ(engine.List().size(), 1u);
    CHECK_EQ(engine.List()[0].flow.generation, 7u);
    memory::StoreRelease(row.state, static_cast<uint32_t>(table::kRowClosing));
    for (int i = 0; i < 8; ++i) holder.Tend();
    CHECK(engine.List().empty());
  });
}

TEST(routes_of_an_empty_namespace) {
  InNamespace([] {
    offload::Routes routes;
    CHECK(routes.Find(V4(1, 0), V4(2, 0)).kind == offload::Route::kNone);
    const uint32_t version = routes.Version();
    CHECK_EQ(routes.Version(), version);
  });
}

#include "table/region.h"

#include <cstring>
#include <stdexcept>

#include "check.h"
#include "memory/memfd.h"

namespace {

using namespace penstock;
using table::Region;
using table::RegionHeader;
using table::RegionSpec;

const RegionSpec kSpec{.workers = 2,
                       .engine_threads = 3,
                       .services = 5,
                       .sessions_per_worker = 10,
                       .streams_per_worker = 20,
                       .ring_slots = 16,
                       .quarantine_ms = 1500};

struct Fixture {
  explicit Fixture(const RegionSpec& spec = kSpec)
      : plan(table::PlanRegion(spec)), fd(memory::CreateMemfd("test", plan.size)), mapping(fd.get(), plan.size) {
    table::InitialiseRegion(mapping.base(), plan);
  }
  RegionHeader plan;
  memory::UniqueFd fd;
  memory::Mapping mapping;
};

uint64_t OffsetOf(const Fixture& fixture, const void* row) {
  return static_cast<uint64_t>(static_cast<const char*>(row) - static_cast<const char*>(fixture.mapping.base()));
}

}  // namespace

TEST(RegionPartsAreAlignedAndInOrder) {
  const RegionHeader plan = table::PlanRegion(kSpec);
  const uint64_t offsets[] = {plan.processes_offset, plan.services_offset,      plan.loads_offset,
                              plan.sessions_offset,  plan.index_offset,         plan.streams_offset,
                              plan.command_rings_offset, plan.event_rings_offset, plan.counters_offset, plan.size};
  uint64_t last = 0;
  for (const uint64_t offset : offsets) {
    CHECK_EQ(offset % 64, 0u);
    CHECK(offset > last);
    last = offset;
  }
}

TEST(RegionIndexIsAtMostHalfFull) {
  const RegionHeader plan = table::PlanRegion(kSpec);
  CHECK_EQ(plan.index_per_worker, 32u);
}

TEST(RegionRefusesBadSpecs) {
  const auto with = [](auto change) {
    RegionSpec spec = kSpec;
    change(spec);
    return spec;
  };
  CHECK_THROWS(std::out_of_range, table::PlanRegion(with([](RegionSpec& s) { s.workers = 0; })));
  CHECK_THROWS(std::out_of_range, table::PlanRegion(with([](RegionSpec& s) { s.workers = table::kMaxWorkers + 1; })));
  CHECK_THROWS(std::out_of_range, table::PlanRegion(with([](RegionSpec& s) { s.ring_slots = 24; })));
  CHECK_THROWS(std::out_of_range, table::PlanRegion(with([](RegionSpec& s) { s.ring_slots = 4; })));
  CHECK_THROWS(std::out_of_range, table::PlanRegion(with([](RegionSpec& s) {
                 s.workers = table::kMaxWorkers;
                 s.sessions_per_worker = table::kMaxRowsPerWorker;
               })));
}

TEST(RegionRowsAreRangeChecked) {
  const Fixture fixture;
  const Region region(fixture.mapping.base(), fixture.mapping.bytes());
  CHECK(region.Stream(39) != nullptr);
  CHECK(region.Stream(40) == nullptr);
  CHECK(region.Stream(0xffffffff) == nullptr);
  CHECK(region.Session(19) != nullptr);
  CHECK(region.Session(20) == nullptr);
  CHECK(region.Process(3) != nullptr);
  CHECK(region.Process(4) == nullptr);
  CHECK(region.Service(5) == nullptr);
  CHECK(region.Load(4, 1) != nullptr);
  CHECK(region.Load(4, 2) == nullptr);
  CHECK(region.Load(5, 0) == nullptr);
  CHECK(region.Index(2).empty());
  CHECK(region.Counters(3) == nullptr);
  CHECK_THROWS(std::out_of_range, region.Commands(2, 0));
  CHECK_THROWS(std::out_of_range, region.Events(0, 3));
}

TEST(RegionLastRowsEndBeforeTheNextPart) {
  const Fixture fixture;
  const Region region(fixture.mapping.base(), fixture.mapping.bytes());
  CHECK(OffsetOf(fixture, region.Process(3) + 1) <= fixture.plan.services_offset);
  CHECK(OffsetOf(fixture, region.Load(4, 1) + 1) <= fixture.plan.sessions_offset);
  CHECK(OffsetOf(fixture, region.Session(19) + 1) <= fixture.plan.index_offset);
  CHECK(OffsetOf(fixture, region.Index(1).data() + region.Index(1).size()) <= fixture.plan.streams_offset);
  CHECK(OffsetOf(fixture, region.Stream(39) + 1) <= fixture.plan.command_rings_offset);
  CHECK(OffsetOf(fixture, region.Counters(2) + 1) <= fixture.plan.size);
}

TEST(RegionLoadCellsAreServiceMajor) {
  const Fixture fixture;
  const Region region(fixture.mapping.base(), fixture.mapping.bytes());
  CHECK_EQ(region.Load(1, 0) - region.Load(0, 0), 2);
  CHECK_EQ(region.Load(0, 1) - region.Load(0, 0), 1);
}

TEST(RegionKnowsWhoOwnsAStream) {
  const Fixture fixture;
  const Region region(fixture.mapping.base(), fixture.mapping.bytes());
  CHECK_EQ(region.WorkerOfStream(19), 0u);
  CHECK_EQ(region.WorkerOfStream(20), 1u);
  CHECK_EQ(region.ThreadOfStream(20), 2u);
}

TEST(RegionQuarantineIsLive) {
  const Fixture fixture;
  const Region region(fixture.mapping.base(), fixture.mapping.bytes());
  CHECK_EQ(region.quarantine_ms(), 1500u);
  region.header()->quarantine_ms = 7;
  CHECK_EQ(region.quarantine_ms(), 7u);
}

TEST(RegionRefusesForeignMappings) {
  const Fixture fixture;
  auto* header = static_cast<RegionHeader*>(fixture.mapping.base());
  const RegionHeader good = *header;
  const auto refused = [&](auto change) {
    *header = good;
    change(*header);
    CHECK_THROWS(std::exception, Region(header, fixture.mapping.bytes()));
  };
  refused([](RegionHeader& h) { h.magic ^= 1; });
  refused([](RegionHeader& h) { h.layout_version += 1; });
  refused([](RegionHeader& h) { h.streams_per_worker += 1; });
  refused([](RegionHeader& h) { h.counters_offset += 64; });
  refused([](RegionHeader& h) { h.index_per_worker *= 2; });
  *header = good;
  CHECK_THROWS(std::invalid_argument, Region(header, fixture.mapping.bytes() - 1));
  CHECK_THROWS(std::invalid_argument, Region(header, 16));
}

TEST(RegionSurvivesADamagedHeader) {
  const Fixture fixture;
  const Region region(fixture.mapping.base(), fixture.mapping.bytes());
  const auto* stream = region.Stream(39);
  std::memset(fixture.mapping.base(), 0xff, sizeof(RegionHeader));
  CHECK(region.Stream(39) == stream);
  CHECK(region.Stream(40) == nullptr);
}

TEST(RingsOfNeighboursDoNotTouch) {
  const Fixture fixture;
  const Region region(fixture.mapping.base(), fixture.mapping.bytes());
  for (uint32_t worker = 0; worker < 2; ++worker) {
    for (uint32_t thread = 0; thread < 3; ++thread) {
      auto commands = region.Commands(worker, thread);
      auto events = region.Events(worker, thread);
      while (commands.Push({1, worker, thread, 0})) {
      }
      while (events.Push({1, worker, thread, 0, {}})) {
      }
    }
  }
  for (uint32_t worker = 0; worker < 2; ++worker) {
    for (uint32_t thread = 0; thread < 3; ++thread) {
      auto commands = region.Commands(worker, thread);
      auto events = region.Events(worker, thread);
      table::Command command;
      table::Event event;
      for (uint32_t i = 0; i < kSpec.ring_slots; ++i) {
        CHECK(commands.Pop(command) && command.stream == worker && command.generation == thread);
        CHECK(events.Pop(event) && event.stream == worker && event.generation == thread);
      }
      CHECK(!commands.Pop(command) && !events.Pop(event));
    }
  }
}

#include "table/ring.h"

#include <thread>

#include "check.h"

namespace {

using namespace penstock::table;

constexpr uint32_t kSlots = 8;

struct Memory {
  RingHeader header{};
  Command slots[kSlots]{};
  CommandRing ring() { return CommandRing(&header, slots, kSlots); }
};

Command Numbered(uint32_t number) { return {kCommandUpdate, number, number * 3, 0}; }

}  // namespace

TEST(RingGivesWhatWasPushedInOrder) {
  Memory memory;
  auto ring = memory.ring();
  Command out;
  CHECK(!ring.Pop(out));
  CHECK(ring.Push(Numbered(1)) && ring.Push(Numbered(2)));
  CHECK_EQ(ring.size(), 2u);
  CHECK(ring.Pop(out));
  CHECK_EQ(out.stream, 1u);
  CHECK(ring.Pop(out));
  CHECK_EQ(out.stream, 2u);
  CHECK(!ring.Pop(out));
}

TEST(RingFullRefusesAndCounts) {
  Memory memory;
  auto ring = memory.ring();
  for (uint32_t i = 0; i < kSlots; ++i) CHECK(ring.Push(Numbered(i)));
  CHECK(!ring.Push(Numbered(99)));
  CHECK(!ring.Push(Numbered(99)));
  CHECK_EQ(ring.dropped(), 2u);
  Command out;
  CHECK(ring.Pop(out));
  CHECK_EQ(out.stream, 0u);
  CHECK(ring.Push(Numbered(8)));
  for (uint32_t i = 1; i <= 8; ++i) {
    CHECK(ring.Pop(out));
    CHECK_EQ(out.stream, i);
  }
}

TEST(RingCountersWrap) {
  Memory memory;
  memory.header.head = memory.header.tail = 0xfffffffd;
  auto ring = memory.ring();
  Command out;
  for (uint32_t i = 0; i < kSlots; ++i) CHECK(ring.Push(Numbered(i)));
  CHECK(!ring.Push(Numbered(99)));
  CHECK_EQ(ring.size(), kSlots);
  for (uint32_t i = 0; i < kSlots; ++i) {
    CHECK(ring.Pop(out));
    CHECK_EQ(out.stream, i);
  }
  CHECK(!ring.Pop(out));
  CHECK_EQ(memory.header.tail, 5u);
}

TEST(RingSuccessorGoesOn) {
  Memory memory;
  CHECK(memory.ring().Push(Numbered(1)));
  CHECK(memory.ring().Push(Numbered(2)));
  Command out;
  auto successor = memory.ring();
  CHECK(successor.Pop(out));
  CHECK_EQ(out.stream, 1u);
}

TEST(RingWithDamagedHeaderReadsNothing) {
  Memory memory;
  memory.header.head = 1000;
  auto ring = memory.ring();
  Command out;
  CHECK(!ring.Pop(out));
  CHECK(ring.Push(Numbered(5)));
  CHECK(ring.Pop(out));
  CHECK_EQ(out.stream, 5u);
}

TEST(RingCarriesWholeSlotsBetweenThreads) {
  constexpr uint32_t kCount = 20000;
  Memory memory;
  std::thread producer([&memory] {
    auto ring = memory.ring();
    for (uint32_t i = 0; i < kCount; ++i) {
      while (!ring.Push(Numbered(i))) std::this_thread::yield();
    }
  });
  auto ring = memory.ring();
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < kCount; ++i) {
    Command out;
    while (!ring.Pop(out)) std::this_thread::yield();
    wrong += out.stream == i && out.generation == i * 3 ? 0 : 1;
  }
  producer.join();
  CHECK_EQ(wrong, 0u);
}

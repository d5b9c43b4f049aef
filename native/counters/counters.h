// Counter blocks: one per engine thread, plain 64-bit cells in the region, written by
// that thread alone and summed by whoever reads them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace penstock::counters {

// Enumerators keep the spelling of the list, so that code, metrics and docs agree.
enum class Counter : uint32_t {
#define COUNTER(name, unit, about) name,
#include "counters.inc"
};

// What became of one received packet. The verdicts lead the list, so that a verdict's
// value is also its counter's.
enum class Verdict : uint8_t {
#define VERDICT(name, unit, about) name,
#include "counters.inc"
};

struct CounterInfo {
  const char* name;
  const char* unit;
  const char* about;
};

inline constexpr auto kCounterInfo = std::to_array<CounterInfo>({
#define COUNTER(name, unit, about) {#name, unit, about},
#include "counters.inc"
});

inline constexpr uint32_t kCounterCount = kCounterInfo.size();

struct alignas(64) CounterBlock {  // writer: one engine thread
  uint64_t values[kCounterCount];

  // Relaxed atomics: the single writer needs no read-modify-write, readers need whole cells.
  void Add(Counter counter, uint64_t amount) {
    std::atomic_ref<uint64_t> cell(values[static_cast<uint32_t>(counter)]);
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void Add(Verdict verdict, uint64_t amount) { Add(static_cast<Counter>(verdict), amount); }

  uint64_t Get(Counter counter) {
    return std::atomic_ref<uint64_t>(values[static_cast<uint32_t>(counter)]).load(std::memory_order_relaxed);
  }
  uint64_t Get(Verdict verdict) { return Get(static_cast<Counter>(verdict)); }
};

#define VERDICT(name, unit, about) \
  static_assert(static_cast<uint32_t>(Verdict::name) == static_cast<uint32_t>(Counter::name));
#include "counters.inc"

}  // namespace penstock::counters

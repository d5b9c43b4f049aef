#pragma once

#include <algorithm>
#include <cstdint>

#include "clock.h"

namespace penstock::bench {

// When things are due. A schedule that falls behind is moved, never caught up in a burst.
class Schedule {
 public:
  explicit Schedule(int64_t start) : origin_(start) {}

  int64_t Due(int64_t since_start) const { return origin_ + since_start; }

  // To be asked with what is due next, before it is done.
  void KeepUp(int64_t now, int64_t since_start) {
    const int64_t debt = now - Due(since_start);
    if (debt <= kLongestDebt) return;
    origin_ += debt;
    moved_ns_ += debt;
  }

  int64_t moved_ms() const { return moved_ns_ / kMillisecond; }

 private:
  static constexpr int64_t kLongestDebt = 2 * kMillisecond;

  int64_t origin_;
  int64_t moved_ns_ = 0;
};

}  // namespace penstock::bench

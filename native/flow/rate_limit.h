// A bucket of one second: what comes from a peer passes as long as its mean rate keeps below the limit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "table/region_layout.h"

namespace penstock::flow {

class RateLimit {
 public:
  // 0 = no limit. A limit that stays the same keeps its bucket.
  void Configure(uint32_t units) {
    const int64_t rate = int64_t{units} * table::kRateUnit;
    if (rate == rate_) return;
    rate_ = rate;
    credit_ = Full();
  }
  bool limited() const { return rate_ != 0; }

  // Whether so many bytes may pass now. What may not costs nothing.
  bool Take(size_t bytes, int64_t now_us) {
    const int64_t waited = std::clamp<int64_t>(now_us - then_us_, 0, kMicros);
    then_us_ = now_us;
    credit_ = std::min(Full(), credit_ + waited * rate_);
    const int64_t cost = static_cast<int64_t>(bytes) * 8 * kMicros;
    if (cost > credit_) return false;
    credit_ -= cost;
    return true;
  }

 private:
  static constexpr int64_t kMicros = 1'000'000;
  int64_t Full() const { return rate_ * kMicros; }

  int64_t rate_ = 0;    // bits per second
  int64_t credit_ = 0;  // bits, in millionths
  int64_t then_us_ = 0;
};

}  // namespace penstock::flow

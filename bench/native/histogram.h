#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "json.h"

namespace penstock::bench {

// Durations in nanoseconds, counted in buckets of at most 1.6 % width.
class Histogram {
 public:
  void Add(int64_t nanoseconds) {
    const auto value = static_cast<uint64_t>(std::max<int64_t>(nanoseconds, 0));
    ++buckets_[Bucket(value)];
    ++count_;
    sum_ += static_cast<double>(value);
    max_ = std::max(max_, value);
  }

  // What was counted elsewhere in the same buckets.
  void Load(const uint64_t* buckets, size_t size, double sum, uint64_t max) {
    Clear();
    std::copy_n(buckets, std::min(size, buckets_.size()), buckets_.begin());
    for (const uint64_t count : buckets_) count_ += count;
    sum_ = sum;
    max_ = max;
  }

  void Clear() { *this = {}; }

  uint64_t count() const { return count_; }

  // Microseconds.
  Json Report() const {
    Json json;
    json.Put("count", count_).Put("mean", count_ == 0 ? 0 : sum_ / static_cast<double>(count_) / 1e3);
    json.Put("p50", Quantile(0.5)).Put("p90", Quantile(0.9)).Put("p99", Quantile(0.99));
    return json.Put("max", static_cast<double>(max_) / 1e3);
  }

  static constexpr int kFineBits = 6;

 private:
  static constexpr uint64_t kFine = 1 << kFineBits;

  static size_t Bucket(uint64_t value) {
    if (value < kFine) return value;
    const int shift = std::bit_width(value) - 1 - kFineBits;
    return (static_cast<size_t>(shift) + 1) * kFine + ((value >> shift) - kFine);
  }

  static uint64_t Middle(size_t bucket) {
    if (bucket < kFine) return bucket;
    const size_t shift = bucket / kFine - 1;
    return ((kFine + bucket % kFine) << shift) + ((uint64_t{1} << shift) >> 1);
  }

  double Quantile(double share) const {
    const auto rank = static_cast<uint64_t>(share * static_cast<double>(count_));
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen > rank) return static_cast<double>(std::min(Middle(bucket), max_)) / 1e3;
    }
    return static_cast<double>(max_) / 1e3;
  }

  std::array<uint64_t, (64 - kFineBits + 1) * kFine> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace penstock::bench

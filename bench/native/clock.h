#pragma once

#include <cstdint>
#include <ctime>

namespace penstock::bench {

inline constexpr int64_t kMicrosecond = 1000;
inline constexpr int64_t kMillisecond = 1000 * kMicrosecond;
inline constexpr int64_t kSecond = 1000 * kMillisecond;

// CLOCK_MONOTONIC in nanoseconds: the same for every process and namespace of a machine,
// so a packet's one-way delay is the difference of two readings.
inline int64_t Now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * kSecond + now.tv_nsec;
}

inline void SleepUntil(int64_t when) {
  const timespec until{static_cast<time_t>(when / kSecond), static_cast<long>(when % kSecond)};
  ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace penstock::bench

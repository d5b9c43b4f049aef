// How long to wait after a wake before reading: a short wait lets whole frames gather and
// halves the cost where packets wake the thread thousands of times a second; below that it
// would only add delay.
#pragma once

#include <cstdint>

namespace penstock::engine {

inline constexpr int kAutoDelay = -1;
inline constexpr int kMaxDelayUs = 2000;

class BatchPacer {
 public:
  // `delay_us`: 0…2000 always, or kAutoDelay.
  explicit BatchPacer(int delay_us)
      : automatic_(delay_us < 0), delay_us_(delay_us < 0 ? 0 : delay_us > kMaxDelayUs ? kMaxDelayUs : delay_us) {}

  // To be called at each wake that found packets; gives the wait in microseconds.
  int OnWake(int64_t now_us) {
    if (automatic_) Observe(now_us);
    return delay_us_;
  }

 private:
  static constexpr int kAutoUs = 500;
  static constexpr int64_t kWindowUs = 100'000;
  // The wait itself limits the wakes to 2000 a second, so it is left at a lower rate than it begins at.
  static constexpr int64_t kBeginPerSecond = 2000;
  static constexpr int64_t kEndPerSecond = 800;

  void Observe(int64_t now_us) {
    const int64_t elapsed = now_us - window_start_us_;
    if (elapsed >= kWindowUs) {
      const int64_t per_second = wakes_ * 1'000'000 / elapsed;
      if (per_second >= kBeginPerSecond) delay_us_ = kAutoUs;
      if (per_second < kEndPerSecond) delay_us_ = 0;
      window_start_us_ = now_us;
      wakes_ = 0;
    }
    ++wakes_;
  }

  const bool automatic_;
  int delay_us_;
  int64_t window_start_us_ = 0;
  int64_t wakes_ = 0;
};

}  // namespace penstock::engine

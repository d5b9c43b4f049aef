// How long to wait before connections are read that brought something. A frame of video comes as a burst of
// packets: each would wake the thread and leave by a call of its own. The first of a burst passes at once; a wake
// right behind the last one waits a little, so that the rest goes together.
#pragma once

#include <cstdint>

#include "engine/batch_pacer.h"

namespace penstock::engine {

inline constexpr int kBurstWaitUs = 200;
inline constexpr int64_t kBurstGapUs = 200;  // less than that without anything to do: still the same burst

class BurstPacer {
 public:
  // `delay_us`: 0…2000 always, or kAutoDelay.
  explicit BurstPacer(int delay_us) : delay_us_(delay_us) {}

  // To be called at each wake; gives the wait in microseconds. `slept_us`: how long nothing came.
  int OnWake(int64_t slept_us) const {
    if (delay_us_ != kAutoDelay) return delay_us_ > kMaxDelayUs ? kMaxDelayUs : delay_us_;
    return slept_us < kBurstGapUs ? kBurstWaitUs : 0;
  }

 private:
  const int delay_us_;
};

}  // namespace penstock::engine

#include "engine/batch_pacer.h"

#include "check.h"

using penstock::engine::BatchPacer;
using penstock::engine::kAutoDelay;

namespace {

// Wakes at a steady rate for a second, and the delay at its end.
int AfterASecondOf(BatchPacer& pacer, int64_t& now_us, int per_second) {
  int delay = 0;
  for (int i = 0; i < per_second; ++i) delay = pacer.OnWake(now_us += 1'000'000 / per_second);
  return delay;
}

}  // namespace

TEST(batch_pacer_fixed_is_what_was_asked_within_its_limit) {
  int64_t now = 0;
  for (const auto& [asked, given] : {std::pair{0, 0}, {300, 300}, {2000, 2000}, {9999, 2000}}) {
    BatchPacer pacer(asked);
    CHECK_EQ(AfterASecondOf(pacer, now, 10000), given);
  }
}

TEST(batch_pacer_auto_waits_only_at_high_rates) {
  BatchPacer pacer(kAutoDelay);
  int64_t now = 0;
  CHECK_EQ(AfterASecondOf(pacer, now, 500), 0);
  CHECK_EQ(AfterASecondOf(pacer, now, 1900), 0);
  CHECK_EQ(AfterASecondOf(pacer, now, 5000), 500);
  // The wait itself lowers the rate: that alone must not end it.
  CHECK_EQ(AfterASecondOf(pacer, now, 1500), 500);
  CHECK_EQ(AfterASecondOf(pacer, now, 500), 0);
}

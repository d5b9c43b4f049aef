#include "engine/burst_pacer.h"

#include "check.h"

using penstock::engine::BurstPacer;
using penstock::engine::kAutoDelay;
using penstock::engine::kBurstGapUs;
using penstock::engine::kBurstWaitUs;

TEST(burst_pacer_waits_for_the_rest_of_a_burst_only) {
  const BurstPacer pacer(kAutoDelay);
  CHECK_EQ(pacer.OnWake(1'000'000), 0);  // the first of it
  CHECK_EQ(pacer.OnWake(10), kBurstWaitUs);
  CHECK_EQ(pacer.OnWake(kBurstGapUs - 1), kBurstWaitUs);
  CHECK_EQ(pacer.OnWake(kBurstGapUs), 0);
}

TEST(burst_pacer_fixed_is_what_was_asked_within_its_limit) {
  CHECK_EQ(BurstPacer(0).OnWake(10), 0);
  CHECK_EQ(BurstPacer(300).OnWake(1'000'000), 300);
  CHECK_EQ(BurstPacer(9999).OnWake(10), 2000);
}

#include "flow/rate_limit.h"

#include "check.h"

using penstock::flow::RateLimit;

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr size_t kHalf = 100'000 / 8 / 2;  // bytes of half a second of one unit

}  // namespace

TEST(rate_limit_of_zero_is_none) {
  RateLimit limit;
  CHECK(!limit.limited());
  limit.Configure(1);
  CHECK(limit.limited());
  limit.Configure(0);
  CHECK(!limit.limited());
}

TEST(rate_limit_passes_a_second_at_once_and_then_its_mean) {
  RateLimit limit;
  limit.Configure(1);
  int64_t now = 50 * kSecond;
  CHECK(limit.Take(kHalf, now));
  CHECK(limit.Take(kHalf, now));
  CHECK(!limit.Take(1, now));  // not one byte more
  CHECK(!limit.Take(kHalf, now += kSecond / 4));
  CHECK(limit.Take(kHalf, now += kSecond / 4));
  now += 1000 * kSecond;  // silence is not saved up for longer than a second
  CHECK(limit.Take(2 * kHalf, now));
  CHECK(!limit.Take(1, now));
  CHECK(!limit.Take(1, now - kSecond));  // a clock that goes back gives nothing
}

TEST(rate_limit_keeps_its_bucket_when_nothing_changes) {
  RateLimit limit;
  limit.Configure(1);
  CHECK(limit.Take(2 * kHalf, kSecond));
  limit.Configure(1);
  CHECK(!limit.Take(1, kSecond));
  limit.Configure(2);
  CHECK(limit.Take(4 * kHalf, kSecond));
  limit.Configure(UINT16_MAX);
  CHECK(limit.Take(65535ull * 100'000 / 8, kSecond));
}

// What the sink's BPF program leaves in its maps. Read by C and C++.
#pragma once

#include <linux/types.h>

enum {
  kSinkFineBits = 6,  // as in histogram.h
  kSinkBuckets = 36 << kSinkFineBits,
  kSinkStreams = 1 << 16,
};

struct sink_counts {
  __u64 epoch;  // set from outside; what streams hold of another one is forgotten
  __u64 since;  // set from outside: only what was sent from then on is counted
  __u64 packets;
  __u64 foreign;  // other UDP; dropped like the rest
  __u64 first_sent;  // 0: none came
  __u64 last_came;
  __u64 delay_sum;
  __u64 delay_max;
  __u64 jitter_sum;
  __u64 jitters;  // how many differences are in the sum
};

struct sink_stream {
  __s64 transit;
  __u64 epoch;
};

#pragma once

#include <string>

#include "json.h"
#include "settings.h"
#include "sink_format.h"

namespace penstock::bench {

// Drops IPv4 UDP as soon as it comes in by a device, for as long as it lives, and measures the media among
// it on the way: in BPF, since a firewall rule or a socket costs as much as what is measured.
// Needs root and Linux 6.6 (tcx). Everything throws std::system_error.
class Sink {
 public:
  explicit Sink(const std::string& device);

  // `reset` forgets what came, and what was sent; `report`: received, foreign, delayUs, jitterUs (mean,
  // RFC 3550 §6.4.1), seconds from the first one's sending to the last one's arrival.
  Json Obey(const Settings& command);

 private:
  void Reset();
  Json Report() const;

  const size_t processors_;  // of which each has counts of its own
  const int counts_;
  const int buckets_;
  const int streams_;
  uint64_t epoch_ = 0;
};

}  // namespace penstock::bench

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace penstock::bench {

// Sizes and times of the RTP packets that a real server sent.
struct Recording {
  struct Packet {
    int64_t at_ns;  // from the first one
    size_t bytes;
  };
  std::vector<Packet> packets;
  int64_t period_ns;  // until it begins anew
};

// Lines of `MICROSECONDS BYTES`, times in order; `#` begins a comment line. Throws std::runtime_error.
Recording ReadRecording(const std::string& file);

}  // namespace penstock::bench

#include "recording.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "clock.h"

namespace penstock::bench {

Recording ReadRecording(const std::string& file) {
  std::ifstream in(file);
  Recording recording;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    int64_t microseconds = 0;
    size_t bytes = 0;
    if (!(fields >> microseconds >> bytes)) throw std::runtime_error(file + ": " + line);
    recording.packets.push_back({microseconds * kMicrosecond, bytes});
  }
  if (recording.packets.size() < 2) throw std::runtime_error(file + ": no recording");
  const int64_t last = recording.packets.back().at_ns;
  // The pause before the first packet is the mean one: the recording does not hold it.
  recording.period_ns = last + last / static_cast<int64_t>(recording.packets.size() - 1);
  return recording;
}

}  // namespace penstock::bench

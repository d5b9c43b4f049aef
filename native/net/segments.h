// The packets of one received buffer: GRO merges those of one source into one, all of the
// same size but the last.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock::net {

class Segments {
 public:
  // `size`: of each packet, 0 = the buffer is one packet. An empty buffer is one empty packet.
  Segments(std::span<uint8_t> buffer, uint32_t size) : rest_(buffer), size_(size != 0 ? size : buffer.size()) {}

  bool Next(std::span<uint8_t>& packet) {
    if (done_) return false;
    packet = rest_.first(std::min<size_t>(size_, rest_.size()));
    rest_ = rest_.subspan(packet.size());
    done_ = rest_.empty();
    return true;
  }

 private:
  std::span<uint8_t> rest_;
  size_t size_;
  bool done_ = false;
};

}  // namespace penstock::net

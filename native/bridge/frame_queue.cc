#include "bridge/frame_queue.h"

#include <algorithm>

#include "wire/splitter.h"

namespace penstock::bridge {
namespace {

constexpr size_t kKept = 64 * 1024;  // memory that an empty queue keeps

}  // namespace

// What was popped makes room before more is taken.
void FrameQueue::Push(uint8_t channel, std::span<const uint8_t> payload) {
  if (head_ > bytes_.size() / 2) {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(head_));
    head_ = 0;
  }
  const uint8_t header[wire::kFrameHeader] = {wire::kFrameMark, channel, static_cast<uint8_t>(payload.size() >> 8),
                                              static_cast<uint8_t>(payload.size())};
  bytes_.insert(bytes_.end(), header, header + sizeof(header));
  bytes_.insert(bytes_.end(), payload.begin(), payload.end());
}

void FrameQueue::Pop(size_t bytes) {
  head_ += bytes;
  if (empty()) Clear();
}

void FrameQueue::DropChannel(uint8_t channel) {
  size_t kept = head_;
  for (size_t at = head_; at < bytes_.size();) {
    const size_t size = wire::FrameSize(&bytes_[at]);
    if (bytes_[at + 1] != channel) {
      std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at), size, bytes_.begin() + static_cast<ptrdiff_t>(kept));
      kept += size;
    }
    at += size;
  }
  bytes_.resize(kept);
}

void FrameQueue::Clear() {
  head_ = 0;
  bytes_.clear();
  if (bytes_.capacity() > kKept) bytes_.shrink_to_fit();
}

}  // namespace penstock::bridge

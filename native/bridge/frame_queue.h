// Whole frames that wait to be written to a connection, in one piece, as they will be written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace penstock::bridge {

inline constexpr size_t kLargestPayload = 65'535;  // RFC 2326 §10.12: two bytes tell its length

class FrameQueue {
 public:
  bool empty() const { return head_ == bytes_.size(); }
  size_t size() const { return bytes_.size() - head_; }
  std::span<const uint8_t> bytes() const { return {bytes_.data() + head_, size()}; }

  // `payload`: at most kLargestPayload bytes.
  void Push(uint8_t channel, std::span<const uint8_t> payload);
  // So many bytes at the head are dealt with: whole frames. What was theirs is not touched before the next Push.
  void Pop(size_t bytes);
  // Those of a channel that is closed.
  void DropChannel(uint8_t channel);
  void Clear();

 private:
  size_t head_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace penstock::bridge

#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "json.h"
#include "stamp.h"

namespace penstock::bench {

struct FarmStream;

// Stamps packets and sends them, those of one socket in few calls.
class MediaOut {
 public:
  // `merge`: packets that are flushed together are of one stream and size, and leave as one message of
  // UDP_SEGMENT, as they are after GRO on arrival.
  explicit MediaOut(bool merge) : merge_(merge), filler_(kMaxPacket, 'x') {}

  // `bytes` from kHeadBytes to kMaxPacket. Interleaved streams are written to at once.
  void Append(FarmStream& stream, size_t bytes, bool marker);
  void Flush();

  Json Report() const { return Json().Put("sent", sent_).Put("unsent", unsent_).Put("bytes", bytes_); }
  uint64_t sent() const { return sent_; }

 private:
  static constexpr size_t kBatch = 64;

  void SendFrame(FarmStream& stream, size_t bytes);
  void FlushUdp();
  void FlushMerged();

  const bool merge_;
  const std::string filler_;
  std::array<Head, kBatch> heads_;
  std::array<iovec, 2 * kBatch> parts_;
  std::array<mmsghdr, kBatch> messages_;
  std::array<int, kBatch> fds_;
  size_t used_ = 0;
  int64_t stamp_ns_ = 0;
  uint64_t sent_ = 0;
  uint64_t unsent_ = 0;
  uint64_t bytes_ = 0;  // asked to be sent
};

}  // namespace penstock::bench

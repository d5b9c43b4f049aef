#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "event_loop.h"
#include "histogram.h"
#include "json.h"

namespace penstock::bench {

// Where clients receive media: a few pairs of UDP sockets that many sessions share, since packets
// say which stream they are of. Counts, and measures delays and gaps, from `Reset` on.
class Receiver {
 public:
  struct Pair {
    int rtp;
    int rtcp;
    int port;  // of RTP; RTCP is the next one
  };

  explicit Receiver(EventLoop& loop) : loop_(loop) {}

  // Binds `count` pairs from `first_port` on.
  void Listen(const sockaddr_in& address, int first_port, int count);
  const std::vector<Pair>& pairs() const { return pairs_; }

  // A packet that came interleaved.
  void Take(std::span<const uint8_t> packet, int64_t now);
  void Reset();
  Json Report() const;

 private:
  struct Stream {
    bool started = false;
    uint32_t next = 0;  // sequence number
    int64_t last_ns = 0;
    int64_t longest_ns = 0;
    int64_t missing = 0;
    uint64_t received = 0;
  };
  struct Socket : Handler {
    Receiver* receiver = nullptr;
    int fd = -1;
    bool media = false;
    uint32_t overflow = 0;  // as the kernel counts since the socket was made
    void OnReady(uint32_t events) override;
    void ReadControl(const msghdr& header, size_t& segment);
  };

  void Watch(int fd, bool media);

  EventLoop& loop_;
  std::vector<Pair> pairs_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::vector<Stream> streams_;
  Histogram delay_;
  uint64_t received_ = 0;
  uint64_t late_ = 0;      // came after a later one of the same stream
  uint64_t foreign_ = 0;   // not one of ours
  uint64_t overflow_ = 0;  // lost in our own receive buffers
  uint64_t rtcp_ = 0;
};

}  // namespace penstock::bench

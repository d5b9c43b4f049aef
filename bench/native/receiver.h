#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <span>
#include <vector>

#include "histogram.h"
#include "json.h"

namespace penstock::bench {

// Where clients receive media: a few pairs of UDP sockets that many sessions share, since packets
// say which stream they are of. Counts, and measures delays and gaps, from `Reset` on.
//
// Nobody sleeps on the sockets: waking a client would be charged to whoever sends to it. They are
// emptied now and then, and the kernel's own time stamps tell when each packet came.
class Receiver {
 public:
  struct Pair {
    int rtp;
    int rtcp;
    int port;  // of RTP; RTCP is the next one
  };

  // Binds `count` pairs from `first_port` on.
  void Listen(const sockaddr_in& address, int first_port, int count);
  const std::vector<Pair>& pairs() const { return pairs_; }

  // Empties the sockets, at most once a millisecond.
  void Collect();
  // A packet that came interleaved, or out of a socket.
  void Take(std::span<const uint8_t> packet, int64_t came);
  void Reset();
  Json Report() const;

 private:
  struct Stream {
    bool started = false;
    uint32_t next = 0;  // sequence number
    int64_t last_ns = 0;
    int64_t transit_ns = 0;  // of the last packet
    int64_t longest_ns = 0;
    int64_t missing = 0;
    uint64_t received = 0;
  };
  struct Socket {
    int fd;
    bool media;
    uint32_t overflow = 0;  // as the kernel counts since the socket was made
  };
  struct Arrival {
    size_t segment;
    int64_t came;
  };

  void Empty(Socket& socket);
  Arrival ReadControl(Socket& socket, msghdr& header, size_t bytes);

  std::vector<Pair> pairs_;
  std::vector<Socket> sockets_;
  int64_t next_ = 0;
  int64_t since_ns_ = 0;  // what was sent before is not counted
  int64_t first_sent_ns_ = 0;
  int64_t last_came_ns_ = 0;
  std::vector<Stream> streams_;
  Histogram delay_;
  int64_t jitter_ns_ = 0;  // sum of differences
  uint64_t jitters_ = 0;
  uint64_t received_ = 0;
  uint64_t late_ = 0;      // came after a later one of the same stream
  uint64_t foreign_ = 0;   // not one of ours
  uint64_t overflow_ = 0;  // lost in our own receive buffers
  uint64_t rtcp_ = 0;
};

}  // namespace penstock::bench

// Receives datagrams of many sockets into one fixed batch of buffers.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "net/media_address.h"
#include "table/region_layout.h"

namespace penstock::net {

// Holds any datagram, and whatever GRO merges.
inline constexpr size_t kReceiveBuffer = 64 * 1024;

struct Datagram {
  std::span<uint8_t> bytes;
  table::Endpoint source;
  uint32_t segment;                  // GRO: size of each packet in `bytes` but the last; 0 = one packet
  bool truncated;
  std::optional<uint32_t> overflow;  // packets this socket ever lost (SO_RXQ_OVFL); absent until the first loss
};

class UdpReceiver {
 public:
  UdpReceiver(uint32_t slots, size_t buffer_bytes);

  // Empties the batch; spans given out before end here.
  void Clear();
  uint32_t free_slots() const { return slots_ - used_; }

  struct Outcome {
    std::span<const Datagram> received;
    int error;  // errno of a socket that has more to say than "empty", else 0
  };
  // Takes what waits in `fd` as far as slots are free. Never blocks, never throws.
  Outcome Receive(int fd);

 private:
  struct Slot {
    iovec data;
    MediaAddress source;
    // UDP_GRO and SO_RXQ_OVFL, both four bytes.
    alignas(cmsghdr) uint8_t control[2 * CMSG_SPACE(sizeof(uint32_t))];
  };

  void Prepare(uint32_t slot);
  Datagram Read(uint32_t slot, const mmsghdr& message);

  const uint32_t slots_;
  const size_t buffer_bytes_;
  uint32_t used_ = 0;
  std::unique_ptr<uint8_t[]> memory_;
  std::vector<Slot> slot_;
  std::vector<mmsghdr> messages_;
  std::vector<Datagram> datagrams_;
};

// What a relaying socket needs: loss counter, no path MTU discovery (large packets are
// fragmented as from any endpoint), and GRO where asked for. Never switches GRO off: merged
// packets that wait in the queue would then lose their borders.
void PrepareMediaSocket(int fd, bool gro);

}  // namespace penstock::net

// Sends a batch of packets, built around runs: consecutive packets of one size from one
// socket to one remote leave as one UDP_SEGMENT message without being copied, the rest
// by sendmmsg. A leg that the kernel refuses GSO for goes on without it.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>

#include "counters/counters.h"
#include "net/media_address.h"

namespace penstock::net {

inline constexpr size_t kMaxRunPackets = 64;    // UDP_MAX_SEGMENTS of the oldest kernels
inline constexpr size_t kMaxRunBytes = 65'000;  // below the 65,507 of one datagram

struct SendTarget {
  int fd = -1;
  MediaAddress address;     // length 0 = no remote
  bool gso_refused = false;  // the sender sets it

  bool usable() const { return fd >= 0 && address.length != 0; }
};

struct Outgoing {
  SendTarget* to;
  std::span<const uint8_t> bytes;
  bool sent = false;  // the sender sets it: the kernel took the packet
};

// How many packets from the start of `packets`, all for one target, can leave as one message:
// equal sizes, the last may be shorter. At least 1.
size_t RunLength(std::span<const Outgoing> packets);

class UdpSender {
 public:
  UdpSender(bool gso, counters::CounterBlock& counters) : gso_(gso), counters_(counters) {}

  // Never blocks: what a full socket does not take is dropped and counted, as a late packet is
  // worth nothing. Sets `sent` of each packet.
  void Send(std::span<Outgoing> packets);

 private:
  static constexpr size_t kMaxMessages = 64;
  static constexpr size_t kMaxParts = 1024;

  struct Message {  // one run
    size_t packets;
    alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
  };

  size_t Build(std::span<Outgoing> packets);
  void BuildRun(std::span<Outgoing> run);
  void SendGroup(std::span<Outgoing> packets);
  size_t Flush(std::span<Outgoing> packets);
  size_t OnError(std::span<Outgoing> rest, size_t run, int error);
  void Sent(std::span<Outgoing> run);

  const bool gso_;
  counters::CounterBlock& counters_;
  size_t messages_used_ = 0;
  size_t parts_used_ = 0;
  std::array<mmsghdr, kMaxMessages> headers_;
  std::array<Message, kMaxMessages> messages_;
  std::array<iovec, kMaxParts> parts_;
};

}  // namespace penstock::net

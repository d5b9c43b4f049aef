#include "net/udp_sender.h"

#include <netinet/udp.h>

#include <cerrno>
#include <cstring>

namespace penstock::net {
namespace {

using counters::Counter;

// EIO: the route's device cannot checksum segments; EINVAL, EMSGSIZE: the segment is larger
// than the path takes in one piece. Sent singly such packets are checksummed or fragmented.
bool RefusesGso(int error) { return error == EIO || error == EINVAL || error == EMSGSIZE; }

bool IsFull(int error) { return error == EAGAIN || error == ENOBUFS; }

size_t GroupLength(std::span<const Outgoing> packets) {
  size_t length = 1;
  while (length < packets.size() && packets[length].to == packets[0].to) ++length;
  return length;
}

}  // namespace

size_t RunLength(std::span<const Outgoing> packets) {
  const size_t size = packets[0].bytes.size();
  size_t total = size;
  size_t length = 1;
  while (length < packets.size() && length < kMaxRunPackets && size != 0) {
    const size_t next = packets[length].bytes.size();
    if (next == 0 || next > size || total + next > kMaxRunBytes) break;
    total += next;
    ++length;
    if (next < size) break;
  }
  return length;
}

void UdpSender::Send(std::span<Outgoing> packets) {
  while (!packets.empty()) {
    const size_t group = GroupLength(packets);
    SendGroup(packets.first(group));
    packets = packets.subspan(group);
  }
}

void UdpSender::SendGroup(std::span<Outgoing> packets) {
  while (!packets.empty()) {
    const size_t built = Build(packets);
    const size_t done = Flush(packets.first(built));
    packets = packets.subspan(done);
  }
}

// Lays out as many packets as there are messages and parts; gives how many.
size_t UdpSender::Build(std::span<Outgoing> packets) {
  messages_used_ = parts_used_ = 0;
  const bool gso = gso_ && !packets[0].to->gso_refused;
  size_t built = 0;
  while (built < packets.size() && messages_used_ < kMaxMessages && parts_used_ + kMaxRunPackets <= kMaxParts) {
    const size_t run = gso ? RunLength(packets.subspan(built)) : 1;
    BuildRun(packets.subspan(built, run));
    built += run;
  }
  return built;
}

void UdpSender::BuildRun(std::span<Outgoing> run) {
  msghdr& header = headers_[messages_used_].msg_hdr;
  header = {};
  header.msg_name = &run[0].to->address.any;
  header.msg_namelen = run[0].to->address.length;
  header.msg_iov = &parts_[parts_used_];
  for (const Outgoing& packet : run) {
    auto* bytes = const_cast<uint8_t*>(packet.bytes.data());
    iovec* last = header.msg_iovlen == 0 ? nullptr : &parts_[parts_used_ - 1];
    // What GRO merged lies in one piece already.
    if (last != nullptr && static_cast<uint8_t*>(last->iov_base) + last->iov_len == bytes) {
      last->iov_len += packet.bytes.size();
      continue;
    }
    parts_[parts_used_++] = {bytes, packet.bytes.size()};
    ++header.msg_iovlen;
  }
  Message& message = messages_[messages_used_++];
  message.packets = run.size();
  if (run.size() == 1) return;
  header.msg_control = message.control;
  header.msg_controllen = sizeof(message.control);
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_UDP;
  part->cmsg_type = UDP_SEGMENT;
  part->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  const auto segment = static_cast<uint16_t>(run[0].bytes.size());
  std::memcpy(CMSG_DATA(part), &segment, sizeof(segment));
}

// Sends what was built; gives how many packets are dealt with. Fewer than given when GSO
// was refused: the rest is to be built again without it.
size_t UdpSender::Flush(std::span<Outgoing> packets) {
  size_t message = 0;
  size_t packet = 0;
  while (message < messages_used_) {
    const int sent = ::sendmmsg(packets[packet].to->fd, &headers_[message], messages_used_ - message, MSG_DONTWAIT);
    counters_.Add(Counter::tx_calls, 1);
    if (sent < 0) {
      const size_t run = messages_[message].packets;
      const size_t passed = OnError(packets.subspan(packet), run, errno);
      packet += passed;
      if (passed != run) return packet;
      ++message;
      continue;
    }
    for (int i = 0; i < sent; ++i, ++message) {
      Sent(packets.subspan(packet, messages_[message].packets));
      packet += messages_[message].packets;
    }
  }
  return packet;
}

// The first run of `rest` was not sent. Gives how many packets are given up: that run, all
// of them where the socket is full, none where the run is to be tried again without GSO.
size_t UdpSender::OnError(std::span<Outgoing> rest, size_t run, int error) {
  if (IsFull(error)) {
    counters_.Add(Counter::tx_blocked, rest.size());
    return rest.size();
  }
  if (run > 1 && RefusesGso(error)) {
    rest[0].to->gso_refused = true;
    counters_.Add(Counter::gso_fallbacks, 1);
    return 0;
  }
  counters_.Add(Counter::tx_errors, run);
  return run;
}

void UdpSender::Sent(std::span<Outgoing> run) {
  uint64_t bytes = 0;
  for (Outgoing& packet : run) {
    packet.sent = true;
    bytes += packet.bytes.size();
  }
  counters_.Add(Counter::tx_packets, run.size());
  counters_.Add(Counter::tx_bytes, bytes);
  if (run.size() > 1) counters_.Add(Counter::gso_runs, 1);
}

}  // namespace penstock::net

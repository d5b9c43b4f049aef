#include "net/udp_receiver.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace penstock::net {
namespace {

// Buffers 64 KiB apart would all fall into the same sets of the cache.
constexpr size_t kStagger = 2048 + 64;

void SetOption(int fd, int level, int name, int value) { ::setsockopt(fd, level, name, &value, sizeof(value)); }

}  // namespace

UdpReceiver::UdpReceiver(uint32_t slots, size_t buffer_bytes)
    : slots_(slots),
      buffer_bytes_(buffer_bytes),
      memory_(new uint8_t[slots * (buffer_bytes + kStagger)]),
      slot_(slots),
      messages_(slots),
      datagrams_(slots) {
  for (uint32_t i = 0; i < slots; ++i) {
    slot_[i].data = {&memory_[i * (buffer_bytes_ + kStagger)], buffer_bytes_};
    Prepare(i);
  }
}

void UdpReceiver::Prepare(uint32_t slot) {
  msghdr& header = messages_[slot].msg_hdr;
  header = {};
  header.msg_name = &slot_[slot].source.any;
  header.msg_namelen = sizeof(sockaddr_in6);
  header.msg_iov = &slot_[slot].data;
  header.msg_iovlen = 1;
  header.msg_control = slot_[slot].control;
  header.msg_controllen = sizeof(slot_[slot].control);
}

void UdpReceiver::Clear() {
  for (uint32_t i = 0; i < used_; ++i) Prepare(i);
  used_ = 0;
}

UdpReceiver::Outcome UdpReceiver::Receive(int fd) {
  const uint32_t first = used_;
  const int count = ::recvmmsg(fd, &messages_[first], free_slots(), MSG_DONTWAIT, nullptr);
  if (count < 0) return {{}, errno == EAGAIN || errno == EINTR ? 0 : errno};
  for (int i = 0; i < count; ++i, ++used_) datagrams_[used_] = Read(used_, messages_[used_]);
  return {{&datagrams_[first], static_cast<size_t>(count)}, 0};
}

Datagram UdpReceiver::Read(uint32_t slot, const mmsghdr& message) {
  Datagram out{};
  out.bytes = {static_cast<uint8_t*>(slot_[slot].data.iov_base), std::min<size_t>(message.msg_len, buffer_bytes_)};
  out.source = ToEndpoint(slot_[slot].source);
  out.truncated = (message.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  auto& header = const_cast<msghdr&>(message.msg_hdr);
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level == SOL_UDP && part->cmsg_type == UDP_GRO) {
      int size = 0;
      std::memcpy(&size, CMSG_DATA(part), sizeof(size));
      out.segment = size > 0 ? static_cast<uint32_t>(size) : 0;
    } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL) {
      uint32_t lost = 0;
      std::memcpy(&lost, CMSG_DATA(part), sizeof(lost));
      out.overflow = lost;
    }
  }
  return out;
}

void PrepareMediaSocket(int fd, bool gro) {
  SetOption(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  if (gro) SetOption(fd, SOL_UDP, UDP_GRO, 1);
  // Both families: an IPv6 socket may carry mapped IPv4, and an IPv4 one just refuses the first.
  SetOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  SetOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

}  // namespace penstock::net

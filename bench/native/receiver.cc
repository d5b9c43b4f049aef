#include "receiver.h"

#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "clock.h"
#include "sockets.h"
#include "stamp.h"

namespace penstock::bench {
namespace {

constexpr unsigned kMessages = 32;
constexpr size_t kMessageBytes = 65'536;
constexpr size_t kControlBytes = CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t)) + CMSG_SPACE(sizeof(timespec));
constexpr int64_t kCollectPeriod = kMillisecond;
constexpr int kReceiveBuffer = 64 << 20;
constexpr int kRtcpBuffer = 1 << 20;
constexpr uint32_t kMaxStreams = 1 << 20;

// One set of buffers serves every socket: there is one thread.
struct Buffers {
  uint8_t bytes[kMessages][kMessageBytes];
  alignas(cmsghdr) char control[kMessages][kControlBytes];
  iovec parts[kMessages];
  mmsghdr messages[kMessages];
};

// The kernel stamps packets by the clock of the day.
int64_t FromRealTime(const timespec& when) {
  timespec real{};
  ::clock_gettime(CLOCK_REALTIME, &real);
  const int64_t ago = int64_t{real.tv_sec - when.tv_sec} * kSecond + (real.tv_nsec - when.tv_nsec);
  return Now() - ago;
}

}  // namespace

void Receiver::Listen(const sockaddr_in& address, int first_port, int count) {
  for (int i = 0; i < count; ++i) {
    const int port = first_port + 2 * i;
    const Pair pair{BindUdp(WithPort(address, port)), BindUdp(WithPort(address, port + 1)), port};
    SetBuffers(pair.rtp, kReceiveBuffer, kRtcpBuffer);
    SetOption(pair.rtp, SOL_UDP, UDP_GRO, 1);
    SetOption(pair.rtp, SOL_SOCKET, SO_RXQ_OVFL, 1);
    SetOption(pair.rtp, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    sockets_.push_back({pair.rtp, true});
    sockets_.push_back({pair.rtcp, false});
    pairs_.push_back(pair);
  }
}

void Receiver::Collect() {
  const int64_t now = Now();
  if (now < next_) return;
  next_ = now + kCollectPeriod;
  for (Socket& socket : sockets_) Empty(socket);
}

void Receiver::Empty(Socket& socket) {
  static Buffers buffers;
  int count = 0;
  do {
    for (unsigned i = 0; i < kMessages; ++i) {
      buffers.parts[i] = {buffers.bytes[i], kMessageBytes};
      msghdr& header = buffers.messages[i].msg_hdr;
      header = {};
      header.msg_iov = &buffers.parts[i];
      header.msg_iovlen = 1;
      header.msg_control = buffers.control[i];
      header.msg_controllen = kControlBytes;
    }
    count = ::recvmmsg(socket.fd, buffers.messages, kMessages, MSG_DONTWAIT, nullptr);
    if (!socket.media) rtcp_ += static_cast<uint64_t>(std::max(count, 0));
    for (int i = 0; socket.media && i < count; ++i) {
      std::span<const uint8_t> rest(buffers.bytes[i], buffers.messages[i].msg_len);
      const auto [segment, came] = ReadControl(socket, buffers.messages[i].msg_hdr, rest.size());
      while (!rest.empty()) {
        const size_t size = std::min(segment, rest.size());
        Take(rest.first(size), came);
        rest = rest.subspan(size);
      }
    }
  } while (count == static_cast<int>(kMessages));
}

Receiver::Arrival Receiver::ReadControl(Socket& socket, msghdr& header, size_t bytes) {
  Arrival arrival{bytes, Now()};
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
      timespec came{};
      std::memcpy(&came, CMSG_DATA(part), sizeof(came));
      arrival.came = FromRealTime(came);
      continue;
    }
    uint32_t value = 0;
    std::memcpy(&value, CMSG_DATA(part), sizeof(value));
    if (part->cmsg_level == SOL_UDP && part->cmsg_type == UDP_GRO && value > 0) arrival.segment = value;
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL) {
      overflow_ += value - socket.overflow;
      socket.overflow = value;
    }
  }
  return arrival;
}

void Receiver::Take(std::span<const uint8_t> packet, int64_t came) {
  Stamp stamp;
  if (!ReadStamp(packet, stamp) || stamp.stream >= kMaxStreams) {
    ++foreign_;
    return;
  }
  if (stamp.sent_ns < since_ns_) return;  // left over from the measurement before
  if (stamp.stream >= streams_.size()) streams_.resize(stamp.stream + 1);
  Stream& stream = streams_[stamp.stream];
  if (received_++ == 0) first_sent_ns_ = stamp.sent_ns;
  last_came_ns_ = came;
  ++stream.received;
  delay_.Add(came - stamp.sent_ns);
  const auto ahead = static_cast<int32_t>(stamp.sequence - stream.next);
  if (stream.started && ahead < 0) {
    ++late_;
    --stream.missing;
    return;
  }
  if (stream.started) {
    stream.missing += ahead;
    stream.longest_ns = std::max(stream.longest_ns, came - stream.last_ns);
    jitter_ns_ += std::abs(came - stamp.sent_ns - stream.transit_ns);
    ++jitters_;
  }
  stream.transit_ns = came - stamp.sent_ns;
  stream.started = true;
  stream.next = stamp.sequence + 1;
  stream.last_ns = came;
}

void Receiver::Reset() {
  since_ns_ = Now();
  first_sent_ns_ = last_came_ns_ = 0;
  streams_.clear();
  delay_.Clear();
  jitter_ns_ = 0;
  jitters_ = 0;
  received_ = late_ = foreign_ = overflow_ = rtcp_ = 0;
}

Json Receiver::Report() const {
  size_t heard = 0;
  int64_t missing = 0;
  int64_t longest = 0;
  int64_t worst = 0;
  for (const Stream& stream : streams_) {
    heard += stream.started ? 1 : 0;
    missing += stream.missing;
    longest = std::max(longest, stream.longest_ns);
    worst = std::max(worst, stream.missing);
  }
  Json json;
  json.Put("received", received_).Put("streams", heard).Put("missing", missing).Put("missingWorst", worst);
  json.Put("late", late_).Put("foreign", foreign_).Put("overflow", overflow_).Put("rtcp", rtcp_);
  const double jitter = jitters_ == 0 ? 0 : static_cast<double>(jitter_ns_) / static_cast<double>(jitters_);
  json.Put("jitterUs", jitter / kMicrosecond);
  json.Put("seconds", static_cast<double>(last_came_ns_ - first_sent_ns_) / kSecond);
  json.Put("longestGapMs", static_cast<double>(longest) / kMillisecond);
  return json.Put("delayUs", delay_.Report());
}

}  // namespace penstock::bench

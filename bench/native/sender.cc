#include "sender.h"

#include <netinet/udp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <vector>

#include "clock.h"
#include "farm.h"
#include "stamp.h"

namespace penstock::bench {
namespace {

constexpr size_t kFramePackets = 42;  // 50 kB: what a key frame of HD video takes
constexpr size_t kBatch = 64;
constexpr int64_t kLongestDebt = 2 * kMillisecond;
constexpr int64_t kServicePeriod = 5 * kMillisecond;  // RTSP goes on while media is sent

enum class Pattern { kFrames, kMerged, kInterleaved };

Pattern ParsePattern(const std::string& text) {
  if (text == "frames") return Pattern::kFrames;
  if (text == "merged") return Pattern::kMerged;
  if (text == "interleaved") return Pattern::kInterleaved;
  throw std::invalid_argument("pattern= frames, merged or interleaved, not " + text);
}

class Sender {
 public:
  Sender(Farm& farm, const Settings& command)
      : farm_(farm),
        streams_(farm.PlayingStreams()),
        pattern_(ParsePattern(command.Text("pattern", "frames"))),
        size_(static_cast<size_t>(command.Whole("size", 1200))),
        rate_(command.Number("rate", 10'000)),
        duration_(static_cast<int64_t>(command.Number("seconds", 1) * kSecond)),
        quantum_(static_cast<int64_t>(command.Number("quantum-us", 100) * kMicrosecond)),
        filler_(kMaxPacket, 'x') {
    if (streams_.empty()) throw std::invalid_argument("no stream plays");
    if (size_ < kHeadBytes || size_ > kMaxPacket) throw std::invalid_argument("size= 28 to 1472");
    if (pattern_ == Pattern::kMerged && size_ * kFramePackets > 65'000) throw std::invalid_argument("merged: size too large");
  }

  Json Run();

 private:
  void SendDue(size_t packets);
  void Append(FarmStream& stream, bool marker);
  void Flush();
  void FlushUdp();
  void FlushMerged();

  Farm& farm_;
  const std::vector<FarmStream*> streams_;
  const Pattern pattern_;
  const size_t size_;
  const double rate_;
  const int64_t duration_;
  const int64_t quantum_;

  std::string filler_;
  std::array<Head, kBatch> heads_;
  std::array<iovec, 2 * kBatch> parts_;
  std::array<mmsghdr, kBatch> messages_;
  std::array<int, kBatch> fds_;
  size_t used_ = 0;
  int64_t stamp_ns_ = 0;
  size_t turn_ = 0;  // whose turn it is
  uint64_t sent_ = 0;
  uint64_t unsent_ = 0;
  int64_t moved_ns_ = 0;
};

Json Sender::Run() {
  ::prctl(PR_SET_TIMERSLACK, 1);
  const size_t unit = pattern_ == Pattern::kInterleaved ? 1 : kFramePackets;
  const double unit_ns = rate_ > 0 ? static_cast<double>(unit) * kSecond / rate_ : 0;
  const int64_t start = Now();
  int64_t origin = start;  // of the schedule
  uint64_t units = 0;
  int64_t service = start;
  int64_t now = start;
  for (; now - start < duration_ && !farm_.program().stopping(); now = Now()) {
    auto due = [&](uint64_t nth) { return origin + static_cast<int64_t>(static_cast<double>(nth) * unit_ns); };
    if (const int64_t debt = now - due(units); rate_ > 0 && debt > kLongestDebt) {
      origin += debt;
      moved_ns_ += debt;
    }
    size_t packets = 0;
    while (packets < kBatch * 4 && due(units) <= now) {
      packets += unit;
      ++units;
    }
    SendDue(packets);
    if (now - service > kServicePeriod) {
      farm_.program().loop().Poll(0);
      service = now;
    }
    if (rate_ > 0) SleepUntil(std::max(due(units), now + quantum_));
  }
  Json json;
  json.Put("sent", sent_).Put("unsent", unsent_).Put("streams", streams_.size());
  json.Put("seconds", static_cast<double>(now - start) / kSecond).Put("movedMs", moved_ns_ / kMillisecond);
  return json.Put("rate", static_cast<double>(sent_) * kSecond / static_cast<double>(now - start));
}

void Sender::SendDue(size_t packets) {
  const size_t unit = pattern_ == Pattern::kInterleaved ? 1 : kFramePackets;
  for (; packets > 0; packets -= unit) {
    FarmStream& stream = *streams_[turn_];
    turn_ = (turn_ + 1) % streams_.size();
    for (size_t i = 0; i < unit; ++i) Append(stream, unit > 1 && i + 1 == unit);
    if (unit > 1) Flush();
  }
  Flush();
}

void Sender::Append(FarmStream& stream, bool marker) {
  if (!stream.playing) return;  // torn down meanwhile
  if (used_ == 0) stamp_ns_ = Now();
  WriteHead(heads_[used_], {stamp_ns_, stream.index, stream.sequence++}, marker);
  if (stream.carrier != nullptr) {
    const std::string_view head(reinterpret_cast<const char*>(heads_[0]), kHeadBytes);
    const bool done = stream.carrier->SendFrame(stream.channel, head, std::string_view(filler_).substr(0, size_ - kHeadBytes));
    ++(done ? sent_ : unsent_);
    return;
  }
  parts_[2 * used_] = {heads_[used_], kHeadBytes};
  parts_[2 * used_ + 1] = {filler_.data(), size_ - kHeadBytes};
  msghdr& header = messages_[used_].msg_hdr;
  header = {};
  header.msg_name = &stream.to;
  header.msg_namelen = sizeof(stream.to);
  header.msg_iov = &parts_[2 * used_];
  header.msg_iovlen = 2;
  fds_[used_] = stream.fd;
  if (++used_ == kBatch) Flush();
}

void Sender::Flush() {
  if (used_ == 0) return;
  if (pattern_ == Pattern::kMerged) {
    FlushMerged();
  } else {
    FlushUdp();
  }
  used_ = 0;
}

// Neighbours from one socket go out in one call.
void Sender::FlushUdp() {
  for (size_t at = 0; at < used_;) {
    size_t end = at + 1;
    while (end < used_ && fds_[end] == fds_[at]) ++end;
    const int done = ::sendmmsg(fds_[at], &messages_[at], static_cast<unsigned>(end - at), 0);
    if (done > 0) sent_ += static_cast<uint64_t>(done);
    if (done > 0 && at + static_cast<size_t>(done) < end) {
      at += static_cast<size_t>(done);  // the next call tells what stopped this one
      continue;
    }
    if (done <= 0) {
      ++unsent_;
      ++at;
      continue;
    }
    at = end;
  }
}

void Sender::FlushMerged() {
  msghdr header = messages_[0].msg_hdr;
  header.msg_iovlen = 2 * used_;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_UDP;
  part->cmsg_type = UDP_SEGMENT;
  part->cmsg_len = CMSG_LEN(sizeof(uint16_t));
  const auto segment = static_cast<uint16_t>(size_);
  std::memcpy(CMSG_DATA(part), &segment, sizeof(segment));
  (::sendmsg(fds_[0], &header, 0) >= 0 ? sent_ : unsent_) += used_;
}

}  // namespace

Json SendMedia(Farm& farm, const Settings& command) { return Sender(farm, command).Run(); }

}  // namespace penstock::bench

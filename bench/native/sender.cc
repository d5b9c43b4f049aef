#include "sender.h"

#include <sys/prctl.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "clock.h"
#include "farm.h"
#include "media_out.h"
#include "recording.h"
#include "schedule.h"

namespace penstock::bench {
namespace {

constexpr size_t kFramePackets = 42;  // 50 kB: what a key frame of HD video takes
constexpr size_t kMostAtOnce = 256;
constexpr size_t kMaxMerged = 65'000;
constexpr int64_t kServicePeriod = 5 * kMillisecond;  // RTSP goes on while media is sent

// What is sent next and when.
class Pattern {
 public:
  virtual ~Pattern() = default;
  // Nanoseconds from the start.
  virtual int64_t Next() const = 0;
  virtual void Send(MediaOut& out) = 0;
  // How many packets `Send` sends.
  virtual size_t packets() const = 0;
};

// `unit` packets of one stream, then of the next.
class Rotation : public Pattern {
 public:
  Rotation(std::vector<FarmStream*> streams, size_t unit, size_t bytes, double rate)
      : streams_(std::move(streams)),
        unit_(unit),
        bytes_(bytes),
        unit_ns_(rate > 0 ? static_cast<double>(unit) * kSecond / rate : 0) {
    if (bytes_ < kHeadBytes || bytes_ > kMaxPacket) throw std::invalid_argument("size= 28 to 1472");
  }

  int64_t Next() const override { return static_cast<int64_t>(static_cast<double>(units_) * unit_ns_); }
  size_t packets() const override { return unit_; }

  void Send(MediaOut& out) override {
    FarmStream& stream = *streams_[units_++ % streams_.size()];
    for (size_t i = 0; i < unit_; ++i) out.Append(stream, bytes_, unit_ > 1 && i + 1 == unit_);
    if (unit_ > 1) out.Flush();
  }

 private:
  const std::vector<FarmStream*> streams_;
  const size_t unit_;
  const size_t bytes_;
  const double unit_ns_;
  uint64_t units_ = 0;
};

// One turn of the recording for all streams, over and over.
class Replay : public Pattern {
 public:
  Replay(const std::vector<FarmStream*>& streams, const Recording& recording) : period_(recording.period_ns) {
    events_.reserve(streams.size() * recording.packets.size());
    for (size_t i = 0; i < streams.size(); ++i) {
      const int64_t offset = period_ * static_cast<int64_t>(i) / static_cast<int64_t>(streams.size());
      for (const auto& [at_ns, bytes] : recording.packets) {
        events_.push_back({(at_ns + offset) % period_, streams[i], std::clamp(bytes, kHeadBytes, kMaxPacket)});
      }
    }
    std::stable_sort(events_.begin(), events_.end(), [](const Event& a, const Event& b) { return a.at_ns < b.at_ns; });
  }

  int64_t Next() const override { return turn_ * period_ + events_[next_].at_ns; }
  size_t packets() const override { return 1; }

  void Send(MediaOut& out) override {
    out.Append(*events_[next_].stream, events_[next_].bytes, false);
    if (++next_ < events_.size()) return;
    next_ = 0;
    ++turn_;
  }

 private:
  struct Event {
    int64_t at_ns;
    FarmStream* stream;
    size_t bytes;
  };

  const int64_t period_;
  std::vector<Event> events_;
  size_t next_ = 0;
  int64_t turn_ = 0;
};

std::unique_ptr<Pattern> MakePattern(Farm& farm, const Settings& command) {
  std::vector<FarmStream*> streams = farm.PlayingStreams();
  if (streams.empty()) throw std::invalid_argument("no stream plays");
  const std::string name = command.Text("pattern", "frames");
  if (name == "replay") return std::make_unique<Replay>(streams, ReadRecording(command.Text("file")));
  if (name != "frames" && name != "merged" && name != "singly") {
    throw std::invalid_argument("pattern= frames, merged, singly or replay, not " + name);
  }
  const size_t unit = name == "singly" ? 1 : kFramePackets;
  const auto bytes = static_cast<size_t>(command.Whole("size", 1200));
  if (name == "merged" && bytes * unit > kMaxMerged) throw std::invalid_argument("merged: size too large");
  return std::make_unique<Rotation>(std::move(streams), unit, bytes, command.Number("rate", 10'000));
}

}  // namespace

Json SendMedia(Farm& farm, const Settings& command) {
  const std::unique_ptr<Pattern> pattern = MakePattern(farm, command);
  const size_t streams = farm.PlayingStreams().size();
  const auto duration = static_cast<int64_t>(command.Number("seconds", 1) * kSecond);
  const auto quantum = static_cast<int64_t>(command.Number("quantum-us", 100) * kMicrosecond);
  MediaOut out(command.Text("pattern", "") == "merged");
  ::prctl(PR_SET_TIMERSLACK, 1);
  const int64_t start = Now();
  Schedule schedule(start);
  int64_t service = start;
  int64_t now = start;
  for (; now - start < duration && !farm.program().stopping(); now = Now()) {
    if (pattern->Next() > 0) schedule.KeepUp(now, pattern->Next());
    for (size_t packets = 0; packets < kMostAtOnce && schedule.Due(pattern->Next()) <= now; packets += pattern->packets()) {
      pattern->Send(out);
    }
    out.Flush();
    if (now - service > kServicePeriod) {
      farm.program().loop().Poll(0);
      service = now;
    }
    // Nothing is due sooner than that: rate=0 makes everything due at once.
    if (const int64_t next = schedule.Due(pattern->Next()); next > now) SleepUntil(std::max(next, now + quantum));
  }
  const auto took = static_cast<double>(now - start) / kSecond;
  Json json = out.Report();
  json.Put("streams", streams).Put("seconds", took).Put("movedMs", schedule.moved_ms());
  return json.Put("rate", static_cast<double>(out.sent()) / took);
}

}  // namespace penstock::bench

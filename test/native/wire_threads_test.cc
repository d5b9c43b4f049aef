// An engine in a thread of its own, stopped again and again, beside workers that die: what the two share is rings and
// rows only. For the thread sanitizer above all.
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "wire_fixture.h"
#include "wire_worker.h"

namespace {

using namespace penstock;
using namespace penstock::test;

constexpr uint32_t kClient = WireRig::kClient;
constexpr uint32_t kOther = WireRig::kOther;
constexpr uint64_t kKills = 200;  // of engines, each of which had three wires
constexpr std::chrono::microseconds kPause{100};

// Engines, one after the other, until the end.
class Engines {
 public:
  explicit Engines(WireRig& rig) : rig_(rig), thread_([this] { Run(); }) {}
  ~Engines() {
    over_ = true;
    thread_.join();
  }

 private:
  void Run() {
    std::mt19937 random(6);
    while (!over_) {
      rig_.StopAfter(random() % 8 == 0 ? static_cast<int>(1 + random() % 12) : 0);
      rig_.Turn(1);
      rig_.StopAfter(0);
      if (rig_.stopped()) rig_.Restart();
    }
  }

  WireRig& rig_;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

void TalkToTheEnd(WireRig& rig, Worker& worker, Conversation& talk, std::mt19937& random) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  const auto killing = [&rig] { return rig.Count(counters::Counter::wires_restored) < 3 * kKills; };
  while (killing() || !talk.Done()) {
    CHECK(std::chrono::steady_clock::now() < end);
    if (killing()) {
      talk.SaySomething();
      if (random() % 100 == 0) worker.Die();
    } else {
      talk.SendAll();
    }
    std::this_thread::sleep_for(kPause);
    worker.Work();
    talk.Listen();
  }
}

}  // namespace

TEST(TakeoverBesideAWorkerInAnotherThread) {
  std::mt19937 random(5);
  WireRig rig;
  rig.OpenPair(2, 0);
  rig.Open(kOther, table::kWireUpstream);
  rig.OpenStream(1, kClient, kOther, 4, 0);
  Worker worker(rig);
  Conversation talk(rig, worker, random);
  const Engines engines(rig);
  TalkToTheEnd(rig, worker, talk, random);
}

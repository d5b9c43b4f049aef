// Engines that are stopped between any two steps, and their successors: no byte is lost, doubled or moved.
#include <functional>
#include <random>

#include "wire_fixture.h"
#include "wire_worker.h"

namespace {

using namespace penstock;
using namespace penstock::test;
using counters::Counter;

constexpr uint32_t kClient = WireRig::kClient;
constexpr uint32_t kServer = WireRig::kServer;
constexpr uint32_t kOther = WireRig::kOther;
constexpr int kRounds = 200;  // of some thirty engines each, and a dozen workers

std::string Payload(size_t size, int seed) {
  std::string out(size, 'a');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + (i * 7 + static_cast<size_t>(seed)) % 26);
  return out;
}

// Runs `scenario` with an engine that is stopped after 1, 2, 3… steps, until one is not stopped any more.
void StopEverywhere(const std::function<void(WireRig&)>& begin, const std::function<void(WireRig&)>& check) {
  for (int steps = 1;; ++steps) {
    CHECK(steps < 1000);
    WireRig rig;
    begin(rig);
    rig.StopAfter(steps);
    rig.Settle();
    const bool was_stopped = rig.stopped();
    rig.StopAfter(0);
    if (was_stopped) rig.Restart();
    rig.Settle();
    check(rig);
    if (!was_stopped) return;
  }
}

}  // namespace

TEST(TakeoverOfIdleWires) {
  WireRig rig;
  rig.OpenPair();
  rig.Hear();
  rig.Restart();
  rig.Settle();
  const Heard attached = rig.Only(table::kRecordAttached, kClient);
  CHECK_EQ(attached.record.seq, 0u);
  SendAll(rig.Peer(kServer), Frame(0, "on it goes"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "on it goes"));
  CHECK_EQ(rig.Count(Counter::wires_restored), 2u);
}

TEST(TakeoverGoesOnWithCounts) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kServer), Frame(0, Payload(200, 1)));
  rig.Settle();
  rig.Restart();
  SendAll(rig.Peer(kServer), Frame(0, Payload(200, 2)));
  rig.Settle();
  CHECK_EQ(rig.Stream(0).data[table::kServerRtp].rx_packets, 2u);
  CHECK_EQ(rig.Row(kClient).tx_frames, 2u);
}

TEST(TakeoverAtEachStepOfFrames) {
  const std::string frames = Frame(0, Payload(900, 1)) + Frame(7, "nobody's") + Frame(1, Payload(30, 2)) + Frame(0, "");
  StopEverywhere(
      [&](WireRig& rig) {
        rig.OpenPair();
        SendAll(rig.Peer(kServer), frames);
      },
      [&](WireRig& rig) {
        CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, Payload(900, 1)) + Frame(1, Payload(30, 2)) + Frame(0, ""));
        SendAll(rig.Peer(kServer), Frame(0, "after"));
        rig.Settle();
        CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "after"));
      });
}

TEST(TakeoverAtEachStepOfRenumberedFramesToTwoServers) {
  StopEverywhere(
      [&](WireRig& rig) {
        rig.OpenPair(0, 0);
        rig.Open(kOther, table::kWireUpstream);
        rig.OpenStream(1, kClient, kOther, 2, 0);
        SendAll(rig.Peer(kClient), Frame(0, "a") + Frame(2, "b") + Frame(3, "c") + Frame(1, "d") + Frame(2, "e"));
        SendAll(rig.Peer(kServer), Frame(0, "f"));
        SendAll(rig.Peer(kOther), Frame(0, "g"));
      },
      [&](WireRig& rig) {
        CHECK_EQ(ReceiveAll(rig.Peer(kServer)), Frame(0, "a") + Frame(1, "d"));
        CHECK_EQ(ReceiveAll(rig.Peer(kOther)), Frame(0, "b") + Frame(1, "c") + Frame(0, "e"));
        CHECK_EQ(ReceiveAll(rig.Peer(kClient)).size(), 10u);
      });
}

TEST(TakeoverAtEachStepOfMessages) {
  StopEverywhere(
      [&](WireRig& rig) {
        rig.OpenPair();
        SendAll(rig.Peer(kServer), Frame(0, "before") + Answer(9) + Frame(0, "behind"));
        rig.Settle();
        rig.Write(kClient, 1, Answer(3), kServer, 1);
      },
      [&](WireRig& rig) {
        // What was pushed before the stop may be gone with the engine; a worker says it again.
        rig.Write(kClient, 1, Answer(3), kServer, 1);
        rig.Settle();
        rig.Push(table::kRecordContinue, kServer, 1);
        rig.Settle();
        CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "before") + Answer(3) + Frame(0, "behind"));
        CHECK_EQ(rig.Row(kClient).written_seq, 1u);
        CHECK_EQ(rig.Row(kServer).messages_taken, 1u);
      });
}

// Both the engine and the worker die after the answer was written: what it answers is not shown again.
TEST(TakeoverContinuesWhatWasAnswered) {
  StopEverywhere(
      [&](WireRig& rig) {
        rig.OpenPair();
        SendAll(rig.Peer(kClient), Request(1));
        rig.Settle();
        rig.Hear();
        rig.Write(kClient, 1, Answer(1), kClient, 1);
      },
      [&](WireRig& rig) {
        rig.Push(table::kRecordStart, kClient);
        rig.Settle();
        const bool answered = ReceiveAll(rig.Peer(kClient)) == Answer(1);
        CHECK_EQ(answered, rig.Row(kClient).messages_taken == 1);
        CHECK_EQ(answered, rig.Row(kClient).written_seq == 1);
        CHECK_EQ(!answered, rig.Said(table::kRecordMessage, kClient));
      });
}

TEST(TakeoverShowsHeldMessagesAgain) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), Request(1));
  CHECK_EQ(rig.Only(table::kRecordMessage, kClient).record.seq, 1u);
  rig.Restart();
  CHECK_EQ(rig.Only(table::kRecordMessage, kClient).record.seq, 1u);
  rig.Push(table::kRecordStart, kClient);  // a successor of the worker
  CHECK_EQ(rig.Only(table::kRecordMessage, kClient).record.seq, 1u);
  rig.Write(kServer, 1, "GET");
  rig.Write(kClient, 1, Answer(1), kClient, 1);
  rig.Push(table::kRecordStart, kClient);
  CHECK(!rig.Said(table::kRecordMessage, kClient));
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Answer(1));
}

// A peer that takes a little at a time, so that engines stop in the middle of frames and messages.
TEST(TakeoverInTheMiddleOfWhatIsWritten) {
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    WireRig rig({.small_client = true});
    rig.OpenPair();
    rig.Settle();
    Worker worker(rig);
    std::string expected, got;
    for (int i = 0; i < 30; ++i) {
      const std::string frame = Frame(0, Payload(random() % 3000, i));
      SendAll(rig.Peer(kServer), frame);
      expected += frame;
    }
    SendAll(rig.Peer(kServer), Answer(5));
    worker.replies[kServer] = [&](const std::string&) { return std::pair{kClient, Payload(20'000, round)}; };
    expected += Payload(20'000, round);
    for (int turn = 0; got.size() < expected.size() && turn < 3000; ++turn) {
      rig.StopAfter(static_cast<int>(random() % 6));
      rig.Turn(0);
      rig.StopAfter(0);
      if (rig.stopped() || random() % 4 == 0) rig.Restart();
      worker.Work();
      char buffer[3000];
      const ssize_t size = ::recv(rig.Peer(kClient).get(), buffer, random() % sizeof(buffer), 0);
      if (size > 0) got.append(buffer, static_cast<size_t>(size));
      rig.Turn(1);
    }
    CHECK(got == expected);
  }
}

TEST(TakeoverGivesUpAMessageThatNobodyCanFinish) {
  WireRig rig({.small_client = true});
  rig.OpenPair();
  rig.Write(kClient, 1, Payload(100'000, 1));
  rig.Settle();
  CHECK(rig.Row(kClient).written_seq == 0);
  rig.Hear();
  rig.Restart();
  rig.Push(table::kRecordStart, kClient);  // by a worker that has nothing of it
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndTorn);
}

TEST(TakeoverGivesUpAFrameWhoseSourceIsGone) {
  WireRig rig({.small_client = true});
  rig.OpenPair();
  for (int i = 0; i < 40; ++i) SendAll(rig.Peer(kServer), Frame(0, Payload(6000, i)));
  rig.Settle();
  memory::StoreRelease(rig.Row(kServer).state, static_cast<uint32_t>(table::kRowClosing));
  rig.Hear();
  rig.Restart();
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndTorn);
}

TEST(TakeoverOfWiresThatEnded) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), "\x16");
  ::shutdown(rig.Peer(kServer).get(), SHUT_WR);
  rig.Settle();
  rig.Hear();
  rig.Restart();
  rig.Settle();
  std::map<uint32_t, uint32_t> kinds;
  for (const Heard& heard : rig.Hear()) kinds[heard.record.wire] = heard.record.kind;
  CHECK_EQ(kinds[kClient], table::kRecordFault);
  CHECK_EQ(kinds[kServer], table::kRecordEnd);
  rig.Push(table::kRecordShutdown, kClient);
  rig.Push(table::kRecordShutdown, kServer);
  rig.Settle();
  rig.Restart();
  ::shutdown(rig.Peer(kClient).get(), SHUT_WR);
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndBoth);
  CHECK(AtEnd(rig.Peer(kClient)));
  CHECK_EQ(rig.Row(kServer).end, table::kEndBoth);
  rig.Restart();
  rig.Push(table::kRecordClose, kServer);
  CHECK(rig.Said(table::kRecordReleased, kServer));
}

// Everything at once, stopped at random, hundreds of times: each side gets exactly what the others sent.
namespace {

struct Chaos {
  bool small_buffers;
  bool workers_die;
};

void TalkThrough(const Chaos& chaos, std::mt19937& random) {
  WireRig rig({.small_client = chaos.small_buffers});
  rig.OpenPair(2, 0);
  rig.Open(kOther, table::kWireUpstream);
  rig.OpenStream(1, kClient, kOther, 4, 0);
  Worker worker(rig);
  Conversation talk(rig, worker, random);
  for (int turn = 0; turn < 100 || !talk.Done(); ++turn) {
    CHECK(turn < 5000);
    const bool calm = turn >= 100;
    if (!calm) talk.SaySomething();
    if (calm) talk.SendAll();
    rig.StopAfter(!calm && random() % 3 == 0 ? static_cast<int>(1 + random() % 12) : 0);
    rig.Turn(calm ? 1 : 0);
    rig.StopAfter(0);
    if (rig.stopped()) rig.Restart();
    if (chaos.workers_die && !calm && random() % 8 == 0) worker.Die();
    worker.Work();
    talk.Listen();
  }
}

}  // namespace

TEST(TakeoverLosesNothingAtRandom) {
  std::mt19937 random(3);
  for (int round = 0; round < kRounds; ++round) TalkThrough({.small_buffers = round % 2 == 0, .workers_die = false}, random);
}

TEST(TakeoverOfEnginesAndWorkersLosesNothing) {
  std::mt19937 random(4);
  for (int round = 0; round < kRounds; ++round) TalkThrough({.small_buffers = false, .workers_die = true}, random);
}

// Peers that do not read, peers that go away in any state, and what is left behind.
#include <dirent.h>

#include "wire/kernel_counts.h"
#include "wire_fixture.h"

namespace {

using namespace penstock;
using namespace penstock::test;
using counters::Counter;

constexpr uint32_t kClient = WireRig::kClient;
constexpr uint32_t kServer = WireRig::kServer;
constexpr uint32_t kOther = WireRig::kOther;
constexpr uint32_t kBacklog = 64 * 1024;
constexpr size_t kPayload = 1200;
constexpr int kTakeovers = 10'000;
constexpr int kFrames = 600;  // several times what all buffers on the way hold

std::string Numbered(int number, size_t size = kPayload) {
  std::string out = std::to_string(number) + ":";
  return out + std::string(size - out.size(), static_cast<char>('a' + number % 26));
}

// Sends frames of RTP 0, as a server does whose own buffer is never full; they have the time to overflow.
void SendFrames(WireRig& rig, uint32_t slot, int frames, size_t size = kPayload) {
  for (int i = 0; i < frames; ++i) SendAll(rig.Peer(slot), Frame(0, Numbered(i, size)));
  rig.Settle();
  for (int i = 0; i < 8; ++i) rig.Pass(500);
}

struct Received {
  std::vector<int> frames;  // their numbers
  std::string messages;
};

// Reads until nothing more can come; each frame must be whole and as it was sent.
Received Drain(WireRig& rig, uint32_t slot, uint32_t source = kServer) {
  std::string bytes;
  rig.SettleAll({slot, source}, [&] { bytes += ReceiveAll(rig.Peer(slot)); });
  Received out;
  while (!bytes.empty()) {
    const wire::Piece piece = wire::NextPiece(Bytes8(bytes), 65536);
    if (piece.kind == wire::PieceKind::kMessage) {
      out.messages += bytes.substr(0, piece.size);
    } else {
      CHECK_EQ(piece.kind, wire::PieceKind::kFrame);
      const int number = std::stoi(bytes.substr(4));
      CHECK_EQ(bytes.substr(0, piece.size), Frame(0, Numbered(number, piece.size - 4)));
      CHECK(out.frames.empty() || number > out.frames.back());
      out.frames.push_back(number);
    }
    bytes.erase(0, piece.size);
  }
  return out;
}

size_t OpenDescriptors() {
  size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

}  // namespace

TEST(OverflowDropsWholeFramesAndCountsThem) {
  WireRig rig({.backlog = kBacklog, .small_client = true});
  rig.OpenPair();
  SendFrames(rig, kServer, kFrames);
  const uint64_t dropped = rig.Count(Counter::wire_frames_dropped);
  CHECK(dropped > kFrames / 4);
  CHECK(wire::WaitingBytes(rig.Ours(kServer).get()) <= kBacklog + kPayload + 4);
  const Received received = Drain(rig, kClient);
  CHECK_EQ(received.frames.size() + dropped, static_cast<size_t>(kFrames));
  CHECK_EQ(received.frames.back(), kFrames - 1);  // the oldest went
  CHECK_EQ(rig.Stream(0).data[table::kServerRtp].refused, dropped);
  CHECK_EQ(rig.Row(kClient).dropped_frames, dropped);
  CHECK_EQ(rig.Stream(0).data[table::kServerRtp].rx_packets, received.frames.size());
  SendAll(rig.Peer(kServer), Frame(0, Numbered(1)));
  CHECK_EQ(Drain(rig, kClient).frames.size(), 1u);
}

// What gathered while something else was the matter is no overflow: whoever reads again gets all of it.
TEST(OverflowSparesThoseWhoCatchUp) {
  WireRig rig({.backlog = kBacklog, .small_client = true});
  rig.OpenPair();
  for (int i = 0; i < kFrames; ++i) SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
  rig.Settle();
  rig.Pass(1'000);
  CHECK(wire::WaitingBytes(rig.Ours(kServer).get()) > kBacklog);
  rig.Restart();
  rig.Pass(1'000);
  CHECK_EQ(Drain(rig, kClient).frames.size(), static_cast<size_t>(kFrames));
  SendFrames(rig, kServer, kFrames);  // and has the same time again
  CHECK(rig.Count(Counter::wire_frames_dropped) > 0);
}

TEST(OverflowLetsMessagesPass) {
  WireRig rig({.backlog = kBacklog, .small_client = true});
  rig.OpenPair();
  SendFrames(rig, kServer, kFrames);
  rig.Write(kClient, 1, Answer(1));  // goes ahead of the frames that wait
  SendAll(rig.Peer(kServer), Answer(7));
  SendFrames(rig, kServer, 20);
  std::string told;
  rig.SettleAll({kClient, kServer}, [&] {
    ReceiveAll(rig.Peer(kClient));
    for (const Heard& heard : rig.Hear()) {
      if (heard.record.kind != table::kRecordMessage) continue;
      told = heard.bytes;
      rig.Push(table::kRecordContinue, kServer, 1);
    }
  });
  CHECK_EQ(told, Answer(7));
  CHECK_EQ(rig.Row(kClient).written_seq, 1u);
}

// A question of the server's waits for a client that does not read; so does the media behind it, but not for ever.
TEST(OverflowDropsWhatIsBehindAMessageForTheSamePeer) {
  WireRig rig({.backlog = kBacklog, .small_client = true});
  rig.OpenPair();
  for (int i = 0; i < 60; ++i) SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
  SendAll(rig.Peer(kServer), Request(7));
  for (int i = 60; i < kFrames; ++i) SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
  rig.Settle();
  for (int i = 0; i < 20; ++i) {
    rig.Pass(500);
    for (const Heard& heard : rig.Hear()) {
      if (heard.record.kind == table::kRecordMessage) rig.Write(kClient, 1, heard.bytes, kServer, 1);
    }
  }
  CHECK(rig.Count(Counter::wire_frames_dropped) > 0);
  const Received received = Drain(rig, kClient);
  CHECK_EQ(received.messages, Request(7));
  CHECK_EQ(received.frames.size() + rig.Count(Counter::wire_frames_dropped), static_cast<size_t>(kFrames));
  CHECK_EQ(rig.Row(kServer).messages_taken, 1u);
}

TEST(OverflowHurtsNobodyElse) {
  WireRig rig({.backlog = kBacklog, .small_client = true});
  rig.OpenPair();
  constexpr uint32_t kSecondClient = 3;
  rig.Open(kSecondClient, table::kWireClient);
  rig.Open(kOther, table::kWireUpstream);
  rig.OpenStream(1, kSecondClient, kOther, 0, 0);
  for (int i = 0; i < kFrames; ++i) {
    SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
    SendAll(rig.Peer(kOther), Frame(0, Numbered(i)));
    rig.Turn(0);
    if (i % 10 == 9) rig.Pass(200);
    if (i % 10 == 9) CHECK_EQ(Drain(rig, kSecondClient, kOther).frames.size(), 10u);
  }
  CHECK_EQ(rig.Row(kSecondClient).dropped_frames, 0u);
  CHECK(rig.Row(kClient).dropped_frames > 0);
}

TEST(OverflowClosesByPolicy) {
  WireRig rig({.backlog = kBacklog, .overflow = table::kOverflowClose, .small_client = true});
  rig.OpenPair();
  rig.Hear();
  SendFrames(rig, kServer, kFrames);
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndFrames);
  CHECK_EQ(rig.Count(Counter::wire_overflow_closes), 1u);
  rig.SettleAll({kServer}, [] {});  // the server is read on
}

TEST(OverflowOfFramesTooLargeToSetAsideWaits) {
  WireRig rig({.backlog = kBacklog, .small_client = true});
  rig.OpenPair();
  SendFrames(rig, kServer, 12, 15'000);
  const Received received = Drain(rig, kClient);
  CHECK_EQ(received.frames.size() + rig.Count(Counter::wire_frames_dropped), 12u);
  CHECK(received.frames.size() > 2);
}

// The engine is stopped at every step of dropping, with a half-sent frame on the way.
TEST(OverflowSurvivesTakeoverAtEachStep) {
  for (int steps = 1;; ++steps) {
    WireRig rig({.backlog = kBacklog, .small_client = true});
    rig.OpenPair();
      for (int i = 0; i < kFrames / 3; ++i) SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
    rig.Settle();
    rig.Pass(1'000);
    rig.StopAfter(steps);
    for (int i = 0; i < 4; ++i) rig.Pass(1'000);
    const bool was_stopped = rig.stopped();
    rig.StopAfter(0);
    if (was_stopped) rig.Restart();
    for (int i = 0; i < 8; ++i) rig.Pass(500);
    const Received received = Drain(rig, kClient);
    CHECK_EQ(received.frames.back(), kFrames / 3 - 1);
    CHECK(received.frames.size() < kFrames / 3);
    if (!was_stopped) break;
  }
}

TEST(PeerThatTakesNoMessagesIsClosed) {
  WireRig rig({.small_client = true});
  rig.OpenPair();
  rig.Hear();
  for (uint32_t seq = 1; seq <= 20; ++seq) {
    rig.Write(kClient, seq, std::string(100'000, 'x'));
    rig.Settle();
  }
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndMessages);
}

// A source that goes while its frame is half sent: the frame is finished all the same.
TEST(HalfSentFramesAreFinishedWithoutTheirSource) {
  for (const bool reset : {false, true}) {
    WireRig rig({.small_client = true});
    rig.OpenPair();
      for (int i = 0; i < 60; ++i) SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
    rig.Settle();
    if (reset) {
      Reset(rig.Peer(kServer));
    } else {
      rig.Push(table::kRecordClose, kServer);
    }
    rig.Settle();
    rig.Write(kClient, 1, Answer(1));
    rig.Settle();
    CHECK_EQ(Drain(rig, kClient, kClient).messages, Answer(1));
  }
}

TEST(HalfSentFramesOfAClosedStreamAreFinished) {
  WireRig rig({.small_client = true});
  rig.OpenPair();
  for (int i = 0; i < 60; ++i) SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
  rig.Settle();
  rig.CloseStream(0);
  const Received received = Drain(rig, kClient);
  CHECK(!received.frames.empty() && received.frames.size() < 60);
}

// Both sides go away, in every order, with each of these going on.
TEST(ResetsInEachState) {
  using Act = void (*)(WireRig&);
  const Act states[] = {
      [](WireRig&) {},
      [](WireRig& rig) { SendAll(rig.Peer(kClient), Request(1)); },
      [](WireRig& rig) { SendAll(rig.Peer(kServer), "RTSP/1.0 20"); },
      [](WireRig& rig) { SendAll(rig.Peer(kServer), "$\1\1"); },
      [](WireRig& rig) { SendAll(rig.Peer(kClient), "\x16"); },
      [](WireRig& rig) { rig.Write(kClient, 1, std::string(100'000, 'x')); },
      [](WireRig& rig) { rig.Write(kClient, 2, "its predecessor never comes"); },
      [](WireRig& rig) { rig.Push(table::kRecordShutdown, kClient); },
      [](WireRig& rig) { ::shutdown(rig.Peer(kServer).get(), SHUT_WR); },
      [](WireRig& rig) {
        for (int i = 0; i < 100; ++i) SendAll(rig.Peer(kServer), Frame(0, Numbered(i)));
      },
  };
  const Act ends[] = {
      [](WireRig& rig) { Reset(rig.Peer(kClient)); },
      [](WireRig& rig) { Reset(rig.Peer(kServer)); },
      [](WireRig& rig) { rig.Peer(kClient).Reset(); },
      [](WireRig& rig) { rig.Peer(kServer).Reset(); },
      [](WireRig& rig) { rig.Push(table::kRecordClose, kClient); },
      [](WireRig& rig) { rig.Push(table::kRecordClose, kServer); },
      [](WireRig& rig) { rig.Restart(); },
  };
  const size_t before = OpenDescriptors();
  for (const Act state : states) {
    for (const Act first : ends) {
      for (const Act second : ends) {
        WireRig rig({.small_client = true});
        rig.OpenPair();
              state(rig);
        rig.Settle();
        first(rig);
        rig.Settle();
        second(rig);
        rig.Settle();
        rig.Push(table::kRecordClose, kClient);
        rig.Push(table::kRecordClose, kServer);
        rig.Settle();
        CHECK_EQ(rig.Row(kClient).released_generation, 1u);
        CHECK_EQ(rig.Row(kServer).released_generation, 1u);
      }
    }
  }
  CHECK_EQ(OpenDescriptors(), before);
}

TEST(TakeoversLeaveNoDescriptorBehind) {
  WireRig rig;
  rig.OpenPair();
  rig.Settle();
  const size_t before = OpenDescriptors();
  for (int i = 0; i < kTakeovers; ++i) {
    SendAll(rig.Peer(kServer), Frame(0, std::to_string(i)));
    rig.Restart();
    rig.Turn(0);
    rig.Hear();
  }
  rig.Settle();
  CHECK_EQ(OpenDescriptors(), before);
  CHECK_EQ(rig.Row(kServer).rx_frames, kTakeovers);
}

// UDP on one side and a wire on the other: packets become frames and frames packets, whatever dies or does not read.
#include "bridge/bridge.h"

#include <algorithm>
#include <array>

#include "bridge/frame_queue.h"
#include "engine_fixture.h"
#include "wire_fixture.h"

namespace {

using namespace penstock;
using namespace penstock::test;
using counters::Counter;

constexpr uint32_t kClient = WireRig::kClient;
constexpr size_t kHeader = wire::kFrameHeader;

std::string TextOf(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }
std::string Video(uint16_t sequence, size_t payload = 1000) {
  return TextOf(Rtp({.ssrc = 7, .sequence = sequence, .payload = payload}));
}

// A client's wire, and a server by UDP: the legs of the server have sockets, those of the client are channels 2 and 3.
class BridgeRig : public WireRig {
 public:
  static constexpr uint8_t kChannel = 2;

  explicit BridgeRig(RigOptions options = {}) : WireRig(options) {
    Open(kClient, table::kWireClient);
    WriteRow();
    Connect();
  }
  ~BridgeRig() { set().bridge().Disconnect(*stream_); }

  flow::Leg& Leg(uint32_t leg) { return stream_->legs[leg]; }
  table::LegData& Data(uint32_t leg) { return row_->data[leg]; }
  test::Peer& Server(uint32_t leg) { return server_[leg - table::kServerRtp]; }

  // As the engine does with what a socket has received.
  void Put(uint32_t leg, const std::string& packet) {
    Act([&] {
      if (Leg(leg).way() != nullptr) Leg(leg).way()->Put(Bytes8(packet));
    });
  }
  // The engine is killed; its successor is sent the wire and the sockets.
  void Succeed() {
    set().bridge().Disconnect(*stream_);
    Restart();
    Connect();
  }
  void Connect() {
    stream_ = std::make_unique<flow::Stream>();
    stream_->row = row_;
    for (uint32_t i = 0; i < table::kLegsPerStream; ++i) {
      flow::Leg& leg = stream_->legs[i];
      if (bridge::IsChannel(*row_, i)) {
        leg.TakeChannel(*stream_, i);
      } else {
        leg.TakeSocket(*stream_, i, UniqueFd(::fcntl(ours_[i - table::kServerRtp].fd(), F_DUPFD_CLOEXEC, 0)));
      }
      leg.Configure(row_->legs[i], row_->clock_rate);
      leg.Attach(row_->data[i], stream_->Opposite(i), false);
    }
    Act([&] { set().bridge().Connect(*stream_, *row_, now_ms()); });
    Settle();
  }
  void Disconnect() { set().bridge().Disconnect(*stream_); }
  // Until the kernel takes a part of what it is given; gives the packets that were put, as frames.
  std::string FillUp() {
    std::string all;
    for (uint16_t i = 1; Count(Counter::wire_blocked) == 0; ++i) {
      Put(table::kClientRtp, Video(i));
      all += Frame(kChannel, Video(i));
      if (i % 50 == 0) Turn();
    }
    return all;
  }
  // More than may wait, which the peer does not read.
  void Overflow() {
    const auto gone = [this] { return Row(kClient).dropped_frames + Count(Counter::wire_overflow_closes); };
    const uint64_t before = gone();
    for (uint16_t i = 0; gone() == before; ++i) {
      Put(table::kClientRtp, Video(i));
      Turn();
    }
  }

 private:
  void WriteRow() {
    row_ = &Stream(0);
    row_->generation = 1;
    row_->state = table::kRowOpen;
    row_->transport = table::kTransportBridged;
    row_->clock_rate = 90000;
    row_->client_wire = kClient;
    row_->client_wire_generation = Row(kClient).generation;
    row_->server_wire = table::kNoWire;
    row_->client_channel = kChannel;
    row_->client_rtcp_channel = kChannel + 1;
    for (const uint32_t leg : {table::kServerRtp, table::kServerRtcp}) {
      row_->legs[leg].local = ours_[leg - table::kServerRtp].at();
      row_->legs[leg].declared = Server(leg).at();
      row_->legs[leg].flags = leg == table::kServerRtp ? table::kLegExpectsMedia : 0;
    }
  }

  std::array<test::Peer, 2> ours_;
  std::array<test::Peer, 2> server_;
  table::StreamEntry* row_ = nullptr;
  std::unique_ptr<flow::Stream> stream_;
};

// What a peer got, cut into frames; `torn`: bytes behind the last whole one.
struct Frames {
  std::vector<std::string> whole;
  size_t torn = 0;
};
Frames Cut(const std::string& bytes) {
  Frames out;
  size_t at = 0;
  while (at < bytes.size()) {
    CHECK_EQ(bytes[at], '$');
    if (bytes.size() - at < kHeader) break;
    const size_t size = wire::FrameSize(reinterpret_cast<const uint8_t*>(&bytes[at]));
    if (bytes.size() - at < size) break;
    out.whole.push_back(bytes.substr(at, size));
    at += size;
  }
  out.torn = bytes.size() - at;
  return out;
}

void ShrinkSendBuffer(UniqueFd& fd, int bytes) {
  CHECK_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

// Reads while the engine goes on writing, until nothing comes any more.
std::string ReadOn(BridgeRig& rig) {
  std::string all;
  for (int idle = 0; idle < 3; ++idle) {
    rig.Settle();
    const std::string more = ReceiveAll(rig.Peer(kClient));
    if (!more.empty()) idle = -1;
    all += more;
  }
  return all;
}

}  // namespace

TEST(FrameQueueKeepsWholeFramesInOrder) {
  bridge::FrameQueue queue;
  CHECK(queue.empty());
  queue.Push(1, Bytes8("one"));
  queue.Push(2, Bytes8(""));
  queue.Push(1, Bytes8("three"));
  CHECK_EQ(Text(queue.bytes()), Frame(1, "one") + Frame(2, "") + Frame(1, "three"));
  queue.Pop(kHeader + 3);
  queue.Push(2, Bytes8("four"));
  CHECK_EQ(Text(queue.bytes()), Frame(2, "") + Frame(1, "three") + Frame(2, "four"));
  queue.DropChannel(2);
  CHECK_EQ(Text(queue.bytes()), Frame(1, "three"));
  queue.Pop(queue.size());
  CHECK(queue.empty());
}

TEST(BridgePutsPacketsIntoFrames) {
  BridgeRig rig;
  std::string expected;
  for (uint16_t i = 1; i <= 600; ++i) {  // more than one burst
    rig.Put(table::kClientRtp, Video(i, 40));
    expected += Frame(2, Video(i, 40));
  }
  rig.Put(table::kClientRtcp, "report");
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), expected + Frame(3, "report"));
  CHECK_EQ(rig.Count(Counter::bridged_frames), 601u);
  CHECK_EQ(rig.Row(kClient).tx_frames, 601u);
  CHECK_EQ(rig.Data(table::kClientRtp).tx_packets, 600u);
  CHECK_EQ(rig.Data(table::kClientRtp).tx_bytes, 600u * 52);
  CHECK_EQ(rig.Data(table::kClientRtcp).tx_packets, 1u);
  CHECK(rig.Count(Counter::wire_sends) < 20);
}

TEST(BridgeSendsFramesAsPackets) {
  BridgeRig rig;
  const std::string report = TextOf(Rtcp(201, 0, Words({0x1234})));
  SendAll(rig.Peer(kClient), Frame(2, Video(1)) + Frame(3, report) + Frame(9, "nobody's") + Frame(2, Video(2)));
  rig.Settle();
  CHECK_EQ(TextOf(rig.Server(table::kServerRtp).Receive()->bytes), Video(1));
  CHECK_EQ(TextOf(rig.Server(table::kServerRtp).Receive()->bytes), Video(2));
  const auto received = rig.Server(table::kServerRtcp).Receive();
  CHECK_EQ(TextOf(received->bytes), report);
  CHECK_EQ(received->from_port, rig.Leg(table::kServerRtcp).local().port);
  CHECK_EQ(rig.Data(table::kClientRtp).rx_packets, 2u);
  CHECK_EQ(rig.Data(table::kServerRtp).tx_packets, 2u);
  CHECK_EQ(rig.Data(table::kClientRtp).received, 2u);
  CHECK(rig.Data(table::kClientRtcp).last_rx_ms > 0);
  CHECK_EQ(rig.Count(Counter::bridged_packets), 3u);
  CHECK_EQ(rig.Row(kClient).unrouted_frames, 1u);
  CHECK_EQ(rig.Row(kClient).rx_frames, 4u);
}

TEST(BridgeSendsNoPunchesAndNoJunk) {
  BridgeRig rig;
  SendAll(rig.Peer(kClient), Frame(2, "") + Frame(2, "some words") + Frame(3, Video(1)) + Frame(2, Video(2)));
  rig.Settle();
  CHECK_EQ(TextOf(rig.Server(table::kServerRtp).Receive()->bytes), Video(2));
  CHECK(!rig.Server(table::kServerRtcp).Receive(0));
  CHECK_EQ(rig.Data(table::kClientRtp).punches, 1u);
  CHECK_EQ(rig.Data(table::kClientRtp).refused, 1u);
  CHECK_EQ(rig.Data(table::kClientRtcp).refused, 1u);
}

TEST(BridgeHoldsARateAndNoMore) {
  BridgeRig rig;
  rig.Stream(0).legs[table::kClientRtp].max_rate = 1;  // 100 kbit in the first second
  rig.Disconnect();
  rig.Connect();
  std::string frames;
  for (uint16_t i = 0; i < 20; ++i) frames += Frame(2, Video(i));
  SendAll(rig.Peer(kClient), frames);
  rig.Settle();
  CHECK_EQ(rig.Data(table::kServerRtp).tx_packets, 12u);
  CHECK_EQ(rig.Data(table::kClientRtp).refused, 8u);
}

TEST(BridgeWritesMessagesBetweenFrames) {
  BridgeRig rig;
  ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
  std::string expected = rig.FillUp();
  rig.Write(kClient, 1, Answer(1));
  rig.Put(table::kClientRtp, Video(9999));
  const std::string got = ReadOn(rig);
  const size_t at = got.find(Answer(1));
  CHECK(at != std::string::npos);
  const Frames before = Cut(got.substr(0, at));
  CHECK_EQ(before.torn, 0u);
  CHECK_EQ(got.substr(0, at) + got.substr(at + Answer(1).size()), expected + Frame(2, Video(9999)));
  // The answer did not wait for what waited.
  CHECK(Cut(got.substr(at + Answer(1).size())).whole.size() > 1);
}

TEST(BridgeBeginsAfterTheAnswerThatIsWaitedFor) {
  BridgeRig rig;
  SendAll(rig.Peer(kClient), Request(1));
  CHECK_EQ(rig.Only(table::kRecordMessage, kClient).bytes, Request(1));
  rig.Put(table::kClientRtp, Video(1));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "");
  rig.Write(kClient, 1, Answer(1), kClient, 1);
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Answer(1) + Frame(2, Video(1)));
  // Later ones keep nobody waiting.
  SendAll(rig.Peer(kClient), Request(2));
  rig.Settle();
  rig.Put(table::kClientRtp, Video(2));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(2, Video(2)));
}

TEST(BridgeDropsWholeFramesForAPeerThatDoesNotRead) {
  BridgeRig rig({.backlog = 64 * 1024});
  ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
  uint32_t put = 0;
  for (; rig.Row(kClient).dropped_frames < 200; ++put) {
    rig.Put(table::kClientRtp, Video(static_cast<uint16_t>(put)));
    rig.Turn();
  }
  rig.Write(kClient, 1, Answer(1));
  const std::string got = ReadOn(rig);
  const size_t at = got.find(Answer(1));
  CHECK(at != std::string::npos);
  const Frames frames = Cut(got.substr(0, at) + got.substr(at + Answer(1).size()));
  CHECK_EQ(frames.torn, 0u);
  CHECK_EQ(frames.whole.size() + rig.Row(kClient).dropped_frames, put);
  CHECK_EQ(rig.Data(table::kServerRtp).refused, rig.Row(kClient).dropped_frames);
  CHECK_EQ(rig.Count(Counter::wire_frames_dropped), rig.Row(kClient).dropped_frames);
  CHECK_EQ(rig.Data(table::kClientRtp).tx_packets, frames.whole.size());
  // The newest are kept.
  CHECK_EQ(frames.whole.back(), Frame(2, Video(static_cast<uint16_t>(put - 1))));
}

TEST(BridgeClosesAPeerThatDoesNotRead) {
  BridgeRig rig({.backlog = 64 * 1024, .overflow = table::kOverflowClose, .small_client = true});
  rig.Overflow();
  CHECK_EQ(rig.Row(kClient).wire_state, static_cast<uint32_t>(table::kWireOpen));  // it may yet catch up
  rig.Pass(2'000);
  rig.Overflow();
  CHECK_EQ(rig.Row(kClient).wire_state, static_cast<uint32_t>(table::kWireClosed));
  CHECK_EQ(rig.Row(kClient).end, static_cast<uint32_t>(table::kEndFrames));
  CHECK_EQ(rig.Count(Counter::wire_overflow_closes), 1u);
  rig.Put(table::kClientRtp, Video(1));  // goes nowhere
  rig.Settle();
}

TEST(BridgeIsPatientWithAPeerThatCaughtUp) {
  BridgeRig rig({.backlog = 64 * 1024, .overflow = table::kOverflowClose, .small_client = true});
  rig.Overflow();
  ReadOn(rig);
  rig.Pass(2'000);
  rig.Overflow();
  CHECK_EQ(rig.Row(kClient).wire_state, static_cast<uint32_t>(table::kWireOpen));
}

TEST(BridgeClosesNobodyWhomItMayNotWriteTo) {
  BridgeRig rig({.backlog = 64 * 1024, .overflow = table::kOverflowClose});
  SendAll(rig.Peer(kClient), Request(1));
  CHECK_EQ(rig.Only(table::kRecordMessage, kClient).bytes, Request(1));
  rig.Overflow();
  rig.Pass(2'000);
  rig.Overflow();
  CHECK_EQ(rig.Row(kClient).wire_state, static_cast<uint32_t>(table::kWireOpen));
  rig.Write(kClient, 1, Answer(1), kClient, 1);
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)).substr(0, Answer(1).size()), Answer(1));
}

TEST(BridgeTakesTheLargestPacket) {
  BridgeRig rig;
  ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
  std::string expected;
  for (uint16_t i = 0; i < 5; ++i) {
    rig.Put(table::kClientRtp, Video(i, 65'507 - 12));
    expected += Frame(2, Video(i, 65'507 - 12));
  }
  CHECK_EQ(ReadOn(rig), expected);
}

TEST(BridgeLosesAChannelToANewerStream) {
  BridgeRig rig;
  rig.Put(table::kClientRtp, Video(1));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(2, Video(1)));
  rig.Open(WireRig::kServer, table::kWireUpstream);
  rig.OpenStream(1, kClient, WireRig::kServer, 2, 0);
  CHECK(rig.Leg(table::kClientRtp).way() == nullptr);
  SendAll(rig.Peer(WireRig::kServer), Frame(0, "other"));
  SendAll(rig.Peer(kClient), Frame(3, "report"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(2, "other"));
  CHECK_EQ(ReceiveAll(rig.Peer(WireRig::kServer)), Frame(1, "report"));
}

TEST(BridgeTakesTurnsWithFramesOfAServerWire) {
  BridgeRig rig;
  ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
  rig.Open(WireRig::kServer, table::kWireUpstream);
  rig.OpenStream(1, kClient, WireRig::kServer, 0, 0);
  std::string of_server;
  std::string of_socket;
  for (uint16_t i = 0; i < 40; ++i) {
    SendAll(rig.Peer(WireRig::kServer), Frame(0, Video(i)));
    rig.Put(table::kClientRtp, Video(i));
    of_server += Frame(0, Video(i));
    of_socket += Frame(2, Video(i));
    rig.Turn();
  }
  std::string got[3];
  for (const std::string& frame : Cut(ReadOn(rig)).whole) got[static_cast<size_t>(frame[1])] += frame;
  CHECK_EQ(got[0], of_server);
  CHECK_EQ(got[2], of_socket);
}

TEST(BridgeGoesOnBehindTheLastFrameOfAServerWire) {
  BridgeRig rig({.small_client = true});
  rig.Open(WireRig::kServer, table::kWireUpstream);
  rig.OpenStream(1, kClient, WireRig::kServer, 0, 0);
  const std::string large = Frame(0, Video(1, 60'000));
  SendAll(rig.Peer(WireRig::kServer), large);
  rig.Settle();
  CHECK(rig.Count(Counter::wire_blocked) > 0);
  rig.Put(table::kClientRtp, Video(9999));
  CHECK(ReadOn(rig) == large + Frame(2, Video(9999)));
}

TEST(BridgeForgetsAWireThatIsGone) {
  BridgeRig rig;
  Reset(rig.Peer(kClient));
  rig.Settle();
  rig.Put(table::kClientRtp, Video(1));
  rig.Push(table::kRecordClose, kClient);
  rig.Settle();
  CHECK(rig.Leg(table::kClientRtp).way() == nullptr);
}

// As many streams as a connection has channels for, each with both legs of its client on it.
class FullWireRig : public WireRig {
 public:
  static constexpr uint32_t kStreams = 128;

  FullWireRig() {
    Open(kClient, table::kWireClient);
    for (uint32_t i = 0; i < kStreams; ++i) Connect(i);
  }
  ~FullWireRig() {
    for (auto& stream : streams_) set().bridge().Disconnect(*stream);
  }

  void Connect(uint32_t i) {
    table::StreamEntry control{};
    control.client_wire = kClient;
    control.client_wire_generation = Row(kClient).generation;
    control.client_channel = static_cast<uint8_t>(2 * i);
    control.client_rtcp_channel = static_cast<uint8_t>(2 * i + 1);
    for (const uint32_t leg : {table::kClientRtp, table::kClientRtcp}) {
      streams_[i]->legs[leg].TakeChannel(*streams_[i], leg);
      streams_[i]->legs[leg].Attach(data_[i][leg], nullptr, false);
    }
    set().bridge().Connect(*streams_[i], control, now_ms());
  }
  flow::FrameWay* Way(uint32_t channel) { return streams_[channel / 2]->legs[channel % 2].way(); }

 private:
  std::vector<std::unique_ptr<flow::Stream>> streams_ = Filled();
  std::vector<std::array<table::LegData, 2>> data_{kStreams};

  static std::vector<std::unique_ptr<flow::Stream>> Filled() {
    std::vector<std::unique_ptr<flow::Stream>> out(kStreams);
    for (auto& stream : out) stream = std::make_unique<flow::Stream>();
    return out;
  }
};

TEST(BridgeTakesEveryChannelOfAWireAndForgetsThemAll) {
  FullWireRig rig;
  rig.Connect(127);  // again
  std::string expected;
  for (uint32_t channel = 0; channel < 256; ++channel) {
    rig.Way(channel)->Put(Bytes8("packet"));
    expected += Frame(static_cast<uint8_t>(channel), "packet");
  }
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), expected);
  Reset(rig.Peer(kClient));
  rig.Settle();
  rig.Push(table::kRecordClose, kClient);
  rig.Settle();
  for (uint32_t channel = 0; channel < 256; ++channel) CHECK(rig.Way(channel) == nullptr);
}

TEST(BridgeGivesNothingToWhoeverHasTheSlotNext) {
  BridgeRig rig;
  Reset(rig.Peer(kClient));
  rig.Settle();
  rig.Push(table::kRecordClose, kClient);
  rig.Settle();
  rig.Open(kClient, table::kWireClient);
  rig.Succeed();
  CHECK(rig.Leg(table::kClientRtp).way() == nullptr);
}

TEST(BridgeEndsWithWhatItHasWritten) {
  BridgeRig rig;
  ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
  const std::string all = rig.FillUp();
  rig.Write(kClient, 1, Answer(1));
  rig.Push(table::kRecordShutdown, kClient);
  rig.Put(table::kClientRtp, Video(9999));
  const std::string got = ReadOn(rig);
  const std::string frames = got.substr(0, got.size() - Answer(1).size());
  CHECK_EQ(got.substr(frames.size()), Answer(1));
  CHECK_EQ(all.substr(0, frames.size()), frames);
  CHECK_EQ(Cut(frames).torn, 0u);
  CHECK(AtEnd(rig.Peer(kClient)));
}

// An engine that dies at any step takes with it what it had not written: whole packets. No frame comes in halves.
TEST(BridgeKeepsFramesWholeWhateverStepItsEngineDiesAt) {
  int step = 1;
  for (;; ++step) {
    BridgeRig rig;
    ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
    rig.StopAfter(step);
    uint16_t sequence = 0;
    for (int i = 0; i < 120; ++i) {
      rig.Put(table::kClientRtp, Video(sequence++));
      if (i == 60) rig.Write(kClient, 1, Answer(1));
      if (i % 15 == 14) rig.Turn();
    }
    std::string got = ReadOn(rig);
    if (!rig.stopped()) break;
    rig.Succeed();
    rig.Write(kClient, 1, Answer(1));
    for (int i = 0; i < 5; ++i) rig.Put(table::kClientRtp, Video(sequence++));
    got += ReadOn(rig);
    if (const size_t at = got.find(Answer(1)); at != std::string::npos) {
      CHECK_EQ(Cut(got.substr(0, at)).torn, 0u);
      got.erase(at, Answer(1).size());
    }
    const Frames frames = Cut(got);
    if (frames.torn != 0) {
      // It died between a send that was cut short and its note.
      CHECK_EQ(rig.Row(kClient).end, static_cast<uint32_t>(table::kEndTorn));
      CHECK(AtEnd(rig.Peer(kClient)));
      continue;
    }
    CHECK(frames.whole.size() >= 5);
    CHECK_EQ(frames.whole.back(), Frame(2, Video(static_cast<uint16_t>(sequence - 1))));
    for (size_t i = 1; i < frames.whole.size(); ++i) CHECK(frames.whole[i - 1] != frames.whole[i]);
  }
  CHECK(step > 20);
}

TEST(BridgeFinishesAHalfSentFrameOfADeadEngine) {
  BridgeRig rig;
  ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
  const std::string all = rig.FillUp();
  rig.Succeed();
  rig.Put(table::kClientRtp, Video(9999));
  const std::string got = ReadOn(rig);
  const std::string last = Frame(2, Video(9999));
  CHECK_EQ(got.substr(got.size() - last.size()), last);
  CHECK_EQ(all.substr(0, got.size() - last.size()), got.substr(0, got.size() - last.size()));
  CHECK_EQ(Cut(got).torn, 0u);
  CHECK_EQ(rig.Count(Counter::wires_torn), 0u);
}

TEST(BridgeClosesWhereTheRestOfALargeFrameIsLost) {
  BridgeRig rig;
  ShrinkSendBuffer(rig.Ours(kClient), 8 * 1024);
  for (uint16_t i = 0; rig.Count(Counter::wire_blocked) == 0; ++i) {
    rig.Put(table::kClientRtp, Video(i, 60'000));
    rig.Turn();
  }
  rig.Succeed();
  CHECK_EQ(rig.Row(kClient).end, static_cast<uint32_t>(table::kEndTorn));
  ReadOn(rig);
  CHECK(AtEnd(rig.Peer(kClient)));
}

// The other way: what was sent and not noted is sent again.
TEST(BridgeLosesNoFrameOfAWireWhateverStepItsEngineDiesAt) {
  for (int step = 1; step <= 6; ++step) {
    BridgeRig rig;
    rig.StopAfter(step);
    for (uint16_t i = 0; i < 3; ++i) {
      SendAll(rig.Peer(kClient), Frame(2, Video(i)));
      rig.Settle();
    }
    rig.Succeed();
    rig.Settle();
    uint16_t next = 0;
    while (const auto packet = rig.Server(table::kServerRtp).Receive(50)) {
      const uint16_t sequence = rtp::Load16(&packet->bytes[2]);
      CHECK(sequence <= next);
      next = std::max<uint16_t>(next, static_cast<uint16_t>(sequence + 1));
    }
    CHECK_EQ(next, 3u);
  }
}

#include "wire_fixture.h"

namespace {

using namespace penstock;
using namespace penstock::test;
using counters::Counter;

constexpr uint32_t kClient = WireRig::kClient;
constexpr uint32_t kServer = WireRig::kServer;
constexpr uint32_t kOther = WireRig::kOther;

std::string Payload(size_t size, char seed = 'a') {
  std::string out;
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(seed + i % 23));
  return out;
}

// An RTP packet as a frame.
std::string RtpFrame(uint8_t channel, uint16_t sequence, size_t payload = 100) {
  std::string packet{'\x80', 96, static_cast<char>(sequence >> 8), static_cast<char>(sequence)};
  packet += std::string(3, '\0') + std::string{1} + std::string(3, '\0') + std::string{7};
  return Frame(channel, packet + Payload(payload));
}

}  // namespace

TEST(WiresPassFramesBothWays) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kServer), Frame(0, "video") + Frame(1, "report") + Frame(0, ""));
  SendAll(rig.Peer(kClient), Frame(1, "receiver"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "video") + Frame(1, "report") + Frame(0, ""));
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), Frame(1, "receiver"));
  CHECK_EQ(rig.Count(Counter::wire_frames), 4u);
  CHECK_EQ(rig.Row(kServer).rx_frames, 3u);
  CHECK_EQ(rig.Row(kClient).tx_frames, 3u);
  CHECK_EQ(rig.Row(kClient).tx_bytes, 5u + 6u + 12u);
}

TEST(WiresTakeFramesInAnyPieces) {
  const std::string frames = RtpFrame(0, 1, 30) + Frame(1, "") + Frame(0, "x") + "\r\n" + RtpFrame(0, 2, 30);
  const std::string expected = RtpFrame(0, 1, 30) + Frame(1, "") + Frame(0, "x") + RtpFrame(0, 2, 30);
  for (size_t at = 1; at < frames.size(); ++at) {
    WireRig rig;
    rig.OpenPair();
    SendAll(rig.Peer(kServer), frames.substr(0, at));
    rig.Settle();
    SendAll(rig.Peer(kServer), frames.substr(at));
    rig.Settle();
    CHECK_EQ(ReceiveAll(rig.Peer(kClient)), expected);
  }
}

TEST(WiresTakeFramesByteByByte) {
  WireRig rig;
  rig.OpenPair();
  const std::string frames = Frame(0, Payload(40)) + Frame(1, "ab") + Frame(0, "");
  for (const char byte : frames) {
    SendAll(rig.Peer(kServer), {byte});
    rig.Turn(1);
  }
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), frames);
}

TEST(WiresReadNothingBeforeTheyAreStarted) {
  WireRig rig;
  rig.Open(kClient, table::kWireClient);
  rig.Open(kServer, table::kWireUpstream, false);
  rig.OpenStream(0, kClient, kServer, 0, 0);
  SendAll(rig.Peer(kServer), Frame(0, "early") + Answer(1));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "");
  CHECK(!rig.Said(table::kRecordMessage, kServer));
  rig.Push(table::kRecordStart, kServer);
  CHECK_EQ(rig.Only(table::kRecordMessage, kServer).bytes, Answer(1));
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "early"));
}

TEST(WiresRenumberChannels) {
  WireRig rig;
  rig.OpenPair(4, 0);
  SendAll(rig.Peer(kServer), Frame(0, "a") + Frame(1, "b") + Frame(0, "c"));
  SendAll(rig.Peer(kClient), Frame(4, "d") + Frame(5, "e"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(4, "a") + Frame(5, "b") + Frame(4, "c"));
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), Frame(0, "d") + Frame(1, "e"));
}

TEST(WiresJoinTwoServersOnOneClient) {
  WireRig rig;
  rig.OpenPair(0, 0);
  rig.Open(kOther, table::kWireUpstream);
  rig.OpenStream(1, kClient, kOther, 2, 0);
  std::string from_first, from_second;
  for (int i = 0; i < 50; ++i) {
    const std::string payload = Payload(1000, static_cast<char>('a' + i % 3));
    SendAll(rig.Peer(kServer), Frame(0, payload));
    SendAll(rig.Peer(kOther), Frame(0, payload) + Frame(1, "r"));
    from_first += Frame(0, payload);
    from_second += Frame(2, payload) + Frame(3, "r");
  }
  SendAll(rig.Peer(kClient), Frame(0, "one") + Frame(3, "two") + Frame(1, "three") + Frame(2, "four"));
  rig.Settle();
  std::string first, second;
  const std::string all = ReceiveAll(rig.Peer(kClient));
  for (size_t at = 0; at < all.size();) {
    const size_t size = wire::FrameSize(reinterpret_cast<const uint8_t*>(&all[at]));
    (all[at + 1] < 2 ? first : second) += all.substr(at, size);
    at += size;
  }
  CHECK(first == from_first);
  CHECK(second == from_second);
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), Frame(0, "one") + Frame(1, "three"));
  CHECK_EQ(ReceiveAll(rig.Peer(kOther)), Frame(1, "two") + Frame(0, "four"));
}

TEST(WiresDropFramesOfNobodysChannels) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kServer), Frame(2, "nobody's") + Frame(0, "somebody's") + Frame(9, ""));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "somebody's"));
  CHECK_EQ(rig.Row(kServer).unrouted_frames, 2u);
  CHECK_EQ(rig.Count(Counter::wire_frames_unrouted), 2u);
}

TEST(WiresCountFramesOnTheirStream) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kServer), RtpFrame(0, 10) + RtpFrame(0, 11) + RtpFrame(0, 13));
  SendAll(rig.Peer(kClient), Frame(1, "12345678"));
  rig.Settle();
  const table::LegData* data = rig.Stream(0).data;
  CHECK_EQ(data[table::kServerRtp].rx_packets, 3u);
  CHECK_EQ(data[table::kServerRtp].rx_bytes, 3 * 112u);
  CHECK_EQ(data[table::kClientRtp].tx_packets, 3u);
  CHECK_EQ(data[table::kClientRtcp].rx_packets, 1u);
  CHECK_EQ(data[table::kServerRtcp].tx_bytes, 8u);
  CHECK_EQ(data[table::kServerRtp].expected, 4u);
  CHECK_EQ(data[table::kServerRtp].received, 3u);
  CHECK_EQ(data[table::kServerRtp].ssrc, 7u);
  CHECK(data[table::kServerRtp].last_rx_ms > 0);
}

TEST(WiresForgetTheChannelsOfAClosedStream) {
  WireRig rig;
  rig.OpenPair();
  rig.CloseStream(0);
  CHECK_EQ(rig.Stream(0).released_generation, rig.Stream(0).generation);
  table::Event event;
  CHECK(rig.region().Events(0, 0).Pop(event));
  CHECK_EQ(event.kind, table::kEventReleased);
  SendAll(rig.Peer(kServer), Frame(0, "late"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "");
  CHECK_EQ(rig.Row(kServer).unrouted_frames, 1u);
  rig.OpenStream(0, kClient, kServer, 6, 6);
  SendAll(rig.Peer(kServer), Frame(6, "new"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(6, "new"));
  CHECK_EQ(rig.Stream(0).data[table::kServerRtp].rx_packets, 1u);
}

// ---------------------------------------------------------------- messages

TEST(WiresRouteEveryChannelThatThereIs) {
  WireRig rig({.streams = 128});
  rig.OpenPair();
  for (uint32_t i = 1; i < 128; ++i) {
    rig.OpenStream(i, kClient, kServer, static_cast<uint8_t>(2 * i), static_cast<uint8_t>(2 * i));
  }
  rig.OpenStream(127, kClient, kServer, 254, 254);  // again
  std::string frames;
  for (int channel = 0; channel < 256; ++channel) frames += Frame(static_cast<uint8_t>(channel), "report");
  SendAll(rig.Peer(kServer), frames);
  SendAll(rig.Peer(kClient), frames);
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), frames);
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), frames);
  rig.CloseStream(127);
  SendAll(rig.Peer(kServer), Frame(254, "lost") + Frame(255, "lost") + Frame(0, "video") + Frame(253, "report"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "video") + Frame(253, "report"));
  CHECK_EQ(rig.Row(kServer).unrouted_frames, 2u);
}

TEST(WiresForgetEveryChannelOfAWireThatIsGone) {
  WireRig rig({.streams = 128});
  rig.OpenPair();
  for (uint32_t i = 1; i < 128; ++i) {
    rig.OpenStream(i, kClient, kServer, static_cast<uint8_t>(2 * i), static_cast<uint8_t>(2 * i));
  }
  Reset(rig.Peer(kClient));
  rig.Settle();
  rig.Push(table::kRecordClose, kClient);
  rig.Settle();
  std::string frames;
  for (int channel = 0; channel < 256; ++channel) frames += Frame(static_cast<uint8_t>(channel), "lost");
  SendAll(rig.Peer(kServer), frames);
  rig.Settle();
  CHECK_EQ(rig.Row(kServer).unrouted_frames, 256u);
}

TEST(WiresOfAStreamAreNotWhoeverHasTheirSlotNext) {
  WireRig rig;
  rig.OpenPair();
  Reset(rig.Peer(kClient));
  rig.Settle();
  rig.Push(table::kRecordClose, kClient);
  rig.Settle();
  rig.Open(kClient, table::kWireClient);
  rig.Stream(0).attached_generation = rig.Stream(0).generation;
  rig.Restart();
  SendAll(rig.Peer(kServer), Frame(0, "somebody else's"));
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "");
}

TEST(WiresHoldMessagesForTheWorker) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), Request(1, "body") + Frame(0, "behind") + Request(2));
  const Heard first = rig.Only(table::kRecordMessage, kClient);
  CHECK_EQ(first.bytes, Request(1, "body"));
  CHECK_EQ(first.record.seq, 1u);
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), "");  // nothing overtakes the message
  rig.Push(table::kRecordContinue, kClient, 1);
  const Heard second = rig.Only(table::kRecordMessage, kClient);
  CHECK_EQ(second.bytes, Request(2));
  CHECK_EQ(second.record.seq, 2u);
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), Frame(0, "behind"));
  CHECK_EQ(rig.Row(kClient).messages_taken, 1u);
}

TEST(WiresContinueEachMessageOnce) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), Request(1) + Request(2));
  rig.Settle();
  rig.Push(table::kRecordContinue, kClient, 1);
  rig.Push(table::kRecordContinue, kClient, 1);
  rig.Push(table::kRecordContinue, kClient, 3);
  rig.Settle();
  CHECK_EQ(rig.Row(kClient).messages_taken, 1u);
}

TEST(WiresTakeMessagesInAnyPieces) {
  const std::string text = "\r\n" + Request(1, "$ody") + Frame(0, "f");
  for (size_t at = 1; at < text.size(); ++at) {
    WireRig rig;
    rig.OpenPair();
    SendAll(rig.Peer(kClient), text.substr(0, at));
    rig.Settle();
    SendAll(rig.Peer(kClient), text.substr(at));
    CHECK_EQ(rig.Only(table::kRecordMessage, kClient).bytes, Request(1, "$ody"));
    rig.Push(table::kRecordContinue, kClient, 1);
    rig.Settle();
    CHECK_EQ(ReceiveAll(rig.Peer(kServer)), Frame(0, "f"));
  }
}

TEST(WiresWriteAnswersBeforeTheMediaBehindThem) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kServer), Frame(0, "before") + Answer(7) + Frame(0, "behind"));
  CHECK_EQ(rig.Only(table::kRecordMessage, kServer).bytes, Answer(7));
  rig.Write(kClient, 1, Answer(3), kServer, 1);
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "before") + Answer(3) + Frame(0, "behind"));
  CHECK_EQ(rig.Row(kClient).written_seq, 1u);
  CHECK_EQ(rig.Row(kServer).messages_taken, 1u);
}

TEST(WiresWriteInTheOrderOfNumbersAndEachOnce) {
  WireRig rig;
  rig.OpenPair();
  rig.Write(kClient, 3, "third ");
  rig.Write(kClient, 2, "second ");
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "");  // the first has yet to come
  rig.Write(kClient, 3, "again ");
  rig.Write(kClient, 1, "first ");
  rig.Write(kClient, 4, "fourth");
  rig.Settle();
  rig.Write(kClient, 2, "late ");
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "first second third fourth");
}

TEST(WiresAcceptWordsBeforeTheDescriptorComes) {
  WireRig rig;
  rig.OpenRow(kClient, table::kWireClient);
  rig.Push(table::kRecordStart, kClient);
  rig.Write(kClient, 1, "hello");
  rig.Settle();
  rig.Open(kServer, table::kWireUpstream);
  Connection connection = Connect();
  net::PassedMessage message;
  message.message = {net::kVaultAddWire, kClient, rig.Row(kClient).generation, net::kWireMask};
  message.fds[0] = std::move(connection.ours);
  rig.Give(std::move(message));
  rig.Settle();
  CHECK_EQ(ReceiveAll(connection.peer), "hello");
}

TEST(WiresTellOfWhatIsNoRtsp) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), Frame(0, "good") + "\x16\x03\x01");
  const Heard fault = rig.Only(table::kRecordFault, kClient);
  CHECK_EQ(fault.record.value, table::kFaultMessage);
  CHECK_EQ(fault.bytes, "\x16\x03\x01");
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), Frame(0, "good"));
  SendAll(rig.Peer(kClient), Request(1));  // nobody looks at it, and the answer still leaves
  rig.Write(kClient, 1, "RTSP/1.0 400 Bad Request\r\n\r\n");
  rig.Push(table::kRecordShutdown, kClient);
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "RTSP/1.0 400 Bad Request\r\n\r\n");
  CHECK(AtEnd(rig.Peer(kClient)));
  CHECK(!rig.Said(table::kRecordMessage, kClient));
}

TEST(WiresTellOfMessagesThatAreTooLargeOrTooSlow) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), "A b RTSP/1.0\r\nContent-Length: 70000\r\n\r\n");
  CHECK_EQ(rig.Only(table::kRecordFault, kClient).record.value, table::kFaultTooLarge);
  SendAll(rig.Peer(kServer), "OPTIONS rtsp:");
  rig.Settle();
  rig.Pass(9'000);
  CHECK(!rig.Said(table::kRecordFault, kServer));
  rig.Pass(9'000);
  const Heard fault = rig.Only(table::kRecordFault, kServer);
  CHECK_EQ(fault.record.value, table::kFaultLate);
  CHECK_EQ(fault.bytes, "OPTIONS rtsp:");
}

TEST(WiresAreNotLateWhileOthersAre) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), Request(1) + "$\1\0\5ab");
  rig.Settle();
  for (int i = 0; i < 5; ++i) rig.Pass(6'000);
  CHECK(!rig.Said(table::kRecordFault, kClient));
}

TEST(WiresWaitForAFullInbox) {
  WireRig rig({.ring_bytes = 4096});
  rig.OpenPair();
  rig.Open(kOther, table::kWireUpstream);
  SendAll(rig.Peer(kClient), Request(1, Payload(1500)));
  SendAll(rig.Peer(kServer), Request(2, Payload(1500)));
  SendAll(rig.Peer(kOther), Request(3, Payload(1500)));
  rig.Settle();
  std::map<uint32_t, std::string> got;
  for (int i = 0; i < 4; ++i) {
    for (const Heard& heard : rig.Hear()) {
      if (heard.record.kind == table::kRecordMessage) got[heard.record.wire] += heard.bytes;
    }
    rig.Pass(20);
  }
  CHECK(rig.Count(Counter::inbox_full) > 0);
  CHECK_EQ(got[kClient], Request(1, Payload(1500)));
  CHECK_EQ(got[kServer], Request(2, Payload(1500)));
  CHECK_EQ(got[kOther], Request(3, Payload(1500)));
}

// ---------------------------------------------------------------- ends

TEST(WiresTellOfTheEndAfterEverythingBeforeIt) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kServer), Frame(0, "last") + Answer(1) + Frame(0, "very last"));
  ::shutdown(rig.Peer(kServer).get(), SHUT_WR);
  rig.Settle();
  CHECK(!rig.Said(table::kRecordEnd, kServer));
  rig.Push(table::kRecordContinue, kServer, 1);
  CHECK(rig.Said(table::kRecordEnd, kServer));
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "last") + Frame(0, "very last"));
  rig.Write(kServer, 1, "still heard");
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kServer)), "still heard");
}

TEST(WiresEndWithAHalfFrame) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kServer), Frame(0, "whole") + "$\1\0\5ab");
  ::shutdown(rig.Peer(kServer).get(), SHUT_WR);
  CHECK(rig.Said(table::kRecordEnd, kServer));
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), Frame(0, "whole"));
}

TEST(WiresShutDownAfterWhatIsWritten) {
  WireRig rig;
  rig.OpenPair();
  rig.Write(kClient, 1, "bye");
  rig.Push(table::kRecordShutdown, kClient);
  rig.Settle();
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "bye");
  CHECK(AtEnd(rig.Peer(kClient)));
  SendAll(rig.Peer(kServer), Frame(0, "for nobody"));
  ::shutdown(rig.Peer(kClient).get(), SHUT_WR);
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndBoth);
  CHECK_EQ(rig.Count(Counter::wire_frames_dropped), 1u);
}

TEST(WiresLingerNotForEver) {
  WireRig rig;
  rig.OpenPair();
  rig.Push(table::kRecordShutdown, kClient);
  rig.Settle();
  rig.Pass(4'000);
  CHECK(!rig.Said(table::kRecordClosed, kClient));
  rig.Pass(4'000);
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndLinger);
}

TEST(WiresTellOfResets) {
  WireRig rig;
  rig.OpenPair();
  SendAll(rig.Peer(kClient), Request(1));
  Reset(rig.Peer(kClient));
  rig.Settle();
  const std::vector<Heard> said = rig.Hear();
  CHECK_EQ(said.back().record.kind, table::kRecordClosed);
  CHECK_EQ(said.back().record.value, table::kEndError);
  CHECK_EQ(said.back().record.seq, static_cast<uint32_t>(ECONNRESET));
  CHECK_EQ(said[said.size() - 2].bytes, Request(1));  // what came before is seen before
  SendAll(rig.Peer(kServer), Frame(0, "for nobody"));
  rig.Settle();
  CHECK_EQ(rig.Count(Counter::wire_frames_dropped), 1u);
}

TEST(WiresAreLetGoOf) {
  WireRig rig;
  rig.OpenPair();
  rig.Hear();
  rig.Write(kClient, 1, "bye");
  rig.Settle();
  rig.Push(table::kRecordClose, kClient);
  CHECK(rig.Said(table::kRecordReleased, kClient));
  CHECK_EQ(rig.Row(kClient).released_generation, rig.Row(kClient).generation);
  CHECK_EQ(ReceiveAll(rig.Peer(kClient)), "bye");
  CHECK(AtEnd(rig.Peer(kClient)));  // although the vault still holds it
}

TEST(WiresWhoseWorkerDiedClosingThemAreLetGoOf) {
  WireRig rig;
  rig.OpenPair();
  rig.Hear();
  memory::StoreRelease(rig.Row(kClient).state, static_cast<uint32_t>(table::kRowClosing));
  rig.Pass(1'500);
  CHECK(rig.Said(table::kRecordReleased, kClient));
  SendAll(rig.Peer(kServer), Frame(0, "for nobody"));
  rig.Settle();
  CHECK_EQ(rig.Row(kServer).unrouted_frames, 1u);
}

TEST(WiresOfAClosedRowAreLetGoOfAsTheyCome) {
  WireRig rig;
  rig.Open(kClient, table::kWireClient, false);
  rig.OpenRow(kServer, table::kWireUpstream);
  memory::StoreRelease(rig.Row(kServer).state, static_cast<uint32_t>(table::kRowClosing));
  Connection connection = Connect();
  net::PassedMessage message;
  message.message = {net::kVaultAddWire, kServer, rig.Row(kServer).generation, net::kWireMask};
  message.fds[0] = std::move(connection.ours);
  rig.Give(std::move(message));
  CHECK(rig.Said(table::kRecordReleased, kServer));
}

TEST(WiresWithoutADescriptorAreGivenUp) {
  WireRig rig;
  rig.OpenRow(kClient, table::kWireClient);
  rig.Push(table::kRecordStart, kClient);
  rig.Settle();
  rig.Pass(6'000);
  CHECK_EQ(rig.Only(table::kRecordClosed, kClient).record.value, table::kEndLost);
}


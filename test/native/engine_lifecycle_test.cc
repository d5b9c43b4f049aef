// Streams coming, going, and outliving an engine.
#include "engine_fixture.h"

using namespace penstock;
using namespace penstock::test;
using counters::Counter;
using counters::Verdict;
using memory::Load;

namespace {

constexpr uint32_t kMedia = table::kServerRtp;

void ExpectRelease(Appliance& appliance, const Flow& flow) {
  const auto release = appliance.NextRelease();
  CHECK(release.has_value());
  CHECK_EQ(release->op, net::kVaultRelease);
  CHECK_EQ(release->stream, flow.slot);
  CHECK_EQ(release->generation, flow.generation);
}

}  // namespace

TEST(engine_successor_relays_what_queued_and_keeps_what_was_learned) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  flow.slot = 5;
  flow.control[table::kClientRtp].declared.port = 0;
  appliance.Open(flow);
  flow.peers[0].Send(flow.At(0), ZeroRtp());
  EVENTUALLY(appliance.State(flow, 0) == table::kLegLatched);
  flow.peers[kMedia].SendMerged(flow.At(kMedia), {Rtp({.sequence = 1}), Rtp({.sequence = 2})});
  flow.peers[0].Expect(Rtp({.sequence = 1}), flow.At(0));
  flow.peers[0].Expect(Rtp({.sequence = 2}), flow.At(0));
  EVENTUALLY(Load(appliance.Data(flow, kMedia).rx_packets) == 2);

  appliance.Stop();
  // Merged buffers queue as well; the successor may have been told not to ask for them.
  flow.peers[kMedia].SendMerged(flow.At(kMedia), {Rtp({.sequence = 3}), Rtp({.sequence = 4}), Rtp({.sequence = 5})});
  appliance.Start({.gso = false, .gro = false});
  appliance.HandOver(flow);
  for (uint32_t i = 3; i <= 5; ++i) flow.peers[0].Expect(Rtp({.sequence = i}), flow.At(0));
  EVENTUALLY(Load(appliance.Data(flow, kMedia).rx_packets) == 5);
  CHECK_EQ(Load(appliance.Data(flow, kMedia).expected), 5u);
  CHECK_EQ(Load(appliance.Data(flow, table::kClientRtp).latches), 1u);
  CHECK_EQ(appliance.Count(Counter::streams_restored), 1u);
  // What was latched stays closed to others.
  const Peer stranger(2);
  stranger.Send(flow.At(0), ZeroRtp());
  EVENTUALLY(appliance.Count(Verdict::other_address) == 1);
}

TEST(engine_counts_what_a_full_socket_lost_though_nobody_read_it) {
  Appliance appliance;
  Flow flow;
  const int small = 4096;
  CHECK_EQ(::setsockopt(flow.ours[kMedia].fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
  uint32_t sent = 0;
  const auto send = [&] { flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = sent++, .payload = 1000})); };
  const auto relayed = [&] { return Load(appliance.Data(flow, kMedia).rx_packets); };
  const auto lost = [&] { return Load(appliance.Data(flow, kMedia).overflowed); };
  appliance.Start({.gro = false});
  appliance.Open(flow);
  appliance.Stop();
  for (int i = 0; i < 50; ++i) send();

  appliance.Start({.gro = false});
  appliance.HandOver(flow);
  EVENTUALLY(relayed() > 0);
  CHECK_EQ(lost(), 0u);
  send();  // a packet carries the total of what was lost before it
  EVENTUALLY(relayed() + lost() == sent);
  CHECK(lost() > 0);
  CHECK_EQ(appliance.Count(Counter::rx_overflow), lost());

  // The successor knows what is counted already.
  appliance.Stop();
  appliance.Start({.gro = false});
  appliance.HandOver(flow);
  send();
  EVENTUALLY(relayed() + lost() == sent);
  CHECK_EQ(appliance.Count(Counter::rx_overflow), lost());
}

TEST(engine_starts_a_new_generation_with_clean_data) {
  Appliance appliance;
  appliance.Start();
  Flow first;
  appliance.Open(first);
  first.peers[kMedia].Send(first.At(kMedia), Rtp({.sequence = 1}));
  EVENTUALLY(Load(appliance.Data(first, kMedia).rx_packets) == 1);
  appliance.Close(first);
  ExpectRelease(appliance, first);
  Flow second;
  second.generation = 2;
  appliance.Open(second);
  CHECK_EQ(Load(appliance.Data(second, kMedia).rx_packets), 0u);
  CHECK_EQ(Load(appliance.Data(second, kMedia).latches), 0u);
  CHECK_EQ(appliance.State(second, kMedia), table::kLegWaiting);
  second.peers[kMedia].Send(second.At(kMedia), Rtp({.sequence = 9}));
  second.peers[0].Expect(Rtp({.sequence = 9}), second.At(0));
}

TEST(engine_close_waits_for_silence_then_lets_go_everywhere) {
  Appliance appliance(1, 100);
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  appliance.Close(flow);
  EVENTUALLY(appliance.State(flow, kMedia) == table::kLegClosed);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  EVENTUALLY(appliance.Count(Verdict::late) == 1);
  CHECK(flow.peers[0].Silent());
  EVENTUALLY(appliance.Released(flow));
  ExpectRelease(appliance, flow);
  EVENTUALLY(appliance.NextEvent(flow).value_or(table::Event{}).kind == table::kEventReleased);
  CHECK_EQ(appliance.Count(Counter::streams_released), 1u);
  // The vault's copies are open still: the engine must have stopped watching them all the same.
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 2}));
  Flow other;
  other.slot = 1;
  appliance.Open(other);
  other.peers[kMedia].Send(other.At(kMedia), Rtp({.sequence = 1}));
  EVENTUALLY(appliance.Count(Verdict::forwarded) == 1);
  CHECK_EQ(appliance.Count(Counter::rx_packets), 2u);
  CHECK_EQ(appliance.Count(Counter::wakes), 2u);  // the late packet and the other stream's
}

TEST(engine_quarantine_ends_though_a_peer_never_stops) {
  Appliance appliance(1, 30);
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  appliance.Close(flow);
  while (!appliance.Released(flow)) {
    flow.peers[table::kClientRtp].Send(flow.At(table::kClientRtp), Rtp({}));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(appliance.Count(Verdict::late) > 0);
}

TEST(stream_rests_when_peers_are_silent_or_were_heard_long_enough) {
  constexpr table::Millis kQuarantine = 100;
  constexpr table::Millis kBegin = 5000;
  const auto held = [](uint32_t leg, table::Millis now) {
    flow::Stream stream;
    stream.closing_since = stream.last_late = kBegin;
    stream.legs[leg].TakeSocket(stream, leg, UniqueFd(::socket(AF_INET, SOCK_DGRAM, 0)));
    stream.HearLate(stream.legs[leg], now - kQuarantine + 1);
    return !stream.IsAtRest(kQuarantine, now) && stream.IsAtRest(kQuarantine, now + 1);
  };
  for (const uint32_t leg : {table::kClientRtp, table::kClientRtcp, table::kServerRtp, table::kServerRtcp}) {
    CHECK(held(leg, kBegin + kQuarantine * flow::kQuarantineFactor - 1));
  }
  CHECK(!held(table::kClientRtp, kBegin + kQuarantine * flow::kQuarantineFactor));
  CHECK(!held(table::kClientRtcp, kBegin + kQuarantine * flow::kQuarantineFactor));
  CHECK(held(table::kServerRtp, kBegin + kQuarantine * flow::kServerQuarantineFactor - 1));
  CHECK(held(table::kServerRtcp, kBegin + kQuarantine * flow::kServerQuarantineFactor - 1));
  CHECK(!held(table::kServerRtp, kBegin + kQuarantine * flow::kServerQuarantineFactor));
}

TEST(engine_quarantine_takes_no_notice_of_strangers) {
  Appliance appliance(1, 100);
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  appliance.Close(flow);
  const Peer stranger(9);
  // A server that sent like this would hold the pair for half a minute, and this test would give up.
  EVENTUALLY((stranger.Send(flow.At(kMedia), Rtp({})), appliance.Released(flow)));
  CHECK(appliance.Count(Verdict::late) > 0);
}

TEST(engine_lets_go_of_descriptors_for_a_row_that_is_not_open) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  flow.generation = 3;
  appliance.HandOver(flow);  // the row says free, generation 0
  ExpectRelease(appliance, flow);
  EVENTUALLY(appliance.Released(flow));
  Flow old;
  old.generation = 4;
  Flow current;
  current.generation = 5;
  appliance.Open(current);
  appliance.HandOver(old);  // of a generation that is gone
  ExpectRelease(appliance, old);
  current.peers[kMedia].Send(current.At(kMedia), Rtp({.sequence = 1}));
  current.peers[0].Expect(Rtp({.sequence = 1}), current.At(0));
}

TEST(engine_waits_for_a_row_in_the_middle_of_a_write) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.WriteRow(flow, table::kRowOpen, false);
  appliance.HandOver(flow);
  EVENTUALLY(appliance.Count(Counter::rows_unreadable) > 0);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  CHECK(!appliance.Attached(flow));
  appliance.WriteRow(flow);
  flow.peers[0].Expect(Rtp({.sequence = 1}), flow.At(0));  // it waited in the socket
}

TEST(engine_update_takes_a_newly_declared_port) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  const table::Endpoint later = flow.control[table::kClientRtp].declared;
  flow.control[table::kClientRtp].declared.port = 0;
  appliance.Open(flow);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  EVENTUALLY(appliance.Count(Verdict::no_remote) == 1);
  flow.control[table::kClientRtp].declared = later;
  appliance.WriteRow(flow);
  appliance.Push(flow, table::kCommandUpdate);
  EVENTUALLY(Load(appliance.Data(flow, table::kClientRtp).remote.port) == later.port);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 2}));
  flow.peers[0].Expect(Rtp({.sequence = 2}), flow.At(0));
}

TEST(engine_finds_a_close_that_nobody_told_it_of) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  appliance.WriteRow(flow, table::kRowClosing);  // and the worker dies before its command
  ExpectRelease(appliance, flow);
  EVENTUALLY(appliance.Released(flow));
}

TEST(engine_counts_commands_and_descriptors_that_make_no_sense) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.Push(flow, 99);
  EVENTUALLY(appliance.Count(Counter::unknown_command) == 1);
  appliance.Push(flow, table::kCommandClose);  // nothing there: ignored
  Flow beyond;
  beyond.slot = 5000;
  appliance.HandOver(beyond);
  EVENTUALLY(appliance.Count(Counter::bad_index) == 1);
  appliance.Open(flow);
}

TEST(engine_goes_on_without_a_vault) {
  Appliance appliance(1, 20);
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  appliance.LoseVault();
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  flow.peers[0].Expect(Rtp({.sequence = 1}), flow.At(0));
  appliance.Close(flow);
  EVENTUALLY(appliance.Released(flow));
  EVENTUALLY(appliance.Count(Counter::releases_lost) == 1);
}

TEST(engine_keeps_releases_that_the_vault_has_no_room_for) {
  Appliance appliance(1, 1);
  appliance.Start();
  appliance.ShrinkVaultSocket();
  constexpr uint32_t kMany = 30;  // more than fit into it
  Flow flow;
  for (flow.generation = 1; flow.generation <= kMany; ++flow.generation) {
    appliance.HandOver(flow);
    EVENTUALLY(appliance.Released(flow));
  }
  for (flow.generation = 1; flow.generation <= kMany; ++flow.generation) ExpectRelease(appliance, flow);
}

TEST(engine_refuses_a_wrong_number_of_wake_descriptors) {
  Appliance appliance(2);
  engine::Engine engine(appliance.region(), {.wake_fds = {0}});
  CHECK_THROWS(std::invalid_argument, engine.Start());
}

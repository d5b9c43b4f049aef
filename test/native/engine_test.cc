// Media through a whole engine: where packets go, from which port they come, what is refused.
#include "engine_fixture.h"
#include "net/offload_probe.h"

using namespace penstock;
using namespace penstock::test;
using counters::Counter;
using counters::Verdict;
using memory::Load;

namespace {

constexpr uint32_t kMedia = table::kServerRtp;

std::vector<Bytes> Frame(uint32_t first, uint32_t packets) {
  std::vector<Bytes> out;
  for (uint32_t i = 0; i < packets; ++i) {
    out.push_back(Rtp({.ssrc = 7, .sequence = first + i, .timestamp = first * 90, .payload = i + 1 == packets ? 300u : 1000u}));
  }
  return out;
}

}  // namespace

TEST(engine_relays_every_direction_from_the_announced_ports) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  const Bytes media = Rtp({.sequence = 10});
  flow.peers[table::kServerRtp].Send(flow.At(table::kServerRtp), media);
  flow.peers[table::kClientRtp].Expect(media, flow.At(table::kClientRtp));
  const Bytes sender = SenderReport(1, 2, 3, 4);
  flow.peers[table::kServerRtcp].Send(flow.At(table::kServerRtcp), sender);
  flow.peers[table::kClientRtcp].Expect(sender, flow.At(table::kClientRtcp));
  const Bytes receiver = ReceiverReport(5, {{.ssrc = 1}});
  flow.peers[table::kClientRtcp].Send(flow.At(table::kClientRtcp), receiver);
  flow.peers[table::kServerRtcp].Expect(receiver, flow.At(table::kServerRtcp));
  // Reports on the media port (RFC 5761) stay on it.
  flow.peers[table::kClientRtp].Send(flow.At(table::kClientRtp), receiver);
  flow.peers[table::kServerRtp].Expect(receiver, flow.At(table::kServerRtp));
  EVENTUALLY(appliance.Count(Verdict::forwarded) == 4);
  EVENTUALLY(Load(appliance.Data(flow, table::kClientRtp).tx_bytes) == media.size());
  CHECK_EQ(Load(appliance.Data(flow, kMedia).rx_packets), 1u);
  CHECK(Load(appliance.Data(flow, kMedia).last_rx_ms) > 0);
}

TEST(engine_backchannel_is_relayed_after_its_probation) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  for (uint32_t i = 0; i < 3; ++i) flow.peers[0].Send(flow.At(0), Rtp({.sequence = 65535 + i}));
  flow.peers[2].Expect(Rtp({.sequence = 0}), flow.At(2));
  flow.peers[2].Expect(Rtp({.sequence = 1}), flow.At(2));
  EVENTUALLY(appliance.Count(Verdict::punch) == 1);
}

TEST(engine_relays_what_is_not_rtp_unread) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  for (table::LegControl& control : flow.control) control.flags |= table::kLegOpaque;
  appliance.Open(flow);
  const std::vector<Bytes> datagrams = {{0x47}, Bytes(188, 0x47), RandomBytes(1), ZeroRtp(), EmptyReport(), OpenRtspPunch(),
                                        Rtp({.sequence = 1}), SenderReport(1, 2, 3, 4)};
  for (uint32_t leg = 0; leg < 4; ++leg) {
    for (const Bytes& datagram : datagrams) {
      flow.peers[leg].Send(flow.At(leg), datagram);
      flow.peers[leg ^ 2].Expect(datagram, flow.At(leg ^ 2));
    }
    CHECK_EQ(appliance.State(flow, leg), table::kLegLatched);
  }
  EVENTUALLY(appliance.Count(Verdict::forwarded) == 4 * datagrams.size());
  EVENTUALLY(Load(appliance.Data(flow, kMedia).rx_packets) == datagrams.size());
  CHECK_EQ(Load(appliance.Data(flow, kMedia).received), 0u);  // what has no sequence numbers has no quality
  const Peer other_port;
  other_port.Send(flow.At(kMedia), {0x47});
  EVENTUALLY(appliance.Count(Verdict::other_port) == 1);
  flow.peers[kMedia].Send(flow.At(kMedia), {});
  EVENTUALLY(appliance.Count(Verdict::punch) == 1);
  CHECK(flow.peers[table::kClientRtp].Silent());
}

TEST(engine_punches_latch_and_are_not_forwarded) {
  Appliance appliance;
  appliance.Start();
  for (const auto& [leg, punches] : std::vector<std::pair<uint32_t, std::vector<Bytes>>>{
           {table::kClientRtp, {ZeroRtp()}},
           {table::kClientRtp, {ZeroRtp(), ZeroRtp()}},
           {table::kClientRtp, {OpenRtspPunch(), OpenRtspPunch()}},
           {table::kClientRtp, {RandomBytes(1), RandomBytes(2), RandomBytes(3), RandomBytes(4), RandomBytes(5)}},
           {table::kClientRtcp, {EmptyReport()}},
           {table::kClientRtcp, {ZeroRtp(), ZeroRtp()}},
           {table::kClientRtcp, {OpenRtspPunch(), OpenRtspPunch()}}}) {
    static uint32_t generation = 0;
    Flow flow;
    flow.generation = ++generation;
    flow.control[leg].declared.port = 0;  // a wildcard
    appliance.Open(flow);
    CHECK_EQ(appliance.State(flow, leg), table::kLegWaiting);
    const uint64_t before = appliance.Count(Verdict::punch);
    flow.peers[leg].SendMerged(flow.At(leg), punches);  // rtspsrc's five may arrive as one buffer
    EVENTUALLY(appliance.Count(Verdict::punch) == before + punches.size());
    EVENTUALLY(appliance.State(flow, leg) == table::kLegLatched);
    CHECK_EQ(appliance.Count(Verdict::forwarded), 0u);
    CHECK(flow.peers[leg ^ 2].Silent());
    EVENTUALLY(Load(appliance.Data(flow, leg).punches) == punches.size());
    const auto event = appliance.NextEvent(flow);
    CHECK(event.has_value());
    CHECK_EQ(event->kind, table::kEventLatched);
    CHECK_EQ(event->leg, leg);
    CHECK_EQ(event->remote.port, flow.peers[leg].at().port);
    appliance.Close(flow);
    EVENTUALLY(appliance.Released(flow));
    while (appliance.NextEvent(flow)) {
    }
  }
}

TEST(engine_sends_to_the_source_it_learned) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  flow.control[table::kClientRtp].declared.port = 0;
  appliance.Open(flow);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  EVENTUALLY(appliance.Count(Verdict::no_remote) == 1);
  flow.peers[table::kClientRtp].Send(flow.At(table::kClientRtp), ZeroRtp());
  EVENTUALLY(appliance.State(flow, table::kClientRtp) == table::kLegLatched);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 2}));
  flow.peers[table::kClientRtp].Expect(Rtp({.sequence = 2}), flow.At(table::kClientRtp));
}

TEST(engine_refuses_and_counts_strangers) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  const Peer stranger(2);
  stranger.Send(flow.At(kMedia), Rtp({}));
  EVENTUALLY(appliance.Count(Verdict::not_latched_source) == 1);
  CHECK_EQ(Load(appliance.Data(flow, kMedia).last_rx_ms), 0.0);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  flow.peers[0].Expect(Rtp({.sequence = 1}), flow.At(0));
  stranger.Send(flow.At(kMedia), Rtp({}));
  EVENTUALLY(appliance.Count(Verdict::other_address) == 1);
  flow.peers[kMedia].Send(flow.At(kMedia), Bytes(20, 0xff));
  EVENTUALLY(appliance.Count(Verdict::bad_header) == 1);
  EVENTUALLY(Load(appliance.Data(flow, kMedia).refused) == 3);
  CHECK(flow.peers[0].Silent());
}

TEST(engine_follows_a_changed_port_and_updates_the_other_side) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  flow.peers[0].Expect(Rtp({.sequence = 1}), flow.At(0));
  const Peer moved;
  for (uint32_t i = 0; i < 5; ++i) moved.Send(flow.At(kMedia), Rtp({.sequence = 2 + i}));
  flow.peers[0].Expect(Rtp({.sequence = 6}), flow.At(0));
  EVENTUALLY(appliance.Count(Verdict::relearning) == 4);
  EVENTUALLY(appliance.NextEvent(flow).value_or(table::Event{}).kind == table::kEventRelearned);
  CHECK_EQ(Load(appliance.Data(flow, kMedia).latches), 2u);
  const Bytes report = ReceiverReport(5, {{.ssrc = 1}});
  flow.peers[0].Send(flow.At(0), report);
  moved.Expect(report, flow.At(kMedia));
}

TEST(engine_gives_the_same_bytes_with_and_without_offloads) {
  for (const bool gso : {false, true}) {
    for (const bool gro : {false, true}) {
      for (const int delay_us : {0, 500}) {
        Appliance appliance;
        const engine::EngineReport report = appliance.Start({.gso = gso, .gro = gro, .batch_delay_us = delay_us});
        CHECK_EQ(report.gso, gso && net::ProbeGso() == "ok");
        CHECK_EQ(report.gro, gro && net::ProbeGro() == "ok");
        CHECK_EQ(report.reasons.empty(), report.gso && report.gro);
        Flow flow;
        appliance.Open(flow);
        for (uint32_t frame = 0; frame < 8; ++frame) {
          const std::vector<Bytes> packets = Frame(1 + frame * 40, 40);
          flow.peers[kMedia].SendMerged(flow.At(kMedia), packets);
          for (const Bytes& packet : packets) flow.peers[0].Expect(packet, flow.At(0));
        }
        EVENTUALLY(appliance.Count(Verdict::forwarded) == 320);
        EVENTUALLY(Load(appliance.Data(flow, 0).tx_packets) == 320);
        CHECK_EQ(appliance.Count(Counter::rx_packets), 320u);
        CHECK_EQ(appliance.Count(Counter::gro_merged) > 0, report.gro);
        if (report.gro && report.gso) CHECK(appliance.Count(Counter::tx_calls) <= 16);
        if (!report.gso) CHECK_EQ(appliance.Count(Counter::gso_runs), 0u);
        CHECK_EQ(appliance.Count(Counter::delayed_wakes) > 0, delay_us != 0);
        EVENTUALLY(Load(appliance.Data(flow, kMedia).expected) == 320);
        CHECK_EQ(Load(appliance.Data(flow, kMedia).received), 320u);
      }
    }
  }
}

TEST(engine_rewrites_each_packet_of_a_merged_buffer_and_its_reports) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  table::Rewrite& out = flow.control[table::kClientRtp].rewrite;
  out.flags = table::kRewriteSsrc | table::kRewriteSequence | table::kRewriteTimestamp;
  out.ssrc_from = 7;
  out.ssrc_to = 70;
  out.sequence_delta = 10;
  out.timestamp_delta = 100;
  flow.control[table::kClientRtcp].rewrite = out;
  table::Rewrite& back = flow.control[table::kServerRtcp].rewrite;
  back = out;
  std::swap(back.ssrc_from, back.ssrc_to);
  back.sequence_delta = static_cast<uint16_t>(-10);
  appliance.Open(flow);

  std::vector<Bytes> in;
  for (uint32_t i = 0; i < 20; ++i) in.push_back(Rtp({.ssrc = 7, .sequence = 65520 + i, .timestamp = 0xffffffc0 + i}));
  flow.peers[kMedia].SendMerged(flow.At(kMedia), in);
  for (uint32_t i = 0; i < 20; ++i) {
    Bytes expected = in[i];
    rtp::Store16(&expected[2], static_cast<uint16_t>(65530 + i));
    rtp::Store32(&expected[4], 0x24 + i);
    rtp::Store32(&expected[8], 70);
    flow.peers[0].Expect(expected, flow.At(0));
  }
  flow.peers[3].Send(flow.At(3), SenderReport(7, 1, 2, 0xffffffff));
  flow.peers[1].Expect(SenderReport(70, 1, 2, 99), flow.At(1));
  flow.peers[1].Send(flow.At(1), ReceiverReport(5, {{.ssrc = 70, .highest = 0x00010005}}));
  flow.peers[3].Expect(ReceiverReport(5, {{.ssrc = 7, .highest = 0x0000fffb}}), flow.At(3));
  EVENTUALLY(appliance.Count(Counter::rewritten) == 22);
}

TEST(engine_measures_round_trips) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  appliance.Open(flow);
  flow.peers[3].Send(flow.At(3), SenderReport(7, 0x11112222, 0x33334444, 0));
  CHECK(flow.peers[1].Receive().has_value());
  flow.peers[1].Send(flow.At(1), ReceiverReport(5, {{.ssrc = 7, .lsr = 0x22223333, .dlsr = 0}}));
  EVENTUALLY(Load(appliance.Data(flow, table::kClientRtcp).round_trip_us) > 0);
  CHECK_EQ(Load(appliance.Data(flow, table::kServerRtcp).round_trip_us), 0u);
}

TEST(engine_takes_a_stream_with_fewer_legs) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  flow.mask = 1u << table::kClientRtp | 1u << table::kServerRtp | 1u << table::kServerRtcp;
  appliance.Open(flow);
  flow.peers[3].Send(flow.At(3), SenderReport(1, 2, 3, 4));
  EVENTUALLY(appliance.Count(Verdict::no_opposite) == 1);
  flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = 1}));
  flow.peers[0].Expect(Rtp({.sequence = 1}), flow.At(0));
}

TEST(engine_joins_an_ipv4_client_and_an_ipv6_server) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  flow.MoveServerToV6();
  appliance.Open(flow);
  const std::vector<Bytes> packets = Frame(1, 30);
  flow.peers[kMedia].SendMerged(flow.At(kMedia), packets);
  for (const Bytes& packet : packets) flow.peers[0].Expect(packet, flow.At(0));
  const Bytes report = ReceiverReport(5, {{.ssrc = 1}});
  flow.peers[1].Send(flow.At(1), report);
  flow.peers[3].Expect(report, flow.At(3));
}

TEST(engine_spreads_streams_over_its_threads) {
  Appliance appliance(2);
  appliance.Start({.pin_threads = true});
  std::array<Flow, 8> flows;
  for (uint32_t i = 0; i < flows.size(); ++i) {
    flows[i].slot = i;
    appliance.Open(flows[i]);
  }
  for (uint32_t round = 0; round < 20; ++round) {
    for (const Flow& flow : flows) flow.peers[kMedia].Send(flow.At(kMedia), Rtp({.sequence = round}));
  }
  for (const Flow& flow : flows) {
    for (uint32_t round = 0; round < 20; ++round) flow.peers[0].Expect(Rtp({.sequence = round}), flow.At(0));
  }
  for (uint32_t thread = 0; thread < 2; ++thread) {
    EVENTUALLY(appliance.region().Counters(thread)->Get(Verdict::forwarded) == 80);
  }
}

TEST(engine_drops_and_counts_what_is_beyond_the_rate_of_a_leg) {
  Appliance appliance;
  appliance.Start();
  Flow flow;
  flow.control[kMedia].max_rate = 1;  // 12,500 bytes in a second, and as many at once
  appliance.Open(flow);
  const Bytes packet = Rtp({.payload = 1238});  // 1250 bytes
  for (uint32_t i = 0; i < 10; ++i) flow.peers[kMedia].Send(flow.At(kMedia), packet);
  for (uint32_t i = 0; i < 10; ++i) flow.peers[0].Expect(packet, flow.At(0));
  const Bytes larger = Rtp({.payload = 20'000});
  flow.peers[kMedia].Send(flow.At(kMedia), larger);
  EVENTUALLY(appliance.Count(Verdict::over_rate) == 1);
  CHECK_EQ(memory::Load(appliance.Data(flow, kMedia).refused), 1u);
  // The other direction has no limit.
  flow.peers[table::kClientRtcp].Send(flow.At(table::kClientRtcp), ReceiverReport(5, {}));
  flow.peers[table::kServerRtcp].Expect(ReceiverReport(5, {}), flow.At(table::kServerRtcp));
  CHECK(flow.peers[0].Silent());
}

#include "flow/latch.h"

#include <string>
#include <vector>

#include "check.h"
#include "flow/endpoint.h"
#include "packets.h"

using namespace penstock;
using namespace penstock::test;
using counters::Verdict;
using flow::Arrival;
using flow::Decision;
using flow::Latch;
using flow::LatchRules;
using rtp::Kind;

namespace {

const table::Endpoint kDeclared = V4(2, 5000);
const table::Endpoint kOtherPort = V4(2, 6000);
const table::Endpoint kThirdPort = V4(2, 7000);
const table::Endpoint kStranger = V4(9, 5000);

Arrival From(const table::Endpoint& source, Kind kind = Kind::kRtp, uint16_t sequence = 1, uint32_t ssrc = 1) {
  return {source, kind, kind == Kind::kJunk, ssrc, sequence, false};
}

Latch Make(table::Latching mode, bool expects_media = true, bool rtcp = false, const table::Endpoint& declared = kDeclared) {
  return Latch({declared, {}, mode, rtcp, expects_media});
}

Verdict VerdictOf(const Decision& decision) { return decision.accepted ? Verdict::forwarded : decision.refusal; }

}  // namespace

TEST(latch_first_source_in_every_mode) {
  struct Case {
    const char* name;
    table::Latching mode;
    table::Endpoint declared;
    Arrival packet;
    Verdict verdict;
  };
  const table::Endpoint any_port = V4(2, 0);
  const table::Endpoint nobody{};
  const Verdict yes = Verdict::forwarded;
  const Arrival intolerable{kDeclared, Kind::kJunk, false, 0, 0, false};
  const std::vector<Case> cases = {
      {"off, exact", table::kLatchOff, kDeclared, From(kDeclared), yes},
      {"off, other port", table::kLatchOff, kDeclared, From(kOtherPort), Verdict::other_port},
      {"off, stranger", table::kLatchOff, kDeclared, From(kStranger), Verdict::not_latched_source},
      {"off, no port declared", table::kLatchOff, any_port, From(kOtherPort), yes},
      {"off, nothing declared", table::kLatchOff, nobody, From(kDeclared), Verdict::not_latched_source},
      {"off, punch", table::kLatchOff, kDeclared, From(kDeclared, Kind::kPunch), yes},
      {"same-ip, exact", table::kLatchSameIp, kDeclared, From(kDeclared), yes},
      {"same-ip, other port", table::kLatchSameIp, kDeclared, From(kOtherPort), yes},
      {"same-ip, stranger", table::kLatchSameIp, kDeclared, From(kStranger), Verdict::not_latched_source},
      {"same-ip, punch", table::kLatchSameIp, kDeclared, From(kOtherPort, Kind::kPunch), yes},
      {"same-ip, punch of random bytes", table::kLatchSameIp, kDeclared, From(kOtherPort, Kind::kJunk), yes},
      {"same-ip, junk where media is due", table::kLatchSameIp, kDeclared, intolerable, Verdict::bad_header},
      {"same-ip, nothing declared", table::kLatchSameIp, nobody, From(kDeclared), Verdict::not_latched_source},
      {"any, stranger with RTP", table::kLatchAny, kDeclared, From(kStranger), yes},
      {"any, stranger with RTCP", table::kLatchAny, kDeclared, From(kStranger, Kind::kRtcp), yes},
      {"any, stranger with a known punch", table::kLatchAny, kDeclared, From(kStranger, Kind::kPunch), yes},
      {"any, stranger with random bytes", table::kLatchAny, kDeclared, From(kStranger, Kind::kJunk), Verdict::bad_header},
      {"any, declared with random bytes", table::kLatchAny, kDeclared, From(kOtherPort, Kind::kJunk), yes},
      {"same-ip, no RTP", table::kLatchSameIp, kDeclared, From(kOtherPort, Kind::kOpaque), yes},
      {"same-ip, stranger without RTP", table::kLatchSameIp, kDeclared, From(kStranger, Kind::kOpaque), Verdict::not_latched_source},
      {"any, no RTP", table::kLatchAny, kDeclared, From(kOtherPort, Kind::kOpaque), yes},
      {"any, stranger without RTP", table::kLatchAny, kDeclared, From(kStranger, Kind::kOpaque), Verdict::bad_header},
      {"any, nothing declared", table::kLatchAny, nobody, From(kStranger), yes},
  };
  for (const Case& c : cases) {
    Latch latch({c.declared, {}, c.mode, false, false});
    const Decision decision = latch.Judge(c.packet);
    if (VerdictOf(decision) != c.verdict) check::Fail(__FILE__, __LINE__, c.name);
    CHECK_EQ(decision.change == Decision::kLatched, decision.accepted);
    CHECK_EQ(latch.state(), decision.accepted ? table::kLegLatched : table::kLegWaiting);
    CHECK(!decision.accepted || flow::SameEndpoint(latch.remote(), c.packet.source));
  }
}

TEST(latch_knows_a_peer_by_its_other_address_too) {
  for (const auto mode : {table::kLatchOff, table::kLatchSameIp}) {
    Latch latch({kDeclared, V4(7, 0), mode, false, true});
    CHECK(!latch.Judge(From(kStranger)).accepted);
    CHECK(latch.Judge(From(V4(7, 5000))).accepted);
    CHECK(!latch.Judge(From(kDeclared)).accepted);  // from now on the exact source alone
  }
  Latch strict({kDeclared, V4(7, 0), table::kLatchOff, false, true});
  CHECK_EQ(VerdictOf(strict.Judge(From(V4(7, 6000)))), Verdict::other_port);
}

TEST(latch_sends_to_the_declared_port_before_anything_came) {
  CHECK(flow::SameEndpoint(Make(table::kLatchSameIp).remote(), kDeclared));
  CHECK(flow::CanSendTo(Make(table::kLatchSameIp).remote()));
  CHECK(!flow::CanSendTo(Make(table::kLatchSameIp, true, false, V4(2, 0)).remote()));
}

TEST(latch_after_latching_takes_only_the_exact_source) {
  for (const table::Latching mode : {table::kLatchOff, table::kLatchSameIp, table::kLatchAny}) {
    Latch latch = Make(mode);
    latch.Judge(From(kDeclared));
    CHECK_EQ(VerdictOf(latch.Judge(From(kDeclared))), Verdict::forwarded);
    CHECK_EQ(VerdictOf(latch.Judge(From(kStranger))), Verdict::other_address);
    CHECK_EQ(VerdictOf(latch.Judge({kDeclared, Kind::kJunk, false, 0, 0, false})), Verdict::bad_header);
    const Verdict other = mode == table::kLatchOff ? Verdict::other_port : Verdict::relearning;
    CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort))), other);
  }
}

TEST(latch_off_never_follows) {
  Latch latch = Make(table::kLatchOff);
  latch.Judge(From(kDeclared));
  for (uint16_t i = 0; i < 50; ++i) CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort, Kind::kRtp, i))), Verdict::other_port);
  CHECK_EQ(latch.state(), table::kLegLatched);
}

TEST(latch_follows_a_new_port_after_five_in_order) {
  Latch latch = Make(table::kLatchSameIp);
  latch.Judge(From(kDeclared));
  const Decision first = latch.Judge(From(kOtherPort, Kind::kRtp, 65533));
  CHECK_EQ(first.change, Decision::kRelearning);
  CHECK_EQ(latch.state(), table::kLegRelearning);
  for (const uint16_t sequence : {65534, 65535, 0}) {  // over the wrap
    CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort, Kind::kRtp, sequence))), Verdict::relearning);
    CHECK(flow::SameEndpoint(latch.remote(), kDeclared));
  }
  const Decision fifth = latch.Judge(From(kOtherPort, Kind::kRtp, 1));
  CHECK(fifth.accepted);
  CHECK_EQ(fifth.change, Decision::kRelearned);
  CHECK(flow::SameEndpoint(latch.remote(), kOtherPort));
  CHECK_EQ(latch.state(), table::kLegLatched);
}

TEST(latch_late_packets_of_the_old_port_do_not_make_it_flap) {
  Latch latch = Make(table::kLatchSameIp);
  latch.Judge(From(kDeclared));
  uint16_t sequence = 100;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 4; ++i) CHECK(!latch.Judge(From(kOtherPort, Kind::kRtp, ++sequence)).accepted);
    const Decision old = latch.Judge(From(kDeclared));
    CHECK(old.accepted);
    CHECK_EQ(old.change, Decision::kOldSourceBack);
    CHECK_EQ(latch.state(), table::kLegLatched);
  }
  for (int i = 0; i < 5; ++i) latch.Judge(From(kOtherPort, Kind::kRtp, ++sequence));
  CHECK(flow::SameEndpoint(latch.remote(), kOtherPort));
  // Now the old port is the odd one: single late packets of it change nothing.
  for (int i = 0; i < 10; ++i) {
    CHECK(!latch.Judge(From(kDeclared)).accepted);
    CHECK(latch.Judge(From(kOtherPort, Kind::kRtp, ++sequence)).accepted);
  }
}

TEST(latch_wants_one_source_in_order_from_one_port) {
  const auto follows = [](const std::vector<Arrival>& packets) {
    Latch latch = Make(table::kLatchSameIp);
    latch.Judge(From(kDeclared));
    for (const Arrival& packet : packets) latch.Judge(packet);
    return flow::SameEndpoint(latch.remote(), packets.back().source);
  };
  const auto rtp = [](uint16_t sequence, uint32_t ssrc = 1, const table::Endpoint& source = kOtherPort) {
    return From(source, Kind::kRtp, sequence, ssrc);
  };
  CHECK(follows({rtp(1), rtp(2), rtp(5), rtp(6), rtp(7)}));               // small gaps are losses
  CHECK(!follows({rtp(1), rtp(2), rtp(3), rtp(4), rtp(4)}));              // a repeat
  CHECK(!follows({rtp(5), rtp(4), rtp(3), rtp(2), rtp(1)}));              // backwards
  CHECK(!follows({rtp(1), rtp(2), rtp(3), rtp(4), rtp(5, 2)}));           // another SSRC
  CHECK(!follows({rtp(1), rtp(2), rtp(3), rtp(4), rtp(5000)}));           // a jump
  CHECK(!follows({rtp(1), rtp(2), rtp(3), rtp(4, 1, kThirdPort), rtp(5)}));
  CHECK(!follows({rtp(1), rtp(2), rtp(3), rtp(4)}));
  CHECK(!follows(std::vector<Arrival>(50, From(kOtherPort, Kind::kPunch))));
}

TEST(latch_of_a_leg_without_media_follows_punches) {
  Latch latch = Make(table::kLatchSameIp, false);
  latch.Judge(From(kDeclared, Kind::kJunk));
  for (int i = 0; i < 4; ++i) CHECK(!latch.Judge(From(kOtherPort, i % 2 ? Kind::kJunk : Kind::kRtp)).accepted);
  CHECK_EQ(latch.Judge(From(kOtherPort, Kind::kPunch)).change, Decision::kRelearned);
}

TEST(latch_of_an_rtcp_leg_follows_two_reports) {
  Latch latch = Make(table::kLatchSameIp, false, true);
  latch.Judge(From(kDeclared, Kind::kRtcp));
  for (int i = 0; i < 5; ++i) CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort, Kind::kPunch))), Verdict::other_port);
  CHECK(!latch.Judge(From(kOtherPort, Kind::kRtcp)).accepted);
  CHECK(latch.Judge(From(kDeclared, Kind::kRtcp)).accepted);
  CHECK(!latch.Judge(From(kOtherPort, Kind::kRtcp)).accepted);
  CHECK_EQ(latch.Judge(From(kOtherPort, Kind::kRtcp)).change, Decision::kRelearned);
}

TEST(latch_update_keeps_a_source_that_fits_and_drops_one_that_does_not) {
  Latch latch = Make(table::kLatchSameIp, true, false, V4(2, 0));
  latch.Judge(From(kDeclared));
  latch.Update({kDeclared, {}, table::kLatchSameIp, false, true});  // the reply names the port we had learned
  CHECK_EQ(latch.state(), table::kLegLatched);
  latch.Update({kDeclared, {}, table::kLatchSameIp, false, false});  // nothing about the source
  CHECK_EQ(latch.state(), table::kLegLatched);
  latch.Update({kThirdPort, {}, table::kLatchSameIp, false, true});  // a new SETUP with other ports
  CHECK_EQ(latch.state(), table::kLegWaiting);
  CHECK(flow::SameEndpoint(latch.remote(), kThirdPort));
}

TEST(latch_restored_goes_on_as_latched) {
  Latch latch = Make(table::kLatchSameIp);
  latch.Restore(kOtherPort, true);
  CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort))), Verdict::forwarded);
  CHECK_EQ(VerdictOf(latch.Judge(From(kDeclared))), Verdict::relearning);
  Latch first = Make(table::kLatchSameIp);
  first.Restore(kOtherPort, false);  // nothing says that the declared port was ever heard
  CHECK_EQ(first.Judge(From(kDeclared)).change, Decision::kRelearned);
}

TEST(latch_declared_endpoint_takes_its_place_from_whoever_was_faster) {
  struct Case {
    table::Latching mode;
    table::Endpoint faster;
    Arrival owner;
    bool expects_media;
    bool rtcp;
  };
  const std::vector<Case> cases = {
      {table::kLatchSameIp, kOtherPort, From(kDeclared, Kind::kPunch), false, false},
      {table::kLatchSameIp, kOtherPort, From(kDeclared, Kind::kJunk), false, false},  // rtspsrc's punch
      {table::kLatchSameIp, kOtherPort, From(kDeclared), true, false},
      {table::kLatchSameIp, kOtherPort, From(kDeclared, Kind::kRtcp), false, true},
      {table::kLatchAny, kStranger, From(kDeclared, Kind::kPunch), false, false},
      {table::kLatchAny, kStranger, From(kDeclared), true, false},
      {table::kLatchAny, kStranger, From(kDeclared, Kind::kRtcp), false, true},
  };
  for (const Case& c : cases) {
    Latch latch = Make(c.mode, c.expects_media, c.rtcp);
    const Kind kind = c.rtcp ? Kind::kRtcp : Kind::kRtp;
    CHECK(latch.Judge(From(c.faster, kind)).accepted);
    CHECK(latch.Judge(From(c.faster, kind, 2)).accepted);
    const Decision decision = latch.Judge(c.owner);
    CHECK(decision.accepted);
    CHECK_EQ(decision.change, Decision::kRelearned);
    CHECK(flow::SameEndpoint(latch.remote(), kDeclared));
    CHECK(!latch.Judge(From(c.faster, kind, 3)).accepted);
  }
}

TEST(latch_declared_endpoint_takes_its_place_only_with_what_may_latch) {
  Latch latch = Make(table::kLatchSameIp);
  latch.Judge(From(kOtherPort));
  CHECK(!latch.Judge({kDeclared, Kind::kJunk, false, 0, 0, false}).accepted);
  CHECK(flow::SameEndpoint(latch.remote(), kOtherPort));
}

TEST(latch_declared_endpoint_that_was_heard_is_late_after_a_move) {
  // Heard first, or known to be the latched one since an update.
  Latch heard = Make(table::kLatchSameIp);
  heard.Judge(From(kDeclared));
  Latch updated = Make(table::kLatchSameIp, true, false, V4(2, 0));
  updated.Judge(From(kDeclared));
  updated.Update({kDeclared, {}, table::kLatchSameIp, false, true});
  for (Latch* latch : {&heard, &updated}) {
    for (uint16_t i = 1; i <= flow::kRelearnPackets; ++i) latch->Judge(From(kOtherPort, Kind::kRtp, i));
    CHECK(flow::SameEndpoint(latch->remote(), kOtherPort));
    CHECK_EQ(VerdictOf(latch->Judge(From(kDeclared))), Verdict::relearning);
  }
  // Another SETUP begins anew.
  heard.Update({kThirdPort, {}, table::kLatchSameIp, false, true});
  heard.Judge(From(kOtherPort));
  CHECK_EQ(heard.Judge(From(kThirdPort)).change, Decision::kRelearned);
}

TEST(latch_knows_a_link_local_address_without_its_scope) {
  table::Endpoint declared{};
  declared.family = table::kFamilyV6;
  declared.address[0] = 0xfe;
  declared.address[1] = 0x80;
  declared.port = 5000;
  table::Endpoint source = declared;
  source.scope = 3;
  Latch latch({declared, {}, table::kLatchOff, false, true});
  CHECK(latch.Judge(From(source)).accepted);
  CHECK_EQ(latch.remote().scope, 3u);
  source.scope = 4;
  CHECK(!latch.Judge(From(source)).accepted);
}

TEST(latch_candidate_begins_anew_when_the_old_source_is_heard_elsewhere) {
  Latch latch = Make(table::kLatchSameIp);
  CHECK(latch.Judge(From(kDeclared)).accepted);
  CHECK(!latch.OldSourceHeard(1));
  for (uint16_t round = 0; round < 3; ++round) {
    for (uint16_t i = 1; i < flow::kRelearnPackets; ++i) {
      CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort, Kind::kRtp, round * 10 + i))), Verdict::relearning);
    }
    CHECK_EQ(latch.state(), table::kLegRelearning);
    CHECK(latch.OldSourceHeard(1));
    CHECK_EQ(latch.state(), table::kLegLatched);
  }
  for (uint16_t i = 1; i < flow::kRelearnPackets; ++i) latch.Judge(From(kOtherPort, Kind::kRtp, 50 + i));
  CHECK_EQ(latch.Judge(From(kOtherPort, Kind::kRtp, 50 + flow::kRelearnPackets)).change, Decision::kRelearned);
}

TEST(latch_follows_the_source_that_was_heard_elsewhere_last) {
  Latch latch = Make(table::kLatchSameIp);
  CHECK(latch.Judge(From(kDeclared)).accepted);
  latch.OldSourceHeard(2);
  CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort, Kind::kRtp, 1, 1))), Verdict::other_port);
  for (uint16_t i = 1; i < flow::kRelearnPackets; ++i) latch.Judge(From(kOtherPort, Kind::kRtp, i, 2));
  CHECK_EQ(latch.Judge(From(kOtherPort, Kind::kRtp, flow::kRelearnPackets, 2)).change, Decision::kRelearned);
}

TEST(latch_follows_nobody_but_the_source_that_it_knows) {
  struct Case {
    bool expects_media;
    bool rtcp;
    Kind kind;
  };
  for (const Case& c : {Case{true, false, Kind::kRtp}, Case{false, true, Kind::kRtcp}}) {
    for (const auto mode : {table::kLatchSameIp, table::kLatchAny}) {
      Latch latch = Make(mode, c.expects_media, c.rtcp);
      latch.Judge(From(kDeclared, Kind::kPunch, 0, 0));
      latch.Judge(From(kDeclared, c.kind, 1, 7));
      for (uint16_t i = 0; i < 20; ++i) CHECK_EQ(VerdictOf(latch.Judge(From(kOtherPort, c.kind, i, 8))), Verdict::other_port);
      CHECK_EQ(latch.state(), table::kLegLatched);
      for (uint16_t i = 0; i < flow::kRelearnPackets; ++i) latch.Judge(From(kOtherPort, c.kind, i, 7));
      CHECK(flow::SameEndpoint(latch.remote(), kOtherPort));
      latch.Judge(From(kOtherPort, c.kind, 10, 9));  // it may call itself anew
      for (uint16_t i = 0; i < 20; ++i) CHECK(!latch.Judge(From(kDeclared, c.kind, i, 7)).accepted);
      CHECK(flow::SameEndpoint(latch.remote(), kOtherPort));
    }
  }
}

TEST(latch_follows_whom_it_does_not_know_by_a_source) {
  Latch latch = Make(table::kLatchSameIp);
  latch.Judge(From(kDeclared, Kind::kPunch, 0, 0));
  latch.Judge(From(kDeclared, Kind::kRtcp, 0, 3));  // RTCP on the port of RTP
  for (uint16_t i = 0; i < flow::kRelearnPackets; ++i) latch.Judge(From(kOtherPort, Kind::kRtp, i, 8));
  CHECK(flow::SameEndpoint(latch.remote(), kOtherPort));
}

TEST(latch_takes_no_punch_for_a_move_of_a_peer_that_is_at_home) {
  Latch rtcp = Make(table::kLatchSameIp, false, true);
  Latch rtp = Make(table::kLatchSameIp, false);
  rtp.Judge(From(kDeclared, Kind::kPunch));
  const auto punches = [&] {
    Verdict last = Verdict::forwarded;
    for (uint32_t i = 0; i < flow::kRelearnPackets; ++i) {
      Arrival packet = From(kOtherPort, Kind::kPunch);
      packet.at_home = rtcp.AtHome();
      last = VerdictOf(rtp.Judge(packet));
    }
    return last;
  };
  CHECK(!rtcp.AtHome());
  rtcp.Judge(From(kDeclared, Kind::kPunch, 0, 0));
  CHECK(!rtcp.AtHome());  // it has not said who it is
  rtcp.Judge(From(kDeclared, Kind::kRtcp, 0, 5));
  CHECK(rtcp.AtHome());
  CHECK_EQ(punches(), Verdict::other_port);
  for (uint32_t i = 0; i < flow::kRelearnReports; ++i) rtcp.Judge(From(kThirdPort, Kind::kRtcp, 0, 5));
  CHECK(!rtcp.AtHome());  // its reports come from elsewhere now: so may its media
  CHECK_EQ(punches(), Verdict::forwarded);
  CHECK(flow::SameEndpoint(rtp.remote(), kOtherPort));
}

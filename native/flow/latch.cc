#include "flow/latch.h"

#include "flow/endpoint.h"

namespace penstock::flow {
namespace {

using counters::Verdict;
using rtp::Kind;
using table::Endpoint;

constexpr uint16_t kMaxGap = 100;  // sequence numbers a candidate may skip (RFC 3550 A.1 MAX_MISORDER)

Decision Accept(Decision::Change change) { return {true, Verdict::forwarded, change}; }
Decision Refuse(Verdict why, Decision::Change change = Decision::kNone) { return {false, why, change}; }

}  // namespace

void Latch::Update(const LatchRules& rules) {
  const bool moved = !SameEndpoint(rules.declared, rules_.declared) && !SameEndpoint(rules.declared, remote_);
  rules_ = rules;
  if (state_ == table::kLegUnused || moved) Wait();
  if (state_ != table::kLegWaiting && IsDeclared(remote_)) declared_heard_ = true;
}

void Latch::Wait() {
  state_ = table::kLegWaiting;
  remote_ = rules_.declared;
  evidence_ = 0;
  declared_heard_ = moved_ = false;
  ssrc_ = 0;
}

void Latch::Restore(const Endpoint& remote, bool moved) {
  remote_ = remote;
  state_ = table::kLegLatched;
  evidence_ = 0;
  moved_ = moved;
  declared_heard_ = moved || IsDeclared(remote);
}

void Latch::Take(const Arrival& packet) {
  remote_ = packet.source;
  state_ = table::kLegLatched;
  evidence_ = 0;
  ssrc_ = 0;
  Identify(packet);
  declared_heard_ = declared_heard_ || IsDeclared(packet.source);
}

// RTCP that came to a port of RTP tells nothing of the source of the RTP.
void Latch::Identify(const Arrival& packet) {
  if (packet.ssrc != 0 && packet.kind == (rules_.rtcp ? Kind::kRtcp : Kind::kRtp)) ssrc_ = packet.ssrc;
}

Decision Latch::Judge(const Arrival& packet) {
  if (state_ == table::kLegWaiting) return JudgeWaiting(packet);
  if (!SameEndpoint(packet.source, remote_)) return JudgeCandidate(packet);
  if (packet.kind == Kind::kJunk && !packet.tolerated) return Refuse(Verdict::bad_header);
  Identify(packet);
  if (evidence_ == 0) return Accept(Decision::kNone);
  evidence_ = 0;
  state_ = table::kLegLatched;
  return Accept(Decision::kOldSourceBack);
}

bool Latch::OldSourceHeard(uint32_t ssrc) {
  const bool relearning = state_ == table::kLegRelearning;
  ssrc_ = ssrc;
  evidence_ = 0;
  if (relearning) state_ = table::kLegLatched;
  return relearning;
}

Decision Latch::JudgeWaiting(const Arrival& packet) {
  Verdict refusal = Verdict::not_latched_source;
  if (!MayLatch(packet, refusal)) return Refuse(refusal);
  Take(packet);
  return Accept(Decision::kLatched);
}

bool Latch::IsPeer(const Endpoint& source) const {
  return (HasAddress(rules_.declared) && SameAddress(source, rules_.declared)) ||
         (HasAddress(rules_.alternate) && SameAddress(source, rules_.alternate));
}

bool Latch::IsDeclared(const Endpoint& source) const {
  return CanSendTo(rules_.declared) && SameEndpoint(source, rules_.declared);
}

// Whoever was faster than the endpoint that RTSP named, be it a stranger (`any`) or another
// program on the peer's host, does not keep its place; the peer itself by its other address does.
bool Latch::IsLateOwner(const Arrival& packet) const {
  const bool by_other_address = !SameAddress(remote_, rules_.declared) && IsPeer(remote_);
  return !declared_heard_ && !by_other_address && IsDeclared(packet.source) &&
         (packet.kind != Kind::kJunk || packet.tolerated);
}

bool Latch::MayLatch(const Arrival& packet, Verdict& refusal) const {
  const bool declared_address = IsPeer(packet.source);
  if (!declared_address && rules_.mode != table::kLatchAny) return false;
  // `off` with no port from RTSP: there is nothing to compare the port with.
  if (rules_.mode == table::kLatchOff && rules_.declared.port != 0 && packet.source.port != rules_.declared.port) {
    refusal = Verdict::other_port;
    return false;
  }
  refusal = Verdict::bad_header;
  // What shows no header is believed only from the address that RTSP named.
  if (packet.kind == Kind::kOpaque) return declared_address;
  return packet.kind != Kind::kJunk || (declared_address && packet.tolerated);
}

Decision Latch::JudgeCandidate(const Arrival& packet) {
  if (IsLateOwner(packet)) {
    Take(packet);
    return Accept(Decision::kRelearned);
  }
  if (!SameAddress(packet.source, remote_)) return Refuse(Verdict::other_address);
  if (rules_.mode == table::kLatchOff || !IsEvidence(packet)) return Refuse(Verdict::other_port);
  if (!CountCandidate(packet)) {
    const bool first = state_ != table::kLegRelearning;
    state_ = table::kLegRelearning;
    return Refuse(Verdict::relearning, first ? Decision::kRelearning : Decision::kNone);
  }
  Take(packet);
  moved_ = true;
  return Accept(Decision::kRelearned);
}

// A player behind a NAT that changed its port may have nothing to send but punches.
bool Latch::IsEvidence(const Arrival& packet) const {
  if (!rules_.rtcp && !rules_.expects_media) return !packet.at_home;
  const bool same_source = ssrc_ == 0 || packet.ssrc == ssrc_;
  return same_source && packet.kind == (rules_.rtcp ? Kind::kRtcp : Kind::kRtp);
}

// True when the candidate has shown enough. Packets of the latched source in between set the
// count back to zero, so late ones of the old port cannot make the leg flap.
bool Latch::CountCandidate(const Arrival& packet) {
  bool goes_on = evidence_ != 0 && SameEndpoint(packet.source, candidate_);
  if (goes_on && rules_.expects_media && !rules_.rtcp) {
    const auto step = static_cast<uint16_t>(packet.sequence - candidate_sequence_);
    goes_on = packet.ssrc == candidate_ssrc_ && step != 0 && step <= kMaxGap;
  }
  evidence_ = goes_on ? evidence_ + 1 : 1;
  candidate_ = packet.source;
  candidate_ssrc_ = packet.ssrc;
  candidate_sequence_ = packet.sequence;
  return evidence_ >= (rules_.rtcp ? kRelearnReports : kRelearnPackets);
}

}  // namespace penstock::flow

// Whom a listening service accepts: waiting → latched → (relearning) → latched …
// The very endpoint that RTSP declared takes its place at once if another was faster; but once
// it has been heard, it is a port like others: what it sends after a move is late. Another port
// is followed where it shows to be the same source: by its SSRC, as soon as one is known.
// Pure: packet in, decision out; no sockets, no clock.
#pragma once

#include <cstdint>

#include "counters/counters.h"
#include "rtp/punch.h"
#include "table/region_layout.h"

namespace penstock::flow {

inline constexpr uint32_t kRelearnPackets = 5;  // on legs that carry RTP
inline constexpr uint32_t kRelearnReports = 2;  // on RTCP legs, where packets are seconds apart

struct LatchRules {
  table::Endpoint declared{};  // port 0 = any port, family none = nothing known
  table::Endpoint alternate{};  // another address of the same peer, family none = there is none
  table::Latching mode = table::kLatchSameIp;
  bool rtcp = false;           // an RTCP leg
  bool expects_media = false;  // RTP is expected from here, so that nothing but RTP counts
};

struct Arrival {
  table::Endpoint source;
  rtp::Kind kind;
  bool tolerated;  // junk that may be a punch on this leg
  uint32_t ssrc;   // of RTP, or of the sender of RTCP; 0 = says nothing
  uint16_t sequence;
  // The peer is known on its other port of the pair and has not moved there: punches are no evidence that it did here.
  bool at_home;
};

struct Decision {
  enum Change : uint8_t { kNone, kLatched, kRelearning, kOldSourceBack, kRelearned };
  bool accepted;
  counters::Verdict refusal;  // why, where not accepted
  Change change;
};

class Latch {
 public:
  explicit Latch(const LatchRules& rules) { Update(rules); }
  Latch() = default;

  // New rules from RTSP. A learned source stays unless RTSP now declares another one.
  void Update(const LatchRules& rules);
  // A source that a former engine had learned. `moved`: it was not the first one.
  void Restore(const table::Endpoint& remote, bool moved);

  Decision Judge(const Arrival& packet);
  // The latched source was heard by other ways than Judge, with this SSRC. True where that ended a relearning.
  bool OldSourceHeard(uint32_t ssrc);

  // The peer has said who it is, and still is where it was first heard.
  bool AtHome() const { return state_ != table::kLegWaiting && ssrc_ != 0 && !moved_; }
  // Whether packets of that address are a peer's, from whatever port.
  bool IsPeer(const table::Endpoint& source) const;

  table::LegState state() const { return state_; }
  const table::Endpoint& remote() const { return remote_; }  // where to send to; see CanSendTo

 private:
  Decision JudgeWaiting(const Arrival& packet);
  Decision JudgeCandidate(const Arrival& packet);
  bool IsDeclared(const table::Endpoint& source) const;
  bool IsLateOwner(const Arrival& packet) const;
  void Take(const Arrival& packet);
  void Identify(const Arrival& packet);
  bool MayLatch(const Arrival& packet, counters::Verdict& refusal) const;
  bool CountCandidate(const Arrival& packet);
  bool IsEvidence(const Arrival& packet) const;
  void Wait();

  LatchRules rules_;
  table::Endpoint remote_{};
  table::LegState state_ = table::kLegUnused;
  bool declared_heard_ = false;
  bool moved_ = false;
  uint32_t ssrc_ = 0;  // of the latched source

  // The port that may become the source.
  table::Endpoint candidate_{};
  uint32_t evidence_ = 0;  // packets of it since the latched source was last heard
  uint32_t candidate_ssrc_ = 0;
  uint16_t candidate_sequence_ = 0;
};

}  // namespace penstock::flow

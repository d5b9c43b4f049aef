#include "flow/latch.h"

#include "flow/endpoint.h"
#include "target.h"

using namespace penstock;
using namespace penstock::fuzz;
using flow::Decision;
using rtp::Kind;

namespace {

table::Endpoint At(uint8_t host, uint8_t port) {
  table::Endpoint out{};
  if (host == 0) return out;
  out.family = host & 0x40 ? table::kFamilyV6 : table::kFamilyV4;
  out.address[0] = 10;
  out.address[3] = host & 3;
  out.scope = out.family == table::kFamilyV6 ? host >> 7 : 0;
  out.port = port & 3;
  return out;
}

flow::LatchRules ReadRules(Reader& reader) {
  flow::LatchRules rules;
  const uint8_t host = reader.Byte();
  rules.declared = At(host, reader.Byte());
  rules.alternate = At(reader.Byte() & 0x43, 0);
  const uint8_t flags = reader.Byte();
  rules.mode = static_cast<table::Latching>(flags % 3);
  rules.rtcp = (flags & 0x10) != 0;
  rules.expects_media = (flags & 0x20) != 0;
  return rules;
}

flow::Arrival ReadArrival(Reader& reader) {
  flow::Arrival packet{};
  const uint8_t host = reader.Byte();
  const uint8_t port = reader.Byte();
  packet.source = At(host == 0 ? 1 : host, port);
  if (packet.source.port == 0) packet.source.port = 4;
  const uint8_t what = reader.Byte();
  packet.kind = static_cast<Kind>(what % 5);
  packet.tolerated = (what & 0x20) != 0;
  packet.at_home = (what & 0x40) != 0;
  packet.ssrc = reader.Byte() & 3;
  packet.sequence = reader.Byte();
  return packet;
}

bool MayCome(const flow::LatchRules& rules, const table::Endpoint& source) {
  const bool known = (flow::HasAddress(rules.declared) && flow::SameAddress(source, rules.declared)) ||
                     (flow::HasAddress(rules.alternate) && flow::SameAddress(source, rules.alternate));
  if (rules.mode == table::kLatchAny) return true;
  if (!known) return false;
  return rules.mode == table::kLatchSameIp || rules.declared.port == 0 || source.port == rules.declared.port;
}

}  // namespace

// Whatever comes in whatever order: nobody is accepted whom the mode forbids, packets go only to the declared
// endpoint or to one that was accepted, and a refused packet moves nothing.
FUZZ_TARGET(latch) {
  Reader reader(input);
  flow::LatchRules rules = ReadRules(reader);
  flow::Latch latch(rules);
  while (!reader.empty()) {
    const uint8_t step = reader.Byte();
    if (step == 255) {
      rules = ReadRules(reader);
      latch = flow::Latch(rules);
      continue;
    }
    if (step == 254) latch.OldSourceHeard(reader.Byte());
    const flow::Arrival packet = ReadArrival(reader);
    const table::Endpoint before = latch.remote();
    const Decision decision = latch.Judge(packet);
    const bool moved = !flow::SameEndpoint(before, latch.remote());
    Require(!decision.accepted || MayCome(rules, packet.source));
    Require(!decision.accepted || flow::SameEndpoint(latch.remote(), packet.source));
    Require(decision.accepted || !moved);
    Require(decision.accepted || decision.refusal != counters::Verdict::forwarded);
    Require(latch.state() != table::kLegWaiting || !decision.accepted);
    Require(rules.mode != table::kLatchOff || decision.change != Decision::kRelearning);
  }
}

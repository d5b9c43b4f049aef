#include "net/segments.h"

#include "target.h"

using namespace penstock;
using namespace penstock::fuzz;

// The packets are the buffer, cut: none lost, none twice, all of the size that was said but the last.
FUZZ_TARGET(segments) {
  Reader reader(input);
  const uint32_t size = reader.Byte() < 128 ? reader.Short() : reader.Word();
  Copy buffer(reader.rest());
  net::Segments segments(buffer.span(), size);
  std::span<uint8_t> packet;
  size_t seen = 0;
  size_t packets = 0;
  size_t last = size;
  while (segments.Next(packet)) {
    Require(packets == 0 || last == size);
    Require(packet.empty() || packet.data() == buffer.span().data() + seen);
    Require(!packet.empty() || buffer.span().empty());
    Require(size == 0 || packet.size() <= size);
    last = packet.size();
    seen += packet.size();
    ++packets;
  }
  Require(seen == buffer.span().size() && packets >= 1);
  Require(!segments.Next(packet));
}

#include "net/offload_probe.h"

#include <netinet/udp.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "memory/unique_fd.h"
#include "net/udp_receiver.h"
#include "net/udp_sender.h"

namespace penstock::net {
namespace {

constexpr size_t kSegment = 400;
constexpr size_t kProbeBytes = 700;  // a whole segment and a shorter one
constexpr int kWaitMs = 200;
const char* const kOk = "ok";

std::string Reason(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

bool Switch(int fd, int option, int value) { return ::setsockopt(fd, SOL_UDP, option, &value, sizeof(value)) == 0; }

struct Pair {
  memory::UniqueFd from{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  memory::UniqueFd to{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  SendTarget target;

  bool Bind() {
    MediaAddress& at = target.address;
    at.v4.sin_family = AF_INET;
    at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.length = sizeof(at.v4);
    target.fd = from.get();
    return from && to && ::bind(to.get(), &at.any, at.length) == 0 && ::getsockname(to.get(), &at.any, &at.length) == 0;
  }
};

// Sends two segments as one message and gives what came: buffers, and the size GRO names.
struct Arrived {
  size_t buffers = 0;
  size_t bytes = 0;
  uint32_t segment = 0;
};

Arrived Exchange(Pair& pair, bool& sent) {
  const auto counters = std::make_unique<counters::CounterBlock>();
  const auto sender = std::make_unique<UdpSender>(true, *counters);
  uint8_t data[kProbeBytes] = {};
  Outgoing packets[] = {{&pair.target, {data, kSegment}}, {&pair.target, {data + kSegment, kProbeBytes - kSegment}}};
  sender->Send(packets);
  sent = packets[0].sent && !pair.target.gso_refused;
  Arrived arrived;
  UdpReceiver receiver(4, kReceiveBuffer);
  pollfd ready{pair.to.get(), POLLIN, 0};
  while (sent && arrived.bytes < kProbeBytes && ::poll(&ready, 1, kWaitMs) > 0) {
    for (const Datagram& datagram : receiver.Receive(pair.to.get()).received) {
      ++arrived.buffers;
      arrived.bytes += datagram.bytes.size();
      arrived.segment = datagram.segment;
    }
    receiver.Clear();
  }
  return arrived;
}

}  // namespace

std::string ProbeGso() {
  Pair pair;
  if (!pair.Bind()) return Reason("loopback socket");
  if (!Switch(pair.from.get(), UDP_SEGMENT, 0)) return Reason("UDP_SEGMENT");
  bool sent = false;
  const Arrived arrived = Exchange(pair, sent);
  // A network namespace with its loopback down proves nothing against the kernel.
  if (!sent && !pair.target.gso_refused) return kOk;
  if (!sent) return "UDP_SEGMENT is refused on sending";
  return arrived.buffers == 2 && arrived.bytes == kProbeBytes ? kOk : "segments did not arrive as sent";
}

std::string ProbeGro() {
  Pair pair;
  if (!pair.Bind()) return Reason("loopback socket");
  if (!Switch(pair.to.get(), UDP_GRO, 1)) return Reason("UDP_GRO");
  bool sent = false;
  const Arrived arrived = Exchange(pair, sent);
  // Without GSO there is nothing to try it with; the option was taken, and plain packets pass as ever.
  if (!sent) return kOk;
  const bool merged = arrived.buffers == 1 && arrived.segment == kSegment;
  return arrived.bytes == kProbeBytes && (merged || arrived.buffers == 2) ? kOk : "packets did not arrive as sent";
}

}  // namespace penstock::net

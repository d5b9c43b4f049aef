#include "net/udp_sender.h"

#include <netinet/udp.h>
#include <poll.h>

#include <memory>
#include <vector>

#include "check.h"
#include "memory/unique_fd.h"
#include "net/offload_probe.h"
#include "net/udp_receiver.h"
#include "packets.h"

using namespace penstock;
using namespace penstock::test;
using counters::Counter;
using memory::UniqueFd;
using net::MediaAddress;
using net::Outgoing;

namespace {

struct Socket {
  UniqueFd fd;
  MediaAddress address;

  explicit Socket(int family = AF_INET) : fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    if (family == AF_INET) {
      address.v4.sin_family = AF_INET;
      address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.length = sizeof(address.v4);
    } else {
      address.v6.sin6_family = AF_INET6;
      address.v6.sin6_addr = in6addr_loopback;
      address.length = sizeof(address.v6);
    }
    CHECK_EQ(::bind(fd.get(), &address.any, address.length), 0);
    CHECK_EQ(::getsockname(fd.get(), &address.any, &address.length), 0);
  }

  std::vector<Bytes> Receive(size_t packets) {
    std::vector<Bytes> out;
    pollfd ready{fd.get(), POLLIN, 0};
    while (out.size() < packets && ::poll(&ready, 1, 5000) == 1) {
      Bytes buffer(65536);
      const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
      CHECK(size >= 0);
      buffer.resize(static_cast<size_t>(size));
      out.push_back(std::move(buffer));
    }
    return out;
  }
};

struct Trial {
  std::unique_ptr<counters::CounterBlock> counters = std::make_unique<counters::CounterBlock>();
  std::unique_ptr<net::UdpSender> sender;
  Socket from;
  net::SendTarget target;

  Trial(bool gso, const Socket& to) : sender(std::make_unique<net::UdpSender>(gso, *counters)) {
    target.fd = from.fd.get();
    target.address = to.address;
  }

  std::vector<Outgoing> Packets(const std::vector<Bytes>& packets) {
    std::vector<Outgoing> out;
    for (const Bytes& packet : packets) out.push_back({&target, packet});
    return out;
  }
};

std::vector<Bytes> OfSizes(const std::vector<size_t>& sizes) {
  std::vector<Bytes> out;
  uint32_t seed = 1;
  for (const size_t size : sizes) out.push_back(RandomBytes(seed++, size));
  return out;
}

std::vector<size_t> Runs(const std::vector<size_t>& sizes) {
  const std::vector<Bytes> packets = OfSizes(sizes);
  net::SendTarget target;
  std::vector<Outgoing> outgoing;
  for (const Bytes& packet : packets) outgoing.push_back({&target, packet});
  std::vector<size_t> runs;
  for (std::span<const Outgoing> rest = outgoing; !rest.empty(); rest = rest.subspan(runs.back())) {
    runs.push_back(net::RunLength(rest));
  }
  return runs;
}

}  // namespace

TEST(run_builder_takes_equal_sizes_and_one_shorter_last) {
  using List = std::vector<size_t>;
  CHECK(Runs({100}) == List({1}));
  CHECK(Runs({100, 100, 100}) == List({3}));
  CHECK(Runs({100, 100, 40}) == List({3}));
  CHECK(Runs({100, 100, 40, 40}) == List({3, 1}));
  CHECK(Runs({40, 100, 100}) == List({1, 2}));
  CHECK(Runs({100, 0, 0}) == List({1, 1, 1}));
  CHECK(Runs(List(130, 10)) == List({64, 64, 2}));
  CHECK(Runs(List(64, 1400)) == List({46, 18}));  // 46 * 1400 = 64,400 bytes
}

TEST(sender_gives_the_same_packets_with_gso_and_without) {
  std::vector<size_t> sizes(70, 1200);
  for (const size_t size : {700, 1200, 1200, 50, 50, 1400, 1}) sizes.push_back(size);
  const std::vector<Bytes> packets = OfSizes(sizes);
  for (const bool gso : {false, true}) {
    Socket to;
    Trial trial(gso, to);
    std::vector<Outgoing> outgoing = trial.Packets(packets);
    trial.sender->Send(outgoing);
    for (const Outgoing& packet : outgoing) CHECK(packet.sent);
    CHECK(to.Receive(packets.size()) == packets);
    CHECK_EQ(trial.counters->Get(Counter::tx_packets), packets.size());
    CHECK_EQ(trial.counters->Get(Counter::gso_runs) > 0, gso && net::ProbeGso() == "ok");
    CHECK_EQ(trial.counters->Get(Counter::tx_calls), gso ? 1 : 2);  // 77 messages, 64 to a call
  }
}

TEST(sender_sends_what_lies_in_one_piece_without_cutting_it_up) {
  Socket to;
  Trial trial(true, to);
  const Bytes merged = RandomBytes(3, 64 * 1000);
  std::vector<Outgoing> outgoing;
  for (size_t i = 0; i < 64; ++i) outgoing.push_back({&trial.target, std::span(merged).subspan(i * 1000, 1000)});
  trial.sender->Send(outgoing);
  CHECK(Join(to.Receive(64)) == merged);
  CHECK_EQ(trial.counters->Get(Counter::tx_calls), 1u);
}

TEST(sender_leaves_gso_where_the_kernel_refuses_it) {
  Socket to;
  Trial trial(true, to);
  // UDP without checksums cannot be segmented: EIO or EINVAL, as on a device that cannot checksum.
  const int off = 1;
  CHECK_EQ(::setsockopt(trial.from.fd.get(), SOL_SOCKET, SO_NO_CHECK, &off, sizeof(off)), 0);
  const std::vector<Bytes> packets = OfSizes({300, 300, 300, 200, 500, 500});
  std::vector<Outgoing> outgoing = trial.Packets(packets);
  trial.sender->Send(outgoing);
  CHECK(trial.target.gso_refused);
  CHECK_EQ(trial.counters->Get(Counter::gso_fallbacks), 1u);
  CHECK(to.Receive(packets.size()) == packets);
  trial.sender->Send(outgoing);
  CHECK_EQ(trial.counters->Get(Counter::gso_fallbacks), 1u);
  CHECK_EQ(trial.counters->Get(Counter::tx_packets), 2 * packets.size());
}

TEST(sender_goes_on_after_a_packet_that_cannot_be_sent) {
  Socket to;
  Trial trial(true, to);
  const std::vector<Bytes> packets = OfSizes({100, 65530, 100});  // more than a datagram holds
  std::vector<Outgoing> outgoing = trial.Packets(packets);
  trial.sender->Send(outgoing);
  CHECK(outgoing[0].sent && !outgoing[1].sent && outgoing[2].sent);
  CHECK_EQ(trial.counters->Get(Counter::tx_errors), 1u);
  CHECK_EQ(to.Receive(2).size(), 2u);
}

TEST(sender_drops_and_counts_what_a_full_socket_does_not_take) {
  // A unix socket blocks at once where loopback UDP would deliver for ever.
  int fds[2];
  CHECK_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd ours(fds[0]), theirs(fds[1]);
  auto counters = std::make_unique<counters::CounterBlock>();
  auto sender = std::make_unique<net::UdpSender>(false, *counters);
  net::SendTarget target;
  target.fd = ours.get();
  const Bytes packet = RandomBytes(1, 1000);
  std::vector<Outgoing> outgoing(2000, Outgoing{&target, packet});
  sender->Send(outgoing);
  const uint64_t sent = counters->Get(Counter::tx_packets);
  CHECK(sent > 0 && sent < 2000);
  CHECK_EQ(counters->Get(Counter::tx_blocked), 2000 - sent);
}

TEST(receiver_gives_sources_sizes_and_merged_segments) {
  for (const int family : {AF_INET, AF_INET6}) {
    Socket from(family), to(family);
    net::PrepareMediaSocket(to.fd.get(), true);
    auto counters = std::make_unique<counters::CounterBlock>();
    auto sender = std::make_unique<net::UdpSender>(true, *counters);
    net::SendTarget target{from.fd.get(), to.address};
    const std::vector<Bytes> packets = OfSizes({500, 500, 500, 100});
    std::vector<Outgoing> outgoing;
    for (const Bytes& packet : packets) outgoing.push_back({&target, packet});
    sender->Send(outgoing);

    net::UdpReceiver receiver(8, net::kReceiveBuffer);
    Bytes all;
    bool merged = false;
    pollfd ready{to.fd.get(), POLLIN, 0};
    while (all.size() < 1600 && ::poll(&ready, 1, 5000) == 1) {
      for (const net::Datagram& datagram : receiver.Receive(to.fd.get()).received) {
        all.insert(all.end(), datagram.bytes.begin(), datagram.bytes.end());
        merged |= datagram.segment == 500 && datagram.bytes.size() == 1600;
        CHECK_EQ(datagram.source.family, family == AF_INET ? table::kFamilyV4 : table::kFamilyV6);
        CHECK_EQ(datagram.source.port, ntohs(from.address.v4.sin_port));
        CHECK(!datagram.truncated);
      }
    }
    CHECK(all == Join(packets));
    CHECK(merged || counters->Get(Counter::gso_runs) == 0);
  }
}

TEST(receiver_tells_truncation_and_stops_at_its_slots) {
  Socket from, to;
  net::SendTarget target{from.fd.get(), to.address};
  auto counters = std::make_unique<counters::CounterBlock>();
  auto sender = std::make_unique<net::UdpSender>(false, *counters);
  const std::vector<Bytes> packets = OfSizes({64, 65, 10});
  std::vector<Outgoing> outgoing;
  for (const Bytes& packet : packets) outgoing.push_back({&target, packet});
  sender->Send(outgoing);
  net::UdpReceiver receiver(2, 64);
  const auto first = receiver.Receive(to.fd.get());
  CHECK_EQ(first.received.size(), 2u);
  CHECK(!first.received[0].truncated);
  CHECK(first.received[1].truncated);
  CHECK_EQ(first.received[1].bytes.size(), 64u);
  CHECK_EQ(receiver.free_slots(), 0u);
  receiver.Clear();
  CHECK_EQ(receiver.Receive(to.fd.get()).received.size(), 1u);
  receiver.Clear();
  const auto empty = receiver.Receive(to.fd.get());
  CHECK(empty.received.empty() && empty.error == 0);
}

TEST(receiver_counts_what_a_full_socket_lost) {
  Socket from, to;
  net::PrepareMediaSocket(to.fd.get(), false);
  const int small = 4096;
  CHECK_EQ(::setsockopt(to.fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
  const Bytes packet = RandomBytes(1, 1000);
  const auto send = [&](int count) {
    for (int i = 0; i < count; ++i) CHECK(::sendto(from.fd.get(), packet.data(), packet.size(), 0, &to.address.any, to.address.length) > 0);
  };
  send(50);
  net::UdpReceiver receiver(64, 2048);
  const size_t kept = receiver.Receive(to.fd.get()).received.size();
  CHECK(kept > 0 && kept < 50);
  receiver.Clear();
  send(1);  // a packet carries the total of what was lost before it
  const auto later = receiver.Receive(to.fd.get());
  CHECK_EQ(later.received.size(), 1u);
  CHECK(later.received[0].overflow.has_value());
  CHECK_EQ(*later.received[0].overflow, 50 - kept);
}

TEST(media_addresses_survive_the_round_trip) {
  table::Endpoint v6{};
  v6.family = table::kFamilyV6;
  v6.address[0] = 0x20;
  v6.address[15] = 9;
  v6.port = 4242;
  v6.scope = 7;
  for (const table::Endpoint& endpoint : {V4(5, 65535), v6}) {
    const table::Endpoint back = net::ToEndpoint(net::ToMediaAddress(endpoint, AF_INET6));
    CHECK_EQ(back.family, endpoint.family);
    CHECK_EQ(back.port, endpoint.port);
    CHECK_EQ(back.scope, endpoint.scope);
    CHECK(std::equal(std::begin(back.address), std::end(back.address), std::begin(endpoint.address)));
  }
  CHECK_EQ(net::ToMediaAddress(v6, AF_INET).length, 0u);
  CHECK_EQ(net::ToMediaAddress({}, AF_INET6).length, 0u);
}

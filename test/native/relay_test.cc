// The BPF program in the kernel's test run: packets in, packets out, without any interface.
// Needs CAP_BPF and CAP_NET_ADMIN.
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "check.h"
#include "memory/system_error.h"
#include "offload/bpf.h"
#include "offload/flow_table.h"
#include "offload/maps.h"
#include "packets.h"

using namespace penstock;
using namespace penstock::test;

namespace {

constexpr uint32_t kLoopback = 1;  // its MAC address is all zeros, so that such packets are for us
constexpr uint32_t kRedirected = 7;
constexpr uint32_t kPassed = UINT32_MAX;
constexpr uint32_t kChecksumComplete = 1 << 2;  // BPF_F_TEST_SKB_CHECKSUM_COMPLETE, Linux 6.16
constexpr size_t kEthernet = 14;

table::Endpoint V6(uint8_t last, uint16_t port) {
  table::Endpoint out{};
  out.family = table::kFamilyV6;
  out.address[0] = 0xfd;
  out.address[7] = last;
  out.address[15] = last;
  out.port = port;
  return out;
}

uint32_t Sum(const uint8_t* bytes, size_t count, uint32_t sum = 0) {
  for (size_t i = 0; i < count; ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  return sum;
}

uint16_t Fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

void Put16(Bytes& at, size_t offset, uint16_t value) {
  at[offset] = static_cast<uint8_t>(value >> 8);
  at[offset + 1] = static_cast<uint8_t>(value);
}

uint16_t Get16(const Bytes& at, size_t offset) { return static_cast<uint16_t>(at[offset] << 8 | at[offset + 1]); }

bool IsV6(const Bytes& frame) { return Get16(frame, 12) == 0x86dd; }
size_t UdpAt(const Bytes& frame) { return kEthernet + (IsV6(frame) ? 40 : 20); }

// The UDP checksum as it must be, computed from nothing that is in its field.
uint16_t UdpChecksum(const Bytes& frame) {
  const size_t udp = UdpAt(frame);
  const size_t addresses = IsV6(frame) ? 32 : 8;
  const auto bytes = static_cast<uint32_t>(frame.size() - udp);
  Bytes datagram(frame.begin() + static_cast<ptrdiff_t>(udp), frame.end());
  Put16(datagram, 6, 0);
  const uint32_t sum = Sum(&frame[udp - addresses], addresses, bytes + 17);
  const uint16_t folded = Fold(Sum(datagram.data(), datagram.size(), sum));
  return folded == 0 ? 0xffff : folded;
}

uint16_t HeaderChecksum(const Bytes& frame) {
  Bytes header(frame.begin() + kEthernet, frame.begin() + kEthernet + 20);
  Put16(header, 10, 0);
  return Fold(Sum(header.data(), header.size()));
}

void Seal(Bytes& frame) {
  if (!IsV6(frame)) Put16(frame, kEthernet + 10, HeaderChecksum(frame));
  Put16(frame, UdpAt(frame) + 6, UdpChecksum(frame));
}

Bytes Frame(const table::Endpoint& from, const table::Endpoint& to, const Bytes& payload) {
  const bool v6 = from.family == table::kFamilyV6;
  Bytes out(kEthernet + (v6 ? 40 : 20) + 8);
  const auto udp_bytes = static_cast<uint16_t>(8 + payload.size());
  Put16(out, 12, v6 ? 0x86dd : 0x0800);
  if (v6) {
    out[14] = 0x6b;  // traffic class 0xb8
    out[15] = 0x81;  // flow label 0x12345
    Put16(out, 16, 0x2345);
    Put16(out, 18, udp_bytes);
    out[20] = 17;
    out[21] = 9;
    std::memcpy(&out[22], from.address, 16);
    std::memcpy(&out[38], to.address, 16);
  } else {
    out[14] = 0x45;
    out[15] = 0xb8;
    Put16(out, 16, static_cast<uint16_t>(20 + udp_bytes));
    Put16(out, 18, 0x1234);
    Put16(out, 20, 0x4000);
    out[22] = 9;
    out[23] = 17;
    std::memcpy(&out[26], from.address, 4);
    std::memcpy(&out[30], to.address, 4);
  }
  const size_t udp = UdpAt(out);
  Put16(out, udp, from.port);
  Put16(out, udp + 2, to.port);
  Put16(out, udp + 4, udp_bytes);
  out.insert(out.end(), payload.begin(), payload.end());
  Seal(out);
  return out;
}

struct Merged {
  uint32_t segment = 0;
  uint32_t packets = 0;
};

struct Outcome {
  uint32_t verdict;
  Bytes frame;
};

class Relay {
 public:
  Relay() {
    try {
      maps_ = offload::CreateMaps(2);
      program_ = offload::LoadRelay(maps_.flows.get(), maps_.cells.get());
      table_.emplace(offload::MapFds{maps_.flows.get(), maps_.cells.get(), maps_.interfaces.get()}, 2);
    } catch (const memory::SystemError& failure) {
      check::Fail(__FILE__, __LINE__, std::string(failure.what()) + " (these tests need root and BPF: sudo npm test)");
    }
  }

  void Enter(const table::Endpoint& source, const table::Endpoint& local, const table::Endpoint& from,
             const table::Endpoint& to, uint32_t mtu = 1500, uint32_t interface = kLoopback) {
    relay_flow flow{};
    offload::SetDestination(flow, from, to);
    flow.arrives = arrives_;
    flow.interface = interface;
    flow.mtu = mtu;
    flow.ttl = 64;
    flow.cell = 3;
    CHECK_EQ(table_->Enter(offload::MakeKey(source, local), flow), 0);
  }

  Outcome Run(const Bytes& frame, const Merged& merged = {}, uint32_t flags = 0) {
    Outcome out{0, Bytes(frame.size() + 256)};
    __sk_buff context{};
    context.gso_size = merged.segment;
    context.gso_segs = merged.packets;
    bpf_attr attributes{};
    attributes.test.prog_fd = static_cast<uint32_t>(program_.get());
    attributes.test.data_in = reinterpret_cast<uint64_t>(frame.data());
    attributes.test.data_size_in = static_cast<uint32_t>(frame.size());
    attributes.test.data_out = reinterpret_cast<uint64_t>(out.frame.data());
    attributes.test.data_size_out = static_cast<uint32_t>(out.frame.size());
    attributes.test.ctx_in = reinterpret_cast<uint64_t>(&context);
    attributes.test.ctx_size_in = sizeof(context);
    attributes.test.flags = flags;
    attributes.test.repeat = 1;
    error_ = ::syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof(attributes)) == 0 ? 0 : errno;
    out.verdict = attributes.test.retval;
    out.frame.resize(attributes.test.data_size_out);
    return out;
  }
  int error() const { return error_; }
  // Flows entered from now on are of packets that come by this interface; the test run's come by the loopback.
  void SetArrival(uint32_t interface) { arrives_ = interface; }

  uint64_t packets() const { return table_->cell(3).packets; }
  uint64_t bytes() const { return table_->cell(3).bytes; }
  uint32_t ssrc() const { return ntohl(table_->cell(3).ssrc); }

 private:
  offload::Maps maps_;
  memory::UniqueFd program_;
  std::optional<offload::FlowTable> table_;
  uint32_t arrives_ = kLoopback;
  int error_ = 0;
};

struct Ends {
  table::Endpoint server;
  table::Endpoint near;  // ours towards the server
  table::Endpoint far;   // ours towards the client
  table::Endpoint client;
};

Ends EndsV4() { return {V4(1, 40000), V4(2, 50000), V4(3, 50002), V4(4, 6000)}; }
Ends EndsV6() { return {V6(1, 40000), V6(2, 50000), V6(3, 50002), V6(4, 6000)}; }

void CheckRelayed(Relay& relay, const Ends& ends, const Bytes& payload, uint32_t flags) {
  const Outcome out = relay.Run(Frame(ends.server, ends.near, payload), {}, flags);
  CHECK_EQ(relay.error(), 0);
  CHECK_EQ(out.verdict, kRedirected);
  // Whole frames are compared, so that nothing but this differs.
  Bytes wanted = Frame(ends.far, ends.client, payload);
  if (IsV6(wanted)) {
    wanted[14] = 0x60;
    wanted[15] = 0x01;
    wanted[21] = 64;
  } else {
    wanted[15] = 0;
    wanted[22] = 64;
    // Routers may fragment it, with an identification of the relay's choice.
    Put16(wanted, 18, Get16(out.frame, 18));
    Put16(wanted, 20, 0);
  }
  Seal(wanted);
  CHECK(out.frame == wanted);
}

}  // namespace

TEST(relay_gives_packets_new_addresses_and_right_checksums) {
  for (const Ends& ends : {EndsV4(), EndsV6()}) {
    Relay relay;
    relay.Enter(ends.server, ends.near, ends.far, ends.client);
    uint64_t bytes = 0;
    uint64_t packets = 0;
    // Every remainder, so that each carry of the checksums is met.
    for (uint32_t i = 0; i < 300; ++i, ++packets) {
      const Bytes payload = Rtp({.ssrc = i * 0x01010101, .sequence = i, .timestamp = i * 77777, .payload = 1 + i});
      CheckRelayed(relay, ends, payload, 0);
      CHECK_EQ(relay.ssrc(), i * 0x01010101);
      bytes += payload.size();
    }
    CHECK_EQ(relay.packets(), packets);
    CHECK_EQ(relay.bytes(), bytes);
  }
}

// The test run itself compares the checksum that a network card gave with the packet afterwards.
TEST(relay_keeps_the_sum_of_a_network_card_right) {
  for (const Ends& ends : {EndsV4(), EndsV6()}) {
    Relay relay;
    relay.Enter(ends.server, ends.near, ends.far, ends.client);
    for (uint32_t i = 0; i < 300; ++i) CheckRelayed(relay, ends, Rtp({.sequence = i, .payload = 1 + i}), kChecksumComplete);
  }
}

TEST(relay_leaves_a_missing_checksum_missing) {
  Relay relay;
  const Ends ends = EndsV4();
  relay.Enter(ends.server, ends.near, ends.far, ends.client);
  Bytes frame = Frame(ends.server, ends.near, Rtp({}));
  Put16(frame, UdpAt(frame) + 6, 0);
  const Outcome out = relay.Run(frame);
  CHECK_EQ(out.verdict, kRedirected);
  CHECK_EQ(Get16(out.frame, UdpAt(out.frame) + 6), 0);
  CHECK_EQ(Get16(out.frame, kEthernet + 10), HeaderChecksum(out.frame));
}

TEST(relay_takes_padded_short_packets) {
  Relay relay;
  const Ends ends = EndsV4();
  relay.Enter(ends.server, ends.near, ends.far, ends.client);
  Bytes frame = Frame(ends.server, ends.near, Rtp({.payload = 2}));
  frame.resize(60);
  CHECK_EQ(relay.Run(frame).verdict, kRedirected);
  CHECK_EQ(relay.bytes(), 14u);
}

TEST(relay_passes_on_what_is_not_media_of_a_flow) {
  const Ends ends = EndsV4();
  const Ends six = EndsV6();
  const auto frame = [&](const Bytes& payload) { return Frame(ends.server, ends.near, payload); };
  const auto changed = [](Bytes bytes, size_t at, uint8_t value) {
    bytes[at] = value;
    if (bytes.size() > 54) Seal(bytes);
    return bytes;
  };
  Bytes extended = Rtp({.payload = 3});
  extended[0] |= 0x10;  // an extension that does not fit
  const Bytes media = Rtp({});
  const Bytes whole = frame(media);
  const std::vector<std::pair<const char*, Bytes>> cases = {
      {"another source", Frame(V4(9, 40000), ends.near, media)},
      {"another source port", Frame(V4(1, 40001), ends.near, media)},
      {"another port of ours", Frame(ends.server, V4(2, 50004), media)},
      {"another address of ours", Frame(ends.server, V4(9, 50000), media)},
      {"another family", Frame(six.server, six.near, media)},
      {"header only", frame(ZeroRtp())},
      {"punch of 4 bytes", frame(OpenRtspPunch())},
      {"random bytes", frame(Bytes(200, 0x11))},
      {"empty", frame({})},
      {"report", frame(SenderReport(1, 2, 3, 4))},
      {"extension cut off", frame(extended)},
      {"CSRC list cut off", frame(changed(Rtp({.payload = 8}), 0, 0x8f))},
      {"IP options", changed(whole, 14, 0x46)},
      {"first fragment", changed(whole, 20, 0x20)},
      {"last fragment", changed(whole, 21, 0x10)},
      {"TCP", changed(whole, 23, 6)},
      {"IP length too long", changed(whole, 16, 0x20)},
      {"UDP length wrong", changed(whole, UdpAt(whole) + 5, 9)},
      {"VLAN inside", changed(whole, 12, 0x81)},
      {"to another MAC address", changed(whole, 5, 1)},
      {"larger than the path takes", frame(Rtp({.payload = 1500 - 28 - 12 + 1}))},
      {"too short for UDP", Bytes(whole.begin(), whole.begin() + 40)},
  };
  for (const auto& [name, packet] : cases) {
    Relay relay;
    relay.Enter(ends.server, ends.near, ends.far, ends.client);
    const Outcome out = relay.Run(packet);
    if (relay.error() != 0 || out.verdict != kPassed || out.frame != packet || relay.packets() != 0) {
      check::Fail(__FILE__, __LINE__, std::string(name) + ": verdict " + check::Show(out.verdict));
    }
  }
}

TEST(relay_counts_identifications_up_where_there_may_be_none) {
  const Ends ends = EndsV4();
  Relay relay;
  relay.Enter(ends.server, ends.near, ends.far, ends.client);
  const Bytes media = Rtp({.payload = 10});
  Bytes packet = Frame(ends.server, ends.near, media);
  const auto identification = [&](const Bytes& frame, const Merged& merged = {}) {
    const Outcome out = relay.Run(frame, merged);
    CHECK_EQ(out.verdict, kRedirected);
    CHECK_EQ(Get16(out.frame, 20), 0);  // neither "don't fragment" nor a fragment
    CHECK_EQ(Get16(out.frame, kEthernet + 10), HeaderChecksum(out.frame));
    return Get16(out.frame, 18);
  };
  const uint16_t first = identification(packet);
  CHECK_EQ(identification(packet), static_cast<uint16_t>(first + 1));
  // Each packet of a merged one gets its own later.
  const Merged three{static_cast<uint32_t>(media.size()), 3};
  CHECK_EQ(identification(Frame(ends.server, ends.near, Join({media, media, media})), three), static_cast<uint16_t>(first + 2));
  CHECK_EQ(identification(packet), static_cast<uint16_t>(first + 5));
  // That of a packet that may be fragmented is the server's own.
  Put16(packet, 20, 0);
  Seal(packet);
  CHECK_EQ(identification(packet), 0x1234);
}

TEST(relay_does_not_mend_what_came_damaged) {
  const Ends ends = EndsV4();
  Relay relay;
  relay.Enter(ends.server, ends.near, ends.far, ends.client);
  const Bytes sound = Frame(ends.server, ends.near, Rtp({}));
  Bytes header = sound;
  header[kEthernet + 11] ^= 0x40;
  const Outcome bad_header = relay.Run(header);
  CHECK(Get16(bad_header.frame, kEthernet + 10) != HeaderChecksum(bad_header.frame));
  Bytes payload = sound;
  payload.back() ^= 0x40;
  const Outcome bad_payload = relay.Run(payload);
  CHECK(Get16(bad_payload.frame, UdpAt(sound) + 6) != UdpChecksum(bad_payload.frame));
}

TEST(relay_passes_on_what_comes_by_another_interface) {
  const Ends ends = EndsV4();
  Relay relay;
  relay.SetArrival(kLoopback + 1);
  relay.Enter(ends.server, ends.near, ends.far, ends.client);
  CHECK_EQ(relay.Run(Frame(ends.server, ends.near, Rtp({}))).verdict, kPassed);
  relay.SetArrival(kLoopback);
  relay.Enter(ends.server, ends.near, ends.far, ends.client);
  CHECK_EQ(relay.Run(Frame(ends.server, ends.near, Rtp({}))).verdict, kRedirected);
}

TEST(relay_passes_on_odd_ipv6) {
  const Ends ends = EndsV6();
  const Bytes media = Frame(ends.server, ends.near, Rtp({}));
  Bytes hop_by_hop = media;
  hop_by_hop[20] = 0;
  Bytes no_checksum = media;
  Put16(no_checksum, UdpAt(media) + 6, 0);
  for (const Bytes& packet : {hop_by_hop, no_checksum}) {
    Relay relay;
    relay.Enter(ends.server, ends.near, ends.far, ends.client);
    CHECK_EQ(relay.Run(packet).verdict, kPassed);
    CHECK_EQ(relay.Run(media).verdict, kRedirected);
  }
}

TEST(relay_takes_the_largest_packet_that_fits) {
  Relay relay;
  const Ends ends = EndsV4();
  relay.Enter(ends.server, ends.near, ends.far, ends.client);
  CHECK_EQ(relay.Run(Frame(ends.server, ends.near, Rtp({.payload = 1500 - 28 - 12}))).verdict, kRedirected);
}

TEST(relay_passes_on_when_the_way_out_is_gone) {
  Relay relay;
  const Ends ends = EndsV4();
  relay.Enter(ends.server, ends.near, ends.far, ends.client, 1500, 0x7ffffff0);
  CHECK_EQ(relay.Run(Frame(ends.server, ends.near, Rtp({}))).verdict, kPassed);
}

TEST(relay_judges_each_part_of_a_merged_packet) {
  const Ends ends = EndsV4();
  const Bytes media = Rtp({.payload = 10});  // the test run takes one page
  Bytes junk = media;
  junk[0] = 0;
  for (const uint32_t count : {2u, 3u, 64u, 128u}) {
    std::vector<Bytes> packets(count, media);
    packets.back() = Rtp({.payload = 4});
    Relay relay;
    relay.Enter(ends.server, ends.near, ends.far, ends.client);
    const Merged merged{static_cast<uint32_t>(media.size()), count};
    CHECK_EQ(relay.Run(Frame(ends.server, ends.near, Join(packets)), merged).verdict, kRedirected);
    CHECK_EQ(relay.packets(), count);
    CHECK_EQ(relay.bytes(), Join(packets).size());
    for (const uint32_t bad : {0u, count / 2, count - 1}) {
      std::vector<Bytes> mixed = packets;
      mixed[bad] = bad == count - 1 ? EmptyReport() : junk;
      CHECK_EQ(relay.Run(Frame(ends.server, ends.near, Join(mixed)), merged).verdict, kPassed);
    }
    CHECK_EQ(relay.packets(), count);
  }
}

// 1,400 bytes each, merged to more than the path takes in one piece, are fine; 1,600 are not.
TEST(relay_measures_the_parts_of_a_merged_packet_against_the_path) {
  const Ends ends = EndsV4();
  for (const auto& [payload, verdict] : std::vector<std::pair<uint32_t, uint32_t>>{{1388, kRedirected}, {1588, kPassed}}) {
    Relay relay;
    relay.Enter(ends.server, ends.near, ends.far, ends.client);
    const Bytes packet = Rtp({.payload = payload});
    CHECK_EQ(relay.Run(Frame(ends.server, ends.near, Join({packet, packet})), {static_cast<uint32_t>(packet.size()), 2}).verdict, verdict);
  }
}

TEST(flow_table_lists_what_was_entered) {
  Relay fails_clearly_without_bpf;
  const offload::Maps maps = offload::CreateMaps(600);
  offload::FlowTable table({maps.flows.get(), maps.cells.get(), maps.interfaces.get()}, 600);
  constexpr uint16_t kFlows = 1000;
  for (uint16_t i = 0; i < kFlows; ++i) {
    relay_flow flow{};
    flow.stream = i;
    flow.generation = i % 2;
    CHECK_EQ(table.Enter(offload::MakeKey(V4(1, i), V4(2, i)), flow), 0);
  }
  std::vector<bool> seen(kFlows);
  for (const offload::EnteredFlow& entered : table.List()) {
    CHECK_EQ(ntohs(entered.key.source_port), entered.flow.stream);
    CHECK(!seen[entered.flow.stream]);
    seen[entered.flow.stream] = true;
  }
  CHECK_EQ(std::count(seen.begin(), seen.end(), true), kFlows);
  offload::RemoveClosed(table, [](uint32_t, uint32_t generation) { return generation == 1; });
  CHECK_EQ(table.List().size(), kFlows / 2);
  for (uint16_t i = 0; i < kFlows; ++i) table.Remove(offload::MakeKey(V4(1, i), V4(2, i)));
  CHECK(table.List().empty());
}

// An engine over loopback with everything around it: a real region, the vault's end of the
// socket, a worker's hands on rows and rings, and peers that send and listen.
#pragma once

#include <netinet/udp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "engine/engine.h"
#include "memory/cell.h"
#include "memory/memfd.h"
#include "net/fd_passing.h"
#include "net/media_address.h"
#include "net/udp_receiver.h"
#include "net/udp_sender.h"
#include "packets.h"

namespace penstock::test {

using memory::UniqueFd;

template <typename Condition>
void Eventually(Condition condition, const char* what) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) check::Fail(what, 0, "did not come true");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}
#define EVENTUALLY(condition) ::penstock::test::Eventually([&] { return (condition); }, #condition)

inline table::Endpoint Loopback(uint16_t port, uint8_t last = 1) {
  table::Endpoint out{};
  out.family = table::kFamilyV4;
  out.address[0] = 127;
  out.address[3] = last;
  out.port = port;
  return out;
}

inline table::Endpoint LoopbackV6() {
  table::Endpoint out{};
  out.family = table::kFamilyV6;
  out.address[15] = 1;
  return out;
}

// A socket of a client, a server or a stranger, or one of ours.
class Peer {
 public:
  explicit Peer(uint8_t last = 1) : Peer(AF_INET, Loopback(0, last)) {}
  Peer(int family, const table::Endpoint& at) : family_(family), fd_(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const net::MediaAddress wanted = net::ToMediaAddress(at, family);
    CHECK_EQ(::bind(fd_.get(), &wanted.any, wanted.length), 0);
    net::MediaAddress bound;
    bound.length = wanted.length;
    CHECK_EQ(::getsockname(fd_.get(), &bound.any, &bound.length), 0);
    at_ = net::ToEndpoint(bound);
  }

  const table::Endpoint& at() const { return at_; }
  int fd() const { return fd_.get(); }

  void Send(const table::Endpoint& to, const Bytes& packet) const {
    const net::MediaAddress address = net::ToMediaAddress(to, family_);
    CHECK_EQ(::sendto(fd_.get(), packet.data(), packet.size(), 0, &address.any, address.length), packet.size());
  }

  // As a server with GSO does: the receiving end may get them merged.
  void SendMerged(const table::Endpoint& to, const std::vector<Bytes>& packets) const {
    auto counters = std::make_unique<counters::CounterBlock>();
    auto sender = std::make_unique<net::UdpSender>(true, *counters);
    net::SendTarget target{fd_.get(), net::ToMediaAddress(to, family_)};
    std::vector<net::Outgoing> outgoing;
    for (const Bytes& packet : packets) outgoing.push_back({&target, packet});
    sender->Send(outgoing);
    CHECK_EQ(counters->Get(counters::Counter::tx_packets), packets.size());
  }

  struct Received {
    Bytes bytes;
    uint16_t from_port;
  };
  std::optional<Received> Receive(int wait_ms = 10'000) const {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (::poll(&ready, 1, wait_ms) != 1) return std::nullopt;
    Received out{Bytes(65536), 0};
    net::MediaAddress from;
    from.length = sizeof(from.v6);
    const ssize_t size = ::recvfrom(fd_.get(), out.bytes.data(), out.bytes.size(), 0, &from.any, &from.length);
    CHECK(size >= 0);
    out.bytes.resize(static_cast<size_t>(size));
    out.from_port = net::ToEndpoint(from).port;
    return out;
  }

  // The next packet must be this one, from this port of ours.
  void Expect(const Bytes& packet, const table::Endpoint& from) const {
    const auto received = Receive();
    CHECK(received.has_value());
    CHECK(received->bytes == packet);
    CHECK_EQ(received->from_port, from.port);
  }
  // Nothing waits; to be asked when what would send it has been counted.
  bool Silent() const { return !Receive(0).has_value(); }

 private:
  int family_;
  UniqueFd fd_;
  table::Endpoint at_;
};

// One stream as a worker sees it: our four sockets, and the four of its peers.
struct Flow {
  uint32_t slot = 0;
  uint32_t generation = 1;
  uint32_t mask = 0xf;
  std::array<Peer, 4> ours;
  std::array<Peer, 4> peers;
  alignas(uint64_t) std::array<table::LegControl, 4> control{};
  uint32_t clock_rate = 90000;

  Flow() {
    for (uint32_t i = 0; i < 4; ++i) {
      control[i].local = ours[i].at();
      control[i].declared = peers[i].at();
      control[i].latching = table::kLatchSameIp;
    }
    control[table::kServerRtp].flags = table::kLegExpectsMedia;
  }
  // The server side over IPv6.
  void MoveServerToV6() {
    for (const uint32_t i : {table::kServerRtp, table::kServerRtcp}) {
      ours[i] = Peer(AF_INET6, LoopbackV6());
      peers[i] = Peer(AF_INET6, LoopbackV6());
      control[i].local = ours[i].at();
      control[i].declared = peers[i].at();
    }
  }
  const table::Endpoint& At(uint32_t leg) const { return ours[leg].at(); }
};

class Appliance {
 public:
  explicit Appliance(uint32_t threads = 1, uint32_t quarantine_ms = 50) {
    const table::RegionHeader plan = table::PlanRegion({.workers = 2,
                                                        .engine_threads = threads,
                                                        .services = 1,
                                                        .sessions_per_worker = 4,
                                                        .streams_per_worker = 4,
                                                        .ring_slots = 64,
                                                        .quarantine_ms = quarantine_ms});
    memfd_ = memory::CreateMemfd("engine-test", plan.size);
    mapping_.emplace(memfd_.get(), plan.size);
    table::InitialiseRegion(mapping_->base(), plan);
    region_.emplace(mapping_->base(), mapping_->bytes());
    for (uint32_t i = 0; i < threads; ++i) wake_.emplace_back(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }

  engine::EngineReport Start(engine::EngineOptions options = {}) {
    int fds[2];
    CHECK_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    vault_.Reset(fds[0]);
    engine_end_.Reset(fds[1]);
    options.vault_fd = engine_end_.get();
    for (const UniqueFd& fd : wake_) options.wake_fds.push_back(fd.get());
    engine_ = std::make_unique<engine::Engine>(*region_, options);
    return engine_->Start();
  }
  void Stop() { engine_.reset(); }
  void LoseVault() { vault_.Reset(); }
  void ShrinkVaultSocket() {
    const int least = 1;
    CHECK_EQ(::setsockopt(engine_end_.get(), SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
  }

  table::Region& region() { return *region_; }
  table::StreamEntry& Row(const Flow& flow) { return *region_->Stream(flow.slot); }
  const table::LegData& Data(const Flow& flow, uint32_t leg) { return Row(flow).data[leg]; }
  table::LegState State(const Flow& flow, uint32_t leg) {
    return static_cast<table::LegState>(memory::LoadAcquire(Data(flow, leg).state));
  }

  void WriteRow(const Flow& flow, table::RowState state = table::kRowOpen, bool finish = true) {
    table::StreamEntry& row = Row(flow);
    const uint32_t sequence = memory::Load(row.sequence) & ~1u;
    memory::Store(row.sequence, sequence + 1);
    memory::StoreRelease(row.state, static_cast<uint32_t>(state));
    memory::StoreRelease(row.generation, flow.generation);
    memory::StoreRelease(row.clock_rate, flow.clock_rate);
    memory::CopyWords(row.legs, flow.control.data(), sizeof(row.legs));
    if (finish) memory::StoreRelease(row.sequence, sequence + 2);
  }

  void HandOver(const Flow& flow) {
    std::vector<int> fds;
    for (uint32_t i = 0; i < 4; ++i) {
      if ((flow.mask >> i) & 1) fds.push_back(flow.ours[i].fd());
    }
    const net::VaultMessage message{net::kVaultAdd, flow.slot, flow.generation, flow.mask};
    CHECK_EQ(net::SendMessage(vault_.get(), message, fds), net::PassResult::kDone);
  }

  void Open(const Flow& flow) {
    WriteRow(flow);
    HandOver(flow);
    EVENTUALLY(Attached(flow));
  }
  bool Attached(const Flow& flow) { return memory::LoadAcquire(Row(flow).attached_generation) == flow.generation; }
  bool Released(const Flow& flow) { return memory::LoadAcquire(Row(flow).released_generation) == flow.generation; }

  void Push(const Flow& flow, uint32_t op) {
    const uint32_t thread = region_->ThreadOfStream(flow.slot);
    table::CommandRing ring = region_->Commands(region_->WorkerOfStream(flow.slot), thread);
    CHECK(ring.Push({op, flow.slot, flow.generation, 0}));
    const uint64_t one = 1;
    CHECK_EQ(::write(wake_[thread].get(), &one, sizeof(one)), sizeof(one));
  }
  void Close(const Flow& flow) {
    WriteRow(flow, table::kRowClosing);
    Push(flow, table::kCommandClose);
  }

  std::optional<table::Event> NextEvent(const Flow& flow) {
    table::EventRing ring = region_->Events(region_->WorkerOfStream(flow.slot), region_->ThreadOfStream(flow.slot));
    table::Event event;
    return ring.Pop(event) ? std::optional(event) : std::nullopt;
  }
  // The next RELEASE that reached the vault.
  std::optional<net::VaultMessage> NextRelease() {
    pollfd ready{vault_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 10'000) != 1) return std::nullopt;
    net::PassedMessage passed;
    CHECK_EQ(net::ReceiveMessage(vault_.get(), passed), net::PassResult::kDone);
    return passed.message;
  }

  template <typename Which>
  uint64_t Count(Which which) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < region_->engine_threads(); ++i) sum += region_->Counters(i)->Get(which);
    return sum;
  }

 private:
  UniqueFd memfd_;
  std::optional<memory::Mapping> mapping_;
  std::optional<table::Region> region_;
  std::vector<UniqueFd> wake_;
  UniqueFd vault_;
  UniqueFd engine_end_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace penstock::test

// Wires without an engine around them: a real region, loopback TCP connections whose descriptors are kept
// as the vault keeps them, and a worker that does what workers do. Everything happens in one thread, in
// turns, so that an engine can be stopped at any step and another one begun.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "check.h"
#include "memory/cell.h"
#include "memory/memfd.h"
#include "wire/wire_set.h"

namespace penstock::test {

using memory::UniqueFd;
using wire::Step;

// What an engine's end looks like to the code that is stopped.
struct Stopped {};

struct Connection {
  UniqueFd peer;  // the client's or the server's end
  UniqueFd ours;  // as the vault keeps it
};

inline Connection Connect() {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(at);
  CHECK_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), length), 0);
  CHECK_EQ(::listen(listener.get(), 1), 0);
  CHECK_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &length), 0);
  Connection out;
  out.peer.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK_EQ(::connect(out.peer.get(), reinterpret_cast<sockaddr*>(&at), length), 0);
  out.ours.Reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(out.ours);
  ::fcntl(out.peer.get(), F_SETFL, O_NONBLOCK);
  return out;
}

inline std::string Frame(uint8_t channel, const std::string& payload) {
  std::string out{'$', static_cast<char>(channel), static_cast<char>(payload.size() >> 8),
                  static_cast<char>(payload.size() & 0xff)};
  return out + payload;
}
inline std::string Request(int cseq, const std::string& body = "") {
  std::string out = "GET_PARAMETER rtsp://a/b RTSP/1.0\r\nCSeq: " + std::to_string(cseq) + "\r\n";
  if (!body.empty()) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return out + "\r\n" + body;
}
inline std::string Answer(int cseq) { return "RTSP/1.0 200 OK\r\nCSeq: " + std::to_string(cseq) + "\r\n\r\n"; }

inline std::span<const uint8_t> Bytes8(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string Text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Segments are on their way. What a closed window keeps back is not.
inline bool HasUnacknowledged(const UniqueFd& socket) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  if (!socket || ::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  return info.tcpi_state == TCP_ESTABLISHED && info.tcpi_unacked > 0;
}

// A peer's end: sends all, receives what is there.
inline void SendAll(const UniqueFd& peer, const std::string& bytes) {
  CHECK_EQ(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
}
inline std::string ReceiveAll(const UniqueFd& peer) {
  std::string out;
  char buffer[65536];
  for (ssize_t size; (size = ::recv(peer.get(), buffer, sizeof(buffer), 0)) > 0;) out.append(buffer, size);
  return out;
}
// The other side has sent its FIN, and everything before it was received.
inline bool AtEnd(const UniqueFd& peer) {
  char byte;
  return ::recv(peer.get(), &byte, 1, MSG_PEEK) == 0;
}
inline void Reset(UniqueFd& peer) {
  const linger now{1, 0};
  CHECK_EQ(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
  peer.Reset();
}

struct Heard {
  table::WireRecord record;
  std::string bytes;
};

struct RigOptions {
  uint32_t backlog = 1 << 20;
  table::Overflow overflow = table::kOverflowDropFrames;
  uint32_t ring_bytes = 256 * 1024;
};

class WireRig {
 public:
  static constexpr uint32_t kClient = 0;
  static constexpr uint32_t kServer = 1;
  static constexpr uint32_t kOther = 2;

  explicit WireRig(RigOptions options = {}) {
    const table::RegionHeader plan = table::PlanRegion({.workers = 1,
                                                        .engine_threads = 1,
                                                        .services = 1,
                                                        .sessions_per_worker = 4,
                                                        .streams_per_worker = 8,
                                                        .ring_slots = 64,
                                                        .quarantine_ms = 1,
                                                        .wires_per_worker = 8,
                                                        .wire_ring_bytes = options.ring_bytes,
                                                        .interleaved_backlog = options.backlog,
                                                        .interleaved_overflow = options.overflow});
    memfd_ = memory::CreateMemfd("wire-test", plan.size);
    mapping_.emplace(memfd_.get(), plan.size);
    table::InitialiseRegion(mapping_->base(), plan);
    region_.emplace(mapping_->base(), mapping_->bytes());
    hook_ = [this](Step) {
      if (steps_left_ > 0 && --steps_left_ == 0) throw Stopped{};
    };
    Begin();
  }

  table::Region& region() { return *region_; }
  table::WireEntry& Row(uint32_t slot) { return *region_->Wire(slot); }
  table::StreamEntry& Stream(uint32_t slot) { return *region_->Stream(slot); }
  uint64_t Count(counters::Counter counter) { return region_->Counters(0)->Get(counter); }
  UniqueFd& Peer(uint32_t slot) { return connections_.at(slot).peer; }
  UniqueFd& Ours(uint32_t slot) { return connections_.at(slot).ours; }

  // ---- what a worker does
  void OpenRow(uint32_t slot, table::WireKind kind) {
    table::WireEntry& row = Row(slot);
    memory::Store(row.kind, kind);
    memory::Store(row.generation, row.generation + 1);
    memory::StoreRelease(row.state, static_cast<uint32_t>(table::kRowOpen));
  }
  void Open(uint32_t slot, table::WireKind kind, bool start = true) {
    connections_[slot] = Connect();
    OpenRow(slot, kind);
    HandOver(slot);
    if (start) Push(table::kRecordStart, slot);
    Settle();
  }
  // A client and its server, with one stream: RTP 0 and RTCP 1 on both sides, or as told.
  void OpenPair(uint8_t client_channel = 0, uint8_t server_channel = 0) {
    Open(kClient, table::kWireClient);
    Open(kServer, table::kWireUpstream);
    OpenStream(0, kClient, kServer, client_channel, server_channel);
  }
  void OpenStream(uint32_t stream, uint32_t client, uint32_t server, uint8_t client_channel, uint8_t server_channel) {
    table::StreamEntry& row = Stream(stream);
    row.generation += 1;
    row.state = table::kRowOpen;
    row.transport = table::kTransportInterleaved;
    row.clock_rate = 90000;
    row.client_wire = client;
    row.server_wire = server;
    row.client_channel = client_channel;
    row.client_rtcp_channel = client_channel + 1;
    row.server_channel = server_channel;
    row.server_rtcp_channel = server_channel + 1;
    SayStream(stream);
    Settle();
  }
  void CloseStream(uint32_t stream) {
    memory::StoreRelease(Stream(stream).state, static_cast<uint32_t>(table::kRowClosing));
    SayStream(stream);
    Settle();
  }
  void SayStream(uint32_t stream) {
    PushRecord(RecordOf(table::kRecordStream, stream, 0), Stream(stream).generation);
  }
  void Push(table::WireRecordKind kind, uint32_t slot, uint32_t seq = 0) {
    PushRecord(RecordOf(kind, slot, seq), Row(slot).generation);
  }
  // `continues`: the wire whose held message this deals with, and its number.
  void Write(uint32_t slot, uint32_t seq, const std::string& bytes, uint32_t continues = table::kNoWire,
             uint32_t continue_seq = 0) {
    table::WireRecord record = RecordOf(table::kRecordWrite, slot, seq);
    record.continue_wire = continues;
    if (continues != table::kNoWire) record.continue_generation = Row(continues).generation;
    record.continue_seq = continue_seq;
    PushRecord(record, Row(slot).generation, bytes);
  }
  // Everything that the engine said since the last call.
  std::vector<Heard> Hear() {
    std::vector<Heard> out;
    table::ByteRing ring = region_->Inbox(0, 0);
    table::WireRecord record;
    std::span<const uint8_t> payload;
    while (ring.Peek(record, payload)) {
      out.push_back({record, Text(payload)});
      ring.Pop();
    }
    return out;
  }
  // The only record of this kind, among all that were said.
  Heard Only(table::WireRecordKind kind, uint32_t slot) {
    Settle();
    std::optional<Heard> found;
    for (Heard& heard : Hear()) {
      if (heard.record.kind != kind || heard.record.wire != slot) continue;
      CHECK(!found.has_value());
      found = std::move(heard);
    }
    CHECK(found.has_value());
    return *found;
  }
  bool Said(table::WireRecordKind kind, uint32_t slot) {
    Settle();
    for (const Heard& heard : Hear()) {
      if (heard.record.kind == kind && heard.record.wire == slot) return true;
    }
    return false;
  }

  // ---- the engine
  // The next engine stops itself before the end of this many steps; 0 = never.
  void StopAfter(int steps) { steps_left_ = steps; }
  bool stopped() const { return stopped_; }
  // As a process that is killed and has a successor, to whom the vault sends what it holds.
  void Restart() {
    set_.reset();
    Begin();
    for (const auto& [slot, connection] : connections_) {
      if (connection.ours) HandOver(slot);
    }
  }
  void HandOver(uint32_t slot) {
    net::PassedMessage message;
    message.message = {net::kVaultAddWire, slot, Row(slot).generation, net::kWireMask};
    message.fds[0].Reset(::fcntl(Ours(slot).get(), F_DUPFD_CLOEXEC, 0));
    Give(std::move(message));
  }
  void Give(net::PassedMessage message) {
    Guard([&] { set_->Add(std::move(message), now_us_); });
  }
  void Turn(int wait_ms = 0) {
    Guard([&] {
      set_->Obey(now_us_);
      std::array<epoll_event, 16> events;
      const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), set_->busy() ? 0 : wait_ms);
      quiet_ = ready <= 0 && !set_->busy();
      for (int i = 0; i < ready; ++i) {
        set_->OnEvent(*reinterpret_cast<wire::Wire*>(events[i].data.u64 & ~wire::kWireTag), events[i].events);
      }
      set_->Run(now_us_);
      set_->Wake();
    });
  }
  // Until nothing more happens by itself. What was sent may take a while to arrive on a busy machine.
  void Settle() {
    int patience = 1000;
    do {
      Turn(3);
    } while (!stopped_ && (!quiet_ || InFlight()) && --patience > 0);
  }
  void Pass(int64_t ms) {
    now_us_ += ms * 1000;
    Guard([&] { set_->Tick(now_us_); });
    Settle();
  }
  // Lets go of a wire as the vault does when it is told.
  void Forget(uint32_t slot) { connections_.erase(slot); }

 private:
  bool InFlight() const {
    for (const auto& [slot, connection] : connections_) {
      if (HasUnacknowledged(connection.peer) || HasUnacknowledged(connection.ours)) return true;
    }
    return false;
  }
  void Begin() {
    stopped_ = false;
    epoll_.Reset(::epoll_create1(EPOLL_CLOEXEC));
    set_ = std::make_unique<wire::WireSet>(
        *region_, wire::WireSet::Options{.thread = 0, .epoll_fd = epoll_.get(), .vault_fd = -1, .worker_wakes = {}, .hook = &hook_},
        *region_->Counters(0));
  }
  template <typename Do>
  void Guard(Do what) {
    if (stopped_) return;
    try {
      what();
    } catch (const Stopped&) {
      stopped_ = true;
    }
  }
  static table::WireRecord RecordOf(table::WireRecordKind kind, uint32_t slot, uint32_t seq) {
    table::WireRecord record{};
    record.kind = kind;
    record.wire = slot;
    record.seq = seq;
    record.continue_wire = table::kNoWire;
    return record;
  }
  void PushRecord(table::WireRecord record, uint32_t generation, const std::string& bytes = "") {
    record.generation = generation;
    CHECK(region_->Outbox(0, 0).Push(record, Bytes8(bytes)));
  }

  UniqueFd memfd_;
  std::optional<memory::Mapping> mapping_;
  std::optional<table::Region> region_;
  std::map<uint32_t, Connection> connections_;
  UniqueFd epoll_;
  wire::StepHook hook_;
  std::unique_ptr<wire::WireSet> set_;
  int64_t now_us_ = 1'000'000'000;
  int steps_left_ = 0;
  bool stopped_ = false;
  bool quiet_ = false;
};

}  // namespace penstock::test

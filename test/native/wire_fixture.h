// Wires without an engine around them: a real region, loopback TCP connections whose descriptors are kept
// as the vault keeps them, and a worker that does what workers do. Everything happens in one thread, in
// turns, so that an engine can be stopped at any step and another one begun.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "check.h"
#include "memory/cell.h"
#include "memory/memfd.h"
#include "wire/kernel_counts.h"
#include "wire/wire_set.h"

namespace penstock::test {

using memory::UniqueFd;
using wire::Step;

// What an engine's end looks like to the code that is stopped.
struct Stopped {};

struct Connection {
  UniqueFd peer;  // the client's or the server's end
  UniqueFd ours;  // as the vault keeps it
  int64_t from_peer = 0;  // what OnTheWay says when nothing is: the kernel counts the SYN here and there
  int64_t to_peer = 0;
};

// Of net/tcp_states.h.
inline constexpr uint8_t kTcpClose = 7;
// The peer's FIN or reset has not come: established, or we have sent our own.
inline bool IsOpenEnded(uint8_t state) { return state == 1 || state == 4 || state == 5; }

inline tcp_info InfoOf(const UniqueFd& fd) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  CHECK_EQ(::getsockopt(fd.get(), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  return info;
}
// What the peer's kernel has not acknowledged yet.
inline int UnsentBytes(const UniqueFd& fd) {
  int bytes = 0;
  CHECK_EQ(::ioctl(fd.get(), SIOCOUTQ, &bytes), 0);
  return bytes;
}

// Bytes on their way from the one end to the other, FIN included; or what they bring about is: an acknowledgement,
// which may wait a moment, and lets more go. The loopback interface is not always done when the call that sends returns.
inline int64_t OnTheWay(const UniqueFd& from, const UniqueFd& to) {
  const tcp_info sender = InfoOf(from);
  const int64_t sent = static_cast<int64_t>(sender.tcpi_bytes_acked) + UnsentBytes(from) - sender.tcpi_notsent_bytes;
  return sent - static_cast<int64_t>(InfoOf(to).tcpi_bytes_received);
}
inline bool AwaitsAcknowledgement(const UniqueFd& fd) { return InfoOf(fd).tcpi_unacked > 0; }

// Buffers that a few frames fill, of the peer's receiving and our sending. Made smaller later, they would not keep what
// had been promised, and throw away what comes until it is sent again.
inline constexpr int kSmallBuffer = 16 * 1024;
inline void Shrink(const UniqueFd& fd, int buffer) {
  CHECK_EQ(::setsockopt(fd.get(), SOL_SOCKET, buffer, &kSmallBuffer, sizeof(kSmallBuffer)), 0);
}

inline Connection Connect(bool small = false) {
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
  if (small) Shrink(out.peer, SO_RCVBUF);
  CHECK_EQ(::connect(out.peer.get(), reinterpret_cast<sockaddr*>(&at), length), 0);
  out.ours.Reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  CHECK(out.ours);
  if (small) Shrink(out.ours, SO_SNDBUF);
  ::fcntl(out.peer.get(), F_SETFL, O_NONBLOCK);
  const int on = 1;  // what is sent leaves
  CHECK_EQ(::setsockopt(out.peer.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
  out.from_peer = OnTheWay(out.peer, out.ours);
  out.to_peer = OnTheWay(out.ours, out.peer);
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
  if (!peer) return;
  const linger now{1, 0};
  CHECK_EQ(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
  peer.Reset();
}

struct Heard {
  table::WireRecord record;
  std::string bytes;
};

// Nothing takes so long that is not stuck.
inline constexpr std::chrono::seconds kPatience{60};

struct RigOptions {
  uint32_t backlog = 1 << 20;
  table::Overflow overflow = table::kOverflowDropFrames;
  uint32_t ring_bytes = 256 * 1024;
  uint32_t streams = 8;
  bool small_client = false;  // a few frames fill what the client's side keeps
};

class WireRig {
 public:
  static constexpr uint32_t kClient = 0;
  static constexpr uint32_t kServer = 1;
  static constexpr uint32_t kOther = 2;

  explicit WireRig(RigOptions options = {}) : small_client_(options.small_client) {
    const table::RegionHeader plan = table::PlanRegion({.workers = 1,
                                                        .engine_threads = 1,
                                                        .services = 1,
                                                        .sessions_per_worker = 4,
                                                        .streams_per_worker = options.streams,
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
    connections_[slot] = Connect(small_client_ && slot == kClient);
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
    row.client_wire_generation = Row(client).generation;
    row.server_wire_generation = Row(server).generation;
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
  wire::WireSet& set() { return *set_; }
  table::Millis now_ms() const { return static_cast<table::Millis>(now_us_) / 1000; }
  // What an engine does between two turns, and may be stopped in.
  template <typename Do>
  void Act(Do what) {
    Guard(what);
  }
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
  // Until nothing more happens by itself. What has arrived before a turn is seen by it.
  void Settle() {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    for (bool travelled = true; !stopped_ && (travelled || !quiet_);) {
      CHECK(std::chrono::steady_clock::now() < end);
      travelled = Travels();
      Turn(travelled ? 1 : 0);
    }
  }
  // Time goes by, in which the engine did other things.
  void Later(int64_t ms) { now_us_ += ms * 1000; }
  // Bytes that are not where they are to go: in our socket, or on the way out of it at either end.
  size_t Underway(uint32_t slot) {
    size_t sum = 0;
    for (const UniqueFd* fd : {&Peer(slot), &Ours(slot)}) {
      if (*fd && InfoOf(*fd).tcpi_state != kTcpClose) sum += static_cast<size_t>(UnsentBytes(*fd));
    }
    return sum + wire::WaitingBytes(Ours(slot).get());
  }
  // Until all was dealt with that these peers send and get; `meanwhile`: what makes room for it.
  template <typename Do>
  void SettleAll(std::initializer_list<uint32_t> slots, Do meanwhile) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    do {
      CHECK(std::chrono::steady_clock::now() < end);
      meanwhile();
      Settle();
    } while (std::any_of(slots.begin(), slots.end(), [this](uint32_t slot) { return Underway(slot) > 0; }));
    meanwhile();
  }
  void Pass(int64_t ms) {
    Later(ms);
    Guard([&] { set_->Tick(now_us_); });
    Settle();
  }
  // Lets go of a wire as the vault does when it is told.
  void Forget(uint32_t slot) { connections_.erase(slot); }

 private:
  // Some bytes, or the end of a connection, have left the one side and not reached the other.
  bool Travels() {
    for (const auto& [slot, connection] : connections_) {
      if (!connection.ours) continue;
      const uint8_t state = InfoOf(connection.ours).tcpi_state;
      if (!connection.peer && IsOpenEnded(state)) return true;
      if (!connection.peer || state == kTcpClose || InfoOf(connection.peer).tcpi_state == kTcpClose) continue;
      const bool travels = OnTheWay(connection.peer, connection.ours) > connection.from_peer ||
                           OnTheWay(connection.ours, connection.peer) > connection.to_peer ||
                           AwaitsAcknowledgement(connection.peer) || AwaitsAcknowledgement(connection.ours);
      if (travels) return true;
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

  const bool small_client_;
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

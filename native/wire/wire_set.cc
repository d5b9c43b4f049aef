#include "wire/wire_set.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>
#include <ctime>

#include "memory/cell.h"
#include "wire/kernel_counts.h"

namespace penstock::wire {

using counters::Counter;
using memory::Load;
using memory::Store;
using memory::StoreRelease;
using table::WireRecord;

namespace {

constexpr table::Millis kSweepMs = 1000;
constexpr table::Millis kLingerMs = 5'000;            // for the peer's FIN after ours
constexpr table::Millis kArrivalMs = 5'000;           // for the descriptor of a wire that was heard of
// Of a receive buffer, what surely holds payload: the kernel's own share is at most the rest.
constexpr uint32_t kPayloadShare = 4;
// What the kernel has merged into one piece (half a megabyte at most) it counts as a whole until the last byte of it is
// taken. The beginning of a frame at its end must leave room for the rest, or nothing more would ever come.
constexpr uint32_t kLeastRoom = 512 * 1024;

table::Millis MonotonicMillis() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<table::Millis>(now.tv_sec) * 1e3 + static_cast<table::Millis>(now.tv_nsec) / 1e6;
}

uint32_t ReceiveBuffer(int fd) {
  int bytes = 0;
  socklen_t length = sizeof(bytes);
  return ::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) == 0 ? static_cast<uint32_t>(bytes) : 0;
}

// The receive buffer a connection grows to by itself if a reader waits for so much at once: at most what
// net.ipv4.tcp_rmem allows, for which one needs no rights.
void GrowReceiveBuffer(int fd, int bytes) {
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
  ::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
}

// Room for as many bytes as may wait for a peer that does not read; gives how many surely fit.
uint32_t PrepareConnection(int fd, uint32_t backlog) {
  const auto wanted = static_cast<int>(std::clamp<uint32_t>(backlog, kLeastRoom, INT_MAX / kPayloadShare) * 2);
  // The kernel doubles it.
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof(wanted)) != 0) GrowReceiveBuffer(fd, wanted);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return ReceiveBuffer(fd) / kPayloadShare;
}

}  // namespace

WireSet::WireSet(table::Region& region, const Options& options, counters::CounterBlock& counters)
    : region_(region),
      options_(options),
      counters_(counters),
      releases_(options.vault_fd, counters),
      mailbox_(region, options.thread, options.worker_wakes, counters),
      io_(options.hook),
      wires_(region, options.thread),
      streams_(region, options.thread, wires_, counters),
      relay_(region, wires_, mailbox_, io_, options.gso, counters),
      bridge_(wires_, relay_) {
  for (uint32_t worker = 0; worker < region.workers(); ++worker) {
    outboxes_.push_back(region.Outbox(worker, options.thread));
  }
  now_ = MonotonicMillis();  // the streams name wires, which are waited for from now on
  const auto now_us = static_cast<int64_t>(now_ * 1e3);
  streams_.Load(now_);
  // What workers said to a former engine, all of it, before anything is said to them.
  do {
    Obey(now_us);
  } while (unread_);
}

WireSet::~WireSet() = default;

void WireSet::SetClock(int64_t now_us) {
  now_ = static_cast<table::Millis>(now_us) / 1000;
  relay_.SetClock(now_us);
}

// ---------------------------------------------------------------- coming

void WireSet::Add(net::PassedMessage message, int64_t now_us) {
  SetClock(now_us);
  const uint32_t slot = message.message.stream;
  const uint32_t generation = message.message.generation;
  if (region_.Wire(slot) == nullptr) {
    counters_.Add(Counter::bad_index, 1);
    return;
  }
  if (!MakeRoom(message.message)) return;
  Wire* wire = wires_.Obtain(slot, generation, now_);
  if (wire == nullptr) return ReleaseRow(slot, generation);
  if (wire->attached()) return;
  wire->fd = std::move(message.fds[0]);
  Attach(*wire);
}

// A slot holds one generation: the one that its row names wins, the other is let go of at once.
// False where that is the newcomer. (A restarted engine may be sent both.)
bool WireSet::MakeRoom(const net::VaultMessage& message) {
  Wire* known = wires_.At(message.stream);
  if (known == nullptr || known->generation == message.generation) return true;
  if (known->generation == Load(known->row.generation)) {
    releases_.Tell(net::kVaultReleaseWire, message.stream, message.generation);
    return false;
  }
  Close(*known);
  return true;
}

void WireSet::Attach(Wire& wire) {
  wire.backlog_max = PrepareConnection(wire.fd.get(), region_.interleaved_backlog());
  wire.since = now_;
  counters_.Add(Counter::wires_opened, 1);
  if (Load(wire.row.attached_generation) == wire.generation) {
    counters_.Add(Counter::wires_restored, 1);
    relay_.TakeOver(wire);
  } else {
    BeginRow(wire);
  }
  Watch(wire);
  relay_.Attached(wire);
}

void WireSet::BeginRow(Wire& wire) {
  static constexpr table::WireEntry kNothing{};
  constexpr size_t kBegin = offsetof(table::WireEntry, wire_state);
  constexpr size_t kSize = offsetof(table::WireEntry, tail) - kBegin;
  static_assert(kBegin % sizeof(uint64_t) == 0 && kSize % sizeof(uint64_t) == 0);
  memory::CopyWords(&wire.row.wire_state, &kNothing.wire_state, kSize);
  wire.settled = wire.proven = true;
  const auto counts = ReadKernelCounts(wire.fd.get());
  wire.failed = !counts;
  Store(wire.row.base_taken, counts ? counts->taken : 0);
  Store(wire.row.base_sent, counts ? counts->sent : 0);
  wire.ledger.Commit();
  StoreRelease(wire.row.attached_generation, wire.generation);
}

// Each arrival, and each time that there is room again, is told once.
void WireSet::Watch(Wire& wire) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = reinterpret_cast<uint64_t>(&wire) | kWireTag;
  if (::epoll_ctl(options_.epoll_fd, EPOLL_CTL_ADD, wire.fd.get(), &event) != 0) counters_.Add(Counter::unwatched, 1);
}

// ---------------------------------------------------------------- workers

void WireSet::Obey(int64_t now_us) {
  SetClock(now_us);
  unread_ = false;
  for (uint32_t worker = 0; worker < outboxes_.size(); ++worker) {
    WireRecord record;
    std::span<const uint8_t> payload;
    uint32_t taken = 0;
    for (; taken < kRecordsPerTurn && outboxes_[worker].Peek(record, payload); ++taken) {
      Handle(worker, record, payload);
      outboxes_[worker].Pop();
    }
    unread_ |= taken == kRecordsPerTurn;
  }
}

void WireSet::Handle(uint32_t worker, const WireRecord& record, std::span<const uint8_t> payload) {
  if (record.kind == table::kRecordStream) return streams_.Read(record.wire, record.generation, now_);
  const bool own = region_.Wire(record.wire) != nullptr && region_.WorkerOfWire(record.wire) == worker;
  if (!own) {
    counters_.Add(Counter::bad_index, 1);
    return;
  }
  // A row that is not open any more was let go of, or will be as soon as its descriptor comes.
  if (Wire* wire = wires_.Obtain(record.wire, record.generation, now_)) HandleWire(*wire, record, payload);
}

void WireSet::HandleWire(Wire& wire, const WireRecord& record, std::span<const uint8_t> payload) {
  switch (record.kind) {
    case table::kRecordStart:
      return relay_.Start(wire, record.seq);
    case table::kRecordWrite:
      return relay_.Write(wire, record, payload);
    case table::kRecordContinue:
      return relay_.Continue(wire, record.seq);
    case table::kRecordShutdown:
      return relay_.Shut(wire);
    case table::kRecordClose:
      return Close(wire);
    default:
      counters_.Add(Counter::unknown_command, 1);
  }
}

// ---------------------------------------------------------------- turns

void WireSet::OnEvent(Wire& wire, uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) wire.readable = true;
  if ((events & EPOLLOUT) != 0) wire.writable = true;
  if ((events & EPOLLRDHUP) != 0) wire.fin = true;
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) wire.failed = wire.readable = true;
  relay_.Ready(wire);
}

void WireSet::Run(int64_t now_us) {
  SetClock(now_us);
  relay_.Run();
}

void WireSet::Tick(int64_t now_us) {
  SetClock(now_us);
  releases_.Retry();
  relay_.RetryStalled();
  std::erase_if(untold_, [this](const WireRecord& record) {
    return mailbox_.Send(region_.WorkerOfWire(record.wire), record);
  });
  const bool sweep = now_ >= next_sweep_;
  streams_.Retry(sweep, now_);
  if (sweep) Sweep();
}

// A worker may die between marking its row and saying so.
void WireSet::Sweep() {
  next_sweep_ = now_ + kSweepMs;
  std::vector<Wire*> gone;
  wires_.ForEach([&](Wire& wire) {
    const bool being_written = (memory::LoadAcquire(wire.row.sequence) & 1) != 0;
    if (!being_written && !wires_.IsOpen(wire.row, wire.generation)) {
      gone.push_back(&wire);
    } else {
      CheckTimes(wire);
    }
  });
  for (Wire* wire : gone) Close(*wire);
}

void WireSet::CheckTimes(Wire& wire) {
  if (wire.closed()) return;
  if (!wire.attached()) {
    if (now_ - wire.since > kArrivalMs) relay_.Finish(wire, table::kEndLost);
  } else if (!wire.settled) {
    if (now_ - wire.since > kArrivalMs) relay_.Finish(wire, table::kEndTorn);
  } else if (wire.shut_asked) {
    if (now_ - wire.shut_at > kLingerMs) relay_.Finish(wire, table::kEndLinger);
  } else if (wire.IsLate(now_, region_.message_deadline_ms())) {
    relay_.RaiseFault(wire, table::kFaultLate);
  } else if (wire.blocked_on != nullptr || wire.held_bytes != 0) {  // where nothing more can come, nothing tells that too much waits
    wire.readable = true;
    relay_.Ready(wire);
  }
}

// ---------------------------------------------------------------- going

void WireSet::Close(Wire& wire) {
  relay_.Finish(wire, table::kEndNone);
  Release(wire);
}

// The row's word comes last but one: once it is out, the worker may give the row away.
void WireSet::Release(Wire& wire) {
  const uint32_t slot = wire.slot;
  const uint32_t generation = wire.generation;
  streams_.Forget(wire);
  relay_.Forget(wire);
  // The vault holds the same connection, so closing ours would not end the watch.
  if (wire.attached()) ::epoll_ctl(options_.epoll_fd, EPOLL_CTL_DEL, wire.fd.get(), nullptr);
  wires_.Erase(slot);
  counters_.Add(Counter::wires_released, 1);
  ReleaseRow(slot, generation);
}

void WireSet::ReleaseRow(uint32_t slot, uint32_t generation) {
  table::WireEntry& row = *region_.Wire(slot);
  if (Load(row.generation) == generation) StoreRelease(row.released_generation, generation);
  WireRecord record{};
  record.kind = table::kRecordReleased;
  record.wire = slot;
  record.generation = generation;
  record.continue_wire = table::kNoWire;
  if (!untold_.empty() || !mailbox_.Send(region_.WorkerOfWire(slot), record)) untold_.push_back(record);
  releases_.Tell(net::kVaultReleaseWire, slot, generation);
}

}  // namespace penstock::wire

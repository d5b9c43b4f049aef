#include "engine/engine_thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string>

#include "flow/rewriting.h"
#include "memory/system_error.h"
#include "net/segments.h"

namespace penstock::engine {
namespace {

using counters::Counter;
using counters::Verdict;
using flow::Decision;
using flow::Leg;
using flow::Packet;

constexpr table::Millis kTickMs = 20;
constexpr uint32_t kCommandsPerTurn = 256;  // of one worker, so that packets are never kept waiting

// The packet came from whom it should: the peer lives.
bool ShowsLife(Verdict verdict) {
  return verdict == Verdict::forwarded || verdict == Verdict::punch || verdict == Verdict::no_remote ||
         verdict == Verdict::no_opposite || verdict == Verdict::over_rate;
}

}  // namespace

EngineThread::EngineThread(table::Region& region, const Options& options)
    : region_(region),
      options_(options),
      counters_(*region.Counters(options.index)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wires_(region, {options.index, epoll_.get(), options.vault_fd, options.worker_wake_fds, nullptr, options.gso}, counters_),
      streams_(region,
               {options.index, epoll_.get(), options.vault_fd, options.gro, options.gso, options.table,
                options.no_offload, wires_.bridge()},
               counters_),
      pacer_(options.batch_delay_us),
      bursts_(options.batch_delay_us),
      receiver_(kBatchMessages, net::kReceiveBuffer),
      sender_(options.gso, counters_) {
  if (!epoll_) throw memory::SystemError("epoll_create1");
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, options.wake_fd, &event) != 0) throw memory::SystemError("epoll_ctl");
  for (uint32_t worker = 0; worker < region.workers(); ++worker) {
    commands_.push_back(region.Commands(worker, options.index));
  }
}

EngineThread::~EngineThread() { Stop(); }

void EngineThread::Start() {
  stopping_.store(false);
  thread_ = std::thread([this] { Run(); });
  ::pthread_setname_np(thread_.native_handle(), ("penstock-" + std::to_string(options_.index)).c_str());
}

void EngineThread::Stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  Wake();
  thread_.join();
}

int EngineThread::Pin(int cpu) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(cpu, &only);
  return ::pthread_setaffinity_np(thread_.native_handle(), sizeof(only), &only);
}

void EngineThread::Hand(net::PassedMessage message) {
  {
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(message));
  }
  handed_.store(true, std::memory_order_release);
  Wake();
}

void EngineThread::Wake() {
  const uint64_t one = 1;
  // A full event counter (EAGAIN) wakes as well.
  while (::write(options_.wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

// The whole of the packet path. Streams come and go only before and after the batches, so
// that a leg which an event names stays alive until the batch is done.
void EngineThread::Run() {
  ReadClock();
  while (!stopping_.load(std::memory_order_relaxed)) {
    DrainCommands();
    const int ready = Wait();
    for (int taken = 0; taken < ready;) {
      taken += Receive({&events_[taken], static_cast<size_t>(ready - taken)});
      LookUp();
      Measure();
      Rewrite();
      Send();
      Account();
    }
    wires_.Run(now_us_);
    RunTimers();
    wires_.Wake();
    ReadClock();
  }
}

void EngineThread::ReadClock() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  now_us_ = int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  now_ms_ = static_cast<table::Millis>(now_us_) / 1000;
}

void EngineThread::DrainCommands() {
  if (handed_.exchange(false, std::memory_order_acquire)) TakeInbox();
  for (table::CommandRing& ring : commands_) {
    table::Command command;
    for (uint32_t i = 0; i < kCommandsPerTurn && ring.Pop(command); ++i) streams_.Obey(command, now_ms_);
  }
  wires_.Obey(now_us_);
}

void EngineThread::TakeInbox() {
  std::vector<net::PassedMessage> taken;
  {
    const std::lock_guard lock(inbox_mutex_);
    taken.swap(inbox_);
  }
  for (net::PassedMessage& message : taken) {
    if (message.message.op == net::kVaultAddWire) {
      wires_.Add(std::move(message), now_us_);
    } else {
      streams_.Add(std::move(message), now_ms_);
    }
  }
}

int EngineThread::SleepMs() const {
  if (wires_.busy()) return 0;
  return wires_.waiting() ? std::min(static_cast<int>(kTickMs), streams_.SleepMs()) : streams_.SleepMs();
}

int EngineThread::Wait() {
  const int64_t idle_since_us = now_us_;
  const int ready = ::epoll_wait(epoll_.get(), events_.data(), kEvents, SleepMs());
  ReadClock();
  counters_.Add(Counter::loops, 1);
  const int delay_us = DelayUs(std::max(ready, 0), now_us_ - idle_since_us);
  if (delay_us == 0) return std::max(ready, 0);
  counters_.Add(Counter::delayed_wakes, 1);
  NoteWires(ready);  // nobody tells of these again
  const timespec wait{0, delay_us * 1000L};
  ::nanosleep(&wait, nullptr);
  const int gathered = ::epoll_wait(epoll_.get(), events_.data(), kEvents, 0);
  ReadClock();
  return std::max(gathered, 0);
}

void EngineThread::NoteWires(int ready) {
  for (const epoll_event& event : std::span(events_).first(static_cast<size_t>(ready))) NoteWire(event);
}

bool EngineThread::NoteWire(const epoll_event& event) {
  if ((event.data.u64 & wire::kWireTag) == 0) return false;
  wires_.OnEvent(*reinterpret_cast<wire::Wire*>(event.data.u64 & ~wire::kWireTag), event.events);
  return true;
}

// How long to gather what comes behind that which has come.
int EngineThread::DelayUs(int ready, int64_t slept_us) {
  bool packets = false;
  bool frames = false;
  for (const epoll_event& event : std::span(events_).first(static_cast<size_t>(ready))) {
    const bool wire = (event.data.u64 & wire::kWireTag) != 0;
    frames |= wire;
    packets |= !wire && event.data.ptr != nullptr;
  }
  if (!packets && !frames) return 0;
  counters_.Add(Counter::wakes, 1);
  return std::max(packets ? pacer_.OnWake(now_us_) : 0, frames && !wires_.busy() ? bursts_.OnWake(slept_us) : 0);
}

// Fills the batch from the first ready sockets; gives how many of them.
int EngineThread::Receive(std::span<const epoll_event> events) {
  receiver_.Clear();
  used_ = outgoing_used_ = 0;
  int taken = 0;
  for (const epoll_event& event : events) {
    if (receiver_.free_slots() == 0) break;
    ++taken;
    if (event.data.ptr == nullptr) {
      DrainWake();
    } else if (!NoteWire(event)) {
      ReceiveFrom(*static_cast<Leg*>(event.data.ptr));
    }
  }
  return taken;
}

void EngineThread::DrainWake() {
  uint64_t count;
  [[maybe_unused]] const ssize_t bytes = ::read(options_.wake_fd, &count, sizeof(count));
}

// An error that the socket has in store (ICMP) is taken out of it by the very call that reports it.
void EngineThread::ReceiveFrom(Leg& leg) {
  const auto [received, error] = receiver_.Receive(leg.fd());
  if (error != 0) counters_.Add(Counter::rx_errors, 1);
  for (const net::Datagram& datagram : received) {
    counters_.Add(Counter::rx_messages, 1);
    counters_.Add(Counter::rx_bytes, datagram.bytes.size());
    if (const uint32_t lost = leg.Overflowed(datagram.overflow); lost != 0) counters_.Add(Counter::rx_overflow, lost);
    Split(leg, datagram);
  }
}

// Makes packets of a datagram: several where GRO merged them.
void EngineThread::Split(Leg& leg, const net::Datagram& datagram) {
  const uint32_t before = used_;
  net::Segments segments(datagram.bytes, datagram.segment);
  std::span<uint8_t> bytes;
  while (used_ - before < kMessagePackets && segments.Next(bytes)) {
    Packet& packet = packets_[used_++];
    packet.bytes = bytes;
    packet.source = &datagram.source;
    packet.leg = &leg;
    packet.verdict = datagram.truncated ? Verdict::truncated : Verdict::forwarded;
  }
  counters_.Add(Counter::rx_packets, used_ - before);
  if (used_ - before > 1) counters_.Add(Counter::gro_merged, used_ - before);
}

void EngineThread::LookUp() {
  for (Packet& packet : packets()) {
    if (packet.verdict != Verdict::truncated) LookUp(packet);
  }
}

void EngineThread::LookUp(Packet& packet) {
  flow::Stream& stream = packet.leg->stream();
  if (stream.phase == flow::StreamPhase::kClosing) {
    packet.verdict = Verdict::late;
    if (packet.leg->KnowsPeer(*packet.source)) stream.HearLate(*packet.leg, now_ms_);
    return;
  }
  Leg& leg = *packet.leg;
  const Decision::Change change = leg.Judge(packet);
  if (leg.rate().limited() && packet.verdict == Verdict::forwarded && !leg.rate().Take(packet.bytes.size(), now_us_)) {
    packet.verdict = Verdict::over_rate;
  }
  if (change != Decision::kNone) Announce(change, leg);
}

void EngineThread::Announce(Decision::Change change, Leg& leg) {
  if (change == Decision::kLatched) {
    counters_.Add(Counter::latched, 1);
    streams_.Emit(table::kEventLatched, leg);
    streams_.SourceChanged(leg, now_ms_);
  } else if (change == Decision::kRelearned) {
    counters_.Add(Counter::relearned, 1);
    streams_.Emit(table::kEventRelearned, leg);
    streams_.SourceChanged(leg, now_ms_);
  }
}

// Before rewriting: quality is that of the stream as it came.
void EngineThread::Measure() {
  for (const Packet& packet : packets()) {
    if (packet.verdict == Verdict::forwarded) packet.leg->Measure(packet, now_us_);
  }
}

void EngineThread::Rewrite() {
  for (const Packet& packet : packets()) {
    if (packet.verdict != Verdict::forwarded) continue;
    if (flow::Rewrite(packet)) counters_.Add(Counter::rewritten, 1);
  }
}

void EngineThread::Send() {
  for (const Packet& packet : packets()) {
    if (packet.verdict != Verdict::forwarded) continue;
    Leg& out = *packet.leg->opposite();
    if (out.is_channel()) {
      out.way()->Put(packet.bytes);
    } else {
      outgoing_[outgoing_used_++] = {&out.target(), packet.bytes};
    }
  }
  sender_.Send({outgoing_.data(), outgoing_used_});
}

void EngineThread::Account() {
  if (used_ == 0) return;
  counters_.Add(Counter::rx_batches, 1);
  uint32_t sent = 0;
  for (uint32_t i = 0; i < used_; ++i) {
    const Packet& packet = packets_[i];
    Leg& leg = *packet.leg;
    counters_.Add(packet.verdict, 1);
    // What went into a queue is counted when it leaves that.
    const bool by_socket = packet.verdict == Verdict::forwarded && !leg.opposite()->is_channel();
    if (by_socket && outgoing_[sent++].sent) leg.opposite()->AccountSent(packet.bytes.size());
    if (leg.data() == nullptr) continue;
    leg.AccountReceived(packet);
    if (leg.kernel().entered && packet.verdict == Verdict::forwarded && packet.kind == rtp::Kind::kRtp) {
      ++leg.kernel().fallen;
      counters_.Add(Counter::offload_fallen, 1);
    }
    if (ShowsLife(packet.verdict)) leg.Touch(now_ms_);
    const bool last_of_leg = i + 1 == used_ || packets_[i + 1].leg != &leg;
    if (last_of_leg) leg.PublishQuality();
  }
}

void EngineThread::RunTimers() {
  streams_.RunPending(now_ms_);
  if (now_ms_ < next_tick_) return;
  next_tick_ = now_ms_ + kTickMs;
  streams_.Tick(now_ms_);
  wires_.Tick(now_us_);
}

}  // namespace penstock::engine

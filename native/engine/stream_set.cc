#include "engine/stream_set.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "flow/endpoint.h"
#include "flow/stream_row.h"
#include "memory/cell.h"
#include "net/udp_receiver.h"

namespace penstock::engine {
namespace {

using counters::Counter;
using flow::Leg;
using flow::Stream;
using flow::StreamPhase;

constexpr int kIdleSleepMs = 250;   // the loop counter shows that the thread lives
constexpr int kBusySleepMs = 20;    // something waits for its time
constexpr int kSettlingSleepMs = 2; // a stream waits for a pause between its packets
constexpr table::Millis kSweepMs = 1000;

bool IsOpen(const table::StreamEntry& row, uint32_t generation) {
  return memory::LoadAcquire(row.state) == table::kRowOpen && memory::Load(row.generation) == generation;
}

}  // namespace

StreamSet::StreamSet(table::Region& region, const Options& options, counters::CounterBlock& counters)
    : region_(region),
      options_(options),
      counters_(counters),
      releases_(options.vault_fd, counters),
      offloader_({options.thread, region.engine_threads(), options.gso, options.table, options.no_offload}, counters),
      slots_((region.streams() + region.engine_threads() - 1) / region.engine_threads()) {
  for (uint32_t worker = 0; worker < region.workers(); ++worker) {
    events_.push_back(region.Events(worker, options.thread));
  }
}

StreamSet::~StreamSet() {
  for (Slot& slot : slots_) {
    if (slot != nullptr) options_.bridge.Disconnect(*slot);
  }
}

StreamSet::Slot* StreamSet::Find(uint32_t stream) {
  if (stream < region_.streams() && region_.ThreadOfStream(stream) == options_.thread) {
    return &slots_[stream / region_.engine_threads()];
  }
  counters_.Add(Counter::bad_index, 1);
  return nullptr;
}

void StreamSet::Add(net::PassedMessage message, table::Millis now) {
  Slot* slot = Find(message.message.stream);
  if (slot == nullptr || !MakeRoom(*slot, message.message)) return;
  if (*slot == nullptr) {
    *slot = std::make_unique<Stream>();
    (*slot)->slot = message.message.stream;
    (*slot)->generation = message.message.generation;
    (*slot)->row = region_.Stream(message.message.stream);
    counters_.Add(Counter::streams_opened, 1);
  }
  Stream& stream = **slot;
  TakeSockets(stream, message);
  if (stream.phase == StreamPhase::kRelaying) stream.phase = StreamPhase::kUnread;
  if (stream.phase == StreamPhase::kUnread) TryAttach(stream, now);
}

// A slot holds one generation: the one that its row names wins, the other is let go of at once.
// False where that is the newcomer. (A restarted engine may be sent both.)
bool StreamSet::MakeRoom(Slot& slot, const net::VaultMessage& message) {
  if (slot == nullptr || slot->generation == message.generation) return true;
  if (slot->generation == memory::Load(slot->row->generation)) {
    releases_.Tell(net::kVaultRelease, message.stream, message.generation);
    return false;
  }
  releases_.Tell(net::kVaultRelease, slot->slot, slot->generation);
  std::erase(closing_, slot->slot);
  std::erase(waiting_, slot->slot);
  options_.bridge.Disconnect(*slot);
  for (Leg& leg : slot->legs) {
    if (!leg.open()) continue;
    offloader_.Drop(leg);
    ::epoll_ctl(options_.epoll_fd, EPOLL_CTL_DEL, leg.fd(), nullptr);
  }
  slot.reset();
  counters_.Add(Counter::streams_released, 1);
  return true;
}

void StreamSet::TakeSockets(Stream& stream, net::PassedMessage& message) {
  for (uint32_t i = 0; i < table::kLegsPerStream; ++i) {
    if (!message.fds[i] || stream.legs[i].open()) continue;
    net::PrepareMediaSocket(message.fds[i].get(), options_.gro);
    stream.legs[i].TakeSocket(stream, i, std::move(message.fds[i]));
  }
}

void StreamSet::TryAttach(Stream& stream, table::Millis now) {
  table::StreamEntry control;
  if (!flow::ReadControl(*stream.row, control)) {
    counters_.Add(Counter::rows_unreadable, 1);
    if (std::find(waiting_.begin(), waiting_.end(), stream.slot) == waiting_.end()) waiting_.push_back(stream.slot);
    return;
  }
  if (control.state != table::kRowOpen || control.generation != stream.generation) {
    BeginClosing(stream, now);
    return;
  }
  Attach(stream, control, now);
}

void StreamSet::Attach(Stream& stream, const table::StreamEntry& control, table::Millis now) {
  table::StreamEntry& row = *stream.row;
  const bool restore = memory::Load(row.attached_generation) == stream.generation;
  if (restore) counters_.Add(Counter::streams_restored, 1);
  static constexpr table::LegData kNothing[table::kLegsPerStream] = {};
  if (!restore) memory::CopyWords(row.data, kNothing, sizeof(row.data));
  for (uint32_t i = 0; i < table::kLegsPerStream; ++i) {
    Leg& leg = stream.legs[i];
    if (bridge::IsChannel(control, i) && !leg.open()) leg.TakeChannel(stream, i);
    if ((!leg.open() && !leg.is_channel()) || leg.data() != nullptr) continue;
    leg.Configure(control.legs[i], control.clock_rate);
    leg.Attach(row.data[i], stream.Opposite(i), restore);
    if (leg.open()) offloader_.Adopt(leg, !restore);
  }
  options_.bridge.Connect(stream, control, now);
  memory::StoreRelease(row.attached_generation, stream.generation);
  stream.phase = StreamPhase::kRelaying;
  for (Leg& leg : stream.legs) Watch(leg);
  Reconsider(stream, now);
}

void StreamSet::Reconsider(Stream& stream, table::Millis now) {
  for (Leg& leg : stream.legs) offloader_.Consider(leg, now);
}

void StreamSet::SourceChanged(Leg& leg, table::Millis now) {
  offloader_.Consider(leg, now);
  if (leg.opposite() != nullptr) offloader_.Consider(*leg.opposite(), now);
}

// A leg that is watched already stays so (EEXIST).
void StreamSet::Watch(Leg& leg) {
  if (!leg.open()) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &leg;
  const bool watched = ::epoll_ctl(options_.epoll_fd, EPOLL_CTL_ADD, leg.fd(), &event) == 0 || errno == EEXIST;
  if (!watched) counters_.Add(Counter::unwatched, 1);
}

void StreamSet::Obey(const table::Command& command, table::Millis now) {
  if (command.op != table::kCommandUpdate && command.op != table::kCommandClose) {
    counters_.Add(Counter::unknown_command, 1);
    return;
  }
  Slot* slot = Find(command.stream);
  // A command may overtake its descriptors: the row then says all that matters when they come.
  if (slot == nullptr || *slot == nullptr || (*slot)->generation != command.generation) return;
  if (command.op == table::kCommandClose) {
    BeginClosing(**slot, now);
  } else if ((*slot)->phase == StreamPhase::kRelaying) {
    Update(**slot, now);
  }
}

void StreamSet::Update(Stream& stream, table::Millis now) {
  table::StreamEntry control;
  stream.update_pending = !flow::ReadControl(*stream.row, control);
  if (stream.update_pending) {
    counters_.Add(Counter::rows_unreadable, 1);
    if (std::find(waiting_.begin(), waiting_.end(), stream.slot) == waiting_.end()) waiting_.push_back(stream.slot);
    return;
  }
  if (control.generation != stream.generation) return;
  for (uint32_t i = 0; i < table::kLegsPerStream; ++i) {
    Leg& leg = stream.legs[i];
    if (leg.open() || leg.is_channel()) leg.Configure(control.legs[i], control.clock_rate);
  }
  options_.bridge.Connect(stream, control, now);
  Reconsider(stream, now);
}

void StreamSet::BeginClosing(Stream& stream, table::Millis now) {
  if (stream.phase == StreamPhase::kClosing) return;
  // The kernel stops first: what comes now is late, and no port is given away while it still relays.
  offloader_.DropInherited(stream.slot);
  options_.bridge.Disconnect(stream);
  for (Leg& leg : stream.legs) {
    if (leg.data() != nullptr) offloader_.Withdraw(leg, now);
    if (leg.data() != nullptr) leg.PublishState(table::kLegClosed);
    if (stream.phase == StreamPhase::kUnread) Watch(leg);
  }
  stream.phase = StreamPhase::kClosing;
  stream.closing_since = stream.last_late = now;
  stream.last_server_late = 0;
  closing_.push_back(stream.slot);
}

// The row's word comes last but one: once it is out, the worker may give the row away.
void StreamSet::Release(Slot& slot) {
  Stream& stream = *slot;
  const uint32_t number = stream.slot;
  const uint32_t generation = stream.generation;
  for (Leg& leg : stream.legs) {
    if (!leg.open()) continue;
    // The vault holds the same socket, so closing ours would not end the watch.
    ::epoll_ctl(options_.epoll_fd, EPOLL_CTL_DEL, leg.fd(), nullptr);
    leg.CloseSocket();
  }
  memory::StoreRelease(stream.row->released_generation, generation);
  slot.reset();
  counters_.Add(Counter::streams_released, 1);
  table::Event event{};
  event.kind = table::kEventReleased;
  event.stream = number;
  event.generation = generation;
  EmitTo(event);
  releases_.Tell(net::kVaultRelease, number, generation);
}

void StreamSet::Tick(table::Millis now) {
  releases_.Retry();
  RetryUnread(now);
  EndQuarantines(now);
  if (now >= next_sweep_) Sweep(now);
}

int StreamSet::SleepMs() const {
  if (offloader_.pending()) return kSettlingSleepMs;
  return closing_.empty() && waiting_.empty() && releases_.empty() ? kIdleSleepMs : kBusySleepMs;
}

void StreamSet::RetryUnread(table::Millis now) {
  std::vector<uint32_t> again;
  again.swap(waiting_);
  for (const uint32_t number : again) {
    Slot& slot = *Find(number);
    if (slot == nullptr) continue;
    if (slot->phase == StreamPhase::kUnread) TryAttach(*slot, now);
    if (slot->phase == StreamPhase::kRelaying && slot->update_pending) Update(*slot, now);
  }
}

void StreamSet::EndQuarantines(table::Millis now) {
  std::erase_if(closing_, [&](uint32_t number) {
    Slot& slot = *Find(number);
    if (!slot->IsAtRest(region_.quarantine_ms(), now)) return false;
    Release(slot);
    return true;
  });
}

// A worker may die between marking its row and saying so; and what the kernel relayed is counted.
void StreamSet::Sweep(table::Millis now) {
  next_sweep_ = now + kSweepMs;
  offloader_.BeginReview();
  for (Slot& slot : slots_) {
    if (slot == nullptr || slot->phase != StreamPhase::kRelaying) continue;
    const bool being_written = (memory::LoadAcquire(slot->row->sequence) & 1) != 0;
    if (!being_written && !IsOpen(*slot->row, slot->generation)) BeginClosing(*slot, now);
    if (slot->phase != StreamPhase::kRelaying) continue;
    for (Leg& leg : slot->legs) offloader_.Review(leg, now);
  }
}

void StreamSet::Emit(table::EventKind kind, const Leg& leg) {
  table::Event event{};
  event.kind = kind;
  event.stream = leg.stream().slot;
  event.generation = leg.stream().generation;
  event.leg = leg.index();
  event.remote = leg.remote();
  EmitTo(event);
}

void StreamSet::EmitTo(const table::Event& event) {
  if (!events_[region_.WorkerOfStream(event.stream)].Push(event)) counters_.Add(Counter::events_dropped, 1);
}

}  // namespace penstock::engine

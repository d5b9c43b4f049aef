#include "net/vault.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <bit>

#include "memory/system_error.h"

namespace penstock::net {
namespace {

using memory::SystemError;
using memory::UniqueFd;

constexpr int kEventsPerWait = 64;

// What an epoll event is about. A number that no longer means an open socket is ignored.
constexpr uint64_t kSourceWake = 0;
constexpr uint64_t kSourceEngine = 1;
constexpr uint64_t kSourceFirstWorker = 2;

// Generations count up and wrap.
bool Older(uint32_t generation, uint32_t than) { return static_cast<int32_t>(generation - than) < 0; }

uint64_t KeyOf(uint32_t add, uint32_t slot) { return uint64_t{add} << 32 | slot; }
uint32_t AddOf(uint64_t key) { return static_cast<uint32_t>(key >> 32); }
uint32_t SlotOf(uint64_t key) { return static_cast<uint32_t>(key); }

}  // namespace

void Vault::Start() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) throw SystemError("epoll_create1");
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) throw SystemError("eventfd");
  epoll_ = std::move(epoll);
  wake_ = std::move(wake);
  if (!Watch(EPOLL_CTL_ADD, wake_.get(), EPOLLIN, kSourceWake)) throw SystemError("epoll_ctl");
  stopping_ = false;
  thread_ = std::thread(&Vault::Run, this);
}

void Vault::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  Wake();
  thread_.join();
  attachments_.clear();
  workers_.clear();
  engine_.Reset();
  outbox_.clear();
  held_.clear();
  streams_ = 0;
  wires_ = 0;
  descriptors_ = 0;
}

void Vault::AttachWorker(uint32_t index, UniqueFd socket) { Attach({false, index, std::move(socket)}); }

void Vault::AttachEngine(UniqueFd socket) { Attach({true, 0, std::move(socket)}); }

VaultStats Vault::Stats() const { return {streams_, wires_, descriptors_, forwarded_, dropped_}; }

void Vault::Attach(Attachment attachment) {
  {
    const std::lock_guard lock(mutex_);
    attachments_.push_back(std::move(attachment));
  }
  Wake();
}

void Vault::Wake() { ::eventfd_write(wake_.get(), 1); }

void Vault::Run() {
  ::pthread_setname_np(::pthread_self(), "penstock-vault");
  epoll_event events[kEventsPerWait];
  while (!stopping_) {
    const int count = ::epoll_wait(epoll_.get(), events, kEventsPerWait, -1);
    for (int i = 0; i < count; ++i) Dispatch(events[i].data.u64);
    Flush();
  }
}

void Vault::Dispatch(uint64_t source) {
  if (source == kSourceWake) return TakeAttachments();
  if (source == kSourceEngine) {
    if (engine_ && !ReadAll(engine_.get())) Drop(engine_);
    return;
  }
  const auto worker = workers_.find(static_cast<uint32_t>(source - kSourceFirstWorker));
  if (worker == workers_.end() || ReadAll(worker->second.get())) return;
  Drop(worker->second);
  workers_.erase(worker);
}

void Vault::TakeAttachments() {
  eventfd_t ignored;
  ::eventfd_read(wake_.get(), &ignored);
  std::vector<Attachment> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(attachments_);
  }
  for (Attachment& attachment : taken) {
    if (attachment.engine) {
      TakeEngine(std::move(attachment.socket));
    } else {
      TakeWorker(attachment.worker, std::move(attachment.socket));
    }
  }
}

void Vault::TakeWorker(uint32_t index, UniqueFd socket) {
  UniqueFd& place = workers_[index];
  if (place) ReadAll(place.get());  // what a dead worker sent comes before what its successor sends
  Drop(place);
  place = std::move(socket);
  if (!Watch(EPOLL_CTL_ADD, place.get(), EPOLLIN, kSourceFirstWorker + index)) workers_.erase(index);
}

void Vault::TakeEngine(UniqueFd socket) {
  if (engine_) ReadAll(engine_.get());  // its last releases count
  Drop(engine_);
  outbox_.clear();
  engine_full_ = false;
  engine_ = std::move(socket);
  if (!Watch(EPOLL_CTL_ADD, engine_.get(), EPOLLIN, kSourceEngine)) return engine_.Reset();
  for (auto& [key, entry] : held_) {
    entry.queued = false;
    Enqueue(key, entry);
  }
}

bool Vault::ReadAll(int socket) {
  try {
    for (;;) {
      PassedMessage received;
      switch (ReceiveMessage(socket, received)) {
        case PassResult::kDone:
          Handle(received);
          break;
        case PassResult::kFault:
          ++dropped_;
          break;
        case PassResult::kWouldBlock:
          return true;
        case PassResult::kClosed:
          return false;
      }
    }
  } catch (const SystemError&) {
    ++dropped_;  // a socket that cannot be read is as good as closed
    return false;
  }
}

void Vault::Handle(PassedMessage& received) {
  const VaultMessage& message = received.message;
  switch (message.op) {
    case kVaultAdd:
    case kVaultAddWire:
      return Add(received);
    case kVaultRelease:
      return Remove(KeyOf(kVaultAdd, message.stream), message.generation);
    case kVaultReleaseWire:
      return Remove(KeyOf(kVaultAddWire, message.stream), message.generation);
  }
}

void Vault::Add(PassedMessage& received) {
  const VaultMessage& message = received.message;
  const Key key = KeyOf(message.op, message.stream);
  const auto [found, fresh] = held_.try_emplace(key);
  Entry& entry = found->second;
  if (!fresh && Older(message.generation, entry.generation)) {
    ++dropped_;
    return;
  }
  CountOf(key) += fresh ? 1 : 0;
  descriptors_ += std::popcount(message.legs) - std::popcount(entry.legs);
  entry.generation = message.generation;
  entry.legs = message.legs;
  entry.fds = std::move(received.fds);  // closes what an older generation left
  Enqueue(key, entry);
}

std::atomic<uint32_t>& Vault::CountOf(Key key) { return AddOf(key) == kVaultAddWire ? wires_ : streams_; }

void Vault::Remove(Key key, uint32_t generation) {
  const auto found = held_.find(key);
  if (found == held_.end() || found->second.generation != generation) return;
  descriptors_ -= std::popcount(found->second.legs);
  --CountOf(key);
  held_.erase(found);
}

void Vault::Enqueue(Key key, Entry& entry) {
  if (!engine_ || entry.queued) return;  // without an engine: the next one gets all that is held
  entry.queued = true;
  outbox_.push_back(key);
}

void Vault::Flush() {
  while (engine_ && !outbox_.empty()) {
    const auto found = held_.find(outbox_.front());
    if (found != held_.end() && found->second.queued) {
      const PassResult result = Forward(found->first, found->second);
      if (result == PassResult::kWouldBlock) return WatchEngineWritable(true);
      if (result != PassResult::kDone) return Drop(engine_);
      found->second.queued = false;
      ++forwarded_;
    }
    outbox_.pop_front();
  }
  if (engine_) WatchEngineWritable(false);
}

PassResult Vault::Forward(Key key, const Entry& entry) {
  int fds[kMaxPassedFds];
  size_t count = 0;
  for (const UniqueFd& fd : entry.fds) {
    if (fd) fds[count++] = fd.get();
  }
  try {
    return SendMessage(engine_.get(), {AddOf(key), SlotOf(key), entry.generation, entry.legs}, {fds, count});
  } catch (const SystemError&) {
    ++dropped_;  // an engine that cannot be written to is as good as gone; its successor gets everything
    return PassResult::kClosed;
  }
}

bool Vault::Watch(int operation, int fd, uint32_t events, uint64_t source) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = source;
  const bool watched = ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
  dropped_ += watched ? 0 : 1;
  return watched;
}

// Closing alone would not end the events where another process still shares the socket.
void Vault::Drop(UniqueFd& socket) {
  if (!socket) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.get(), nullptr);
  socket.Reset();
}

void Vault::WatchEngineWritable(bool writable) {
  if (engine_full_ == writable) return;
  engine_full_ = writable;
  Watch(EPOLL_CTL_MOD, engine_.get(), writable ? EPOLLIN | EPOLLOUT : EPOLLIN, kSourceEngine);
}

}  // namespace penstock::net

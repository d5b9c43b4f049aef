// The vault: a thread of the primary that keeps a copy of every media socket, so that
// neither a worker nor an engine that dies takes a stream's port, or its queued packets,
// with it. Workers add sockets, the engine gets them, the engine releases them.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "memory/unique_fd.h"
#include "net/fd_passing.h"

namespace penstock::net {

struct VaultStats {
  uint32_t streams;      // held now
  uint32_t wires;        // held now
  uint32_t descriptors;  // held now
  uint64_t forwarded;    // ADD messages that the engine's socket took
  // Messages that were damaged, without their descriptors, or older than what is held; unusable sockets.
  uint64_t dropped;
};

class Vault {
 public:
  Vault() = default;
  ~Vault() { Stop(); }
  Vault(const Vault&) = delete;
  Vault& operator=(const Vault&) = delete;

  // Start and Stop belong to one thread, everything else may be called from any, between them.
  void Start();  // throws SystemError
  void Stop();   // joins the thread and closes everything; idempotent

  // The vault owns `socket` from now on. A former worker socket of the same index is read
  // to its end first; what it brought stays.
  void AttachWorker(uint32_t index, memory::UniqueFd socket);

  // The engine gets all that is held, then what comes. A former engine socket is closed.
  void AttachEngine(memory::UniqueFd socket);

  VaultStats Stats() const;

 private:
  struct Entry {
    uint32_t generation = 0;
    uint32_t legs = 0;
    bool queued = false;  // waits in outbox_
    std::array<memory::UniqueFd, kMaxPassedFds> fds;
  };
  struct Attachment {
    bool engine;
    uint32_t worker;
    memory::UniqueFd socket;
  };

  // A stream or a wire: the operation that adds it, and its slot.
  using Key = uint64_t;

  void Attach(Attachment attachment);
  void Wake();

  // From here on: the vault's own thread only.
  void Run();
  void Dispatch(uint64_t source);
  void TakeAttachments();
  void TakeWorker(uint32_t index, memory::UniqueFd socket);
  void TakeEngine(memory::UniqueFd socket);
  bool ReadAll(int socket);  // false: the other end is gone
  void Handle(PassedMessage& received);
  void Add(PassedMessage& received);
  void Remove(Key key, uint32_t generation);
  std::atomic<uint32_t>& CountOf(Key key);
  void Enqueue(Key key, Entry& entry);
  void Flush();
  PassResult Forward(Key key, const Entry& entry);
  bool Watch(int operation, int fd, uint32_t events, uint64_t source);  // false: counted as dropped
  void Drop(memory::UniqueFd& socket);
  void WatchEngineWritable(bool writable);

  // Shared with the callers.
  std::mutex mutex_;
  std::vector<Attachment> attachments_;  // under mutex_
  std::atomic<bool> stopping_ = false;
  std::atomic<uint32_t> streams_ = 0;
  std::atomic<uint32_t> wires_ = 0;
  std::atomic<uint32_t> descriptors_ = 0;
  std::atomic<uint64_t> forwarded_ = 0;
  std::atomic<uint64_t> dropped_ = 0;
  memory::UniqueFd epoll_;
  memory::UniqueFd wake_;
  std::thread thread_;

  // The thread's own.
  std::map<uint32_t, memory::UniqueFd> workers_;  // by worker index
  memory::UniqueFd engine_;
  bool engine_full_ = false;  // waits for EPOLLOUT
  std::unordered_map<Key, Entry> held_;
  std::deque<Key> outbox_;  // to forward, each at most once
};

}  // namespace penstock::net

#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::bench {

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void OnReady(uint32_t events) = 0;
};

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void Add(int fd, uint32_t events, Handler& handler);
  void Change(int fd, uint32_t events, Handler& handler);
  void Remove(int fd);

  // Waits for at most `timeout_ms` and calls the handlers of what is ready.
  void Poll(int timeout_ms);

  // Deletes the handler when no event of the present turn can name it any more.
  void Dispose(std::unique_ptr<Handler> handler) { disposed_.push_back(std::move(handler)); }

 private:
  int epoll_;
  std::vector<std::unique_ptr<Handler>> disposed_;
};

}  // namespace penstock::bench

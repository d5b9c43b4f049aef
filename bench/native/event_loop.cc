#include "event_loop.h"

#include <unistd.h>

#include "sockets.h"

namespace penstock::bench {
namespace {

constexpr int kEvents = 256;

}  // namespace

EventLoop::EventLoop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw SystemError("epoll_create1");
}

EventLoop::~EventLoop() { ::close(epoll_); }

void EventLoop::Add(int fd, uint32_t events, Handler& handler) {
  epoll_event event{events, {.ptr = &handler}};
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) throw SystemError("epoll_ctl");
}

void EventLoop::Change(int fd, uint32_t events, Handler& handler) {
  epoll_event event{events, {.ptr = &handler}};
  if (::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) != 0) throw SystemError("epoll_ctl");
}

void EventLoop::Remove(int fd) { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

void EventLoop::Poll(int timeout_ms) {
  epoll_event events[kEvents];
  const int ready = ::epoll_wait(epoll_, events, kEvents, timeout_ms);
  for (int i = 0; i < ready; ++i) static_cast<Handler*>(events[i].data.ptr)->OnReady(events[i].events);
  disposed_.clear();
}

}  // namespace penstock::bench

// Event descriptors in the event loop of JavaScript. The only file that includes uv.h.
#include <sys/eventfd.h>
#include <uv.h>

#include <map>
#include <memory>
#include <stdexcept>

#include "binding/args.h"
#include "binding/functions.h"
#include "memory/system_error.h"

namespace penstock::binding {
namespace {

struct Watch {
  uv_poll_t poll{};
  int fd = -1;
  Napi::FunctionReference callback;
};

// Of this thread's event loop, by descriptor.
std::map<int, Watch*>& Watches() {
  static thread_local std::map<int, Watch*> watches;
  return watches;
}

void Call(Watch& watch) {
  Napi::Env env = watch.callback.Env();
  const Napi::HandleScope scope(env);
  try {
    watch.callback.MakeCallback(env.Global(), {});
  } catch (const Napi::Error& error) {
    ::napi_fatal_exception(env, error.Value());  // as any callback of an event loop that throws
  }
}

void OnReadable(uv_poll_t* poll, int status, int) {
  auto& watch = *static_cast<Watch*>(poll->data);
  eventfd_t count;
  if (status == 0 && ::eventfd_read(watch.fd, &count) == 0) Call(watch);
}

// The loop goes on using the handle until it says otherwise.
void Close(Watch* watch) {
  watch->callback.Reset();
  ::uv_close(reinterpret_cast<uv_handle_t*>(&watch->poll),
             [](uv_handle_t* handle) { delete static_cast<Watch*>(handle->data); });
}

void CloseAll(void*) {
  for (const auto& [fd, watch] : Watches()) Close(watch);
  Watches().clear();
}

uv_loop_t* LoopOf(Napi::Env env) {
  uv_loop_t* loop = nullptr;
  if (::napi_get_uv_event_loop(env, &loop) != napi_ok) throw std::runtime_error("no event loop");
  return loop;
}

void Check(int error, const char* call) {
  if (error != 0) throw memory::SystemError(call, "", -error);
}

}  // namespace

Napi::Value WatchWake(const Napi::CallbackInfo& info) {
  const int fd = args::Fd(info[0], "eventFd");
  if (!info[1].IsFunction()) throw std::invalid_argument("callback must be a function");
  if (Watches().contains(fd)) throw std::invalid_argument("eventFd is watched already");
  auto watch = std::make_unique<Watch>();
  watch->fd = fd;
  watch->poll.data = watch.get();
  Check(::uv_poll_init(LoopOf(info.Env()), &watch->poll, fd), "uv_poll_init");
  Watch* const held = watch.release();
  if (Watches().empty()) ::napi_add_env_cleanup_hook(info.Env(), CloseAll, nullptr);
  Watches()[fd] = held;
  held->callback = Napi::Persistent(info[1].As<Napi::Function>());
  ::uv_unref(reinterpret_cast<uv_handle_t*>(&held->poll));
  Check(::uv_poll_start(&held->poll, UV_READABLE, OnReadable), "uv_poll_start");
  return info.Env().Undefined();
}

Napi::Value UnwatchWake(const Napi::CallbackInfo& info) {
  const auto found = Watches().find(args::Fd(info[0], "eventFd"));
  if (found == Watches().end()) return info.Env().Undefined();
  Close(found->second);
  Watches().erase(found);
  if (Watches().empty()) ::napi_remove_env_cleanup_hook(info.Env(), CloseAll, nullptr);
  return info.Env().Undefined();
}

}  // namespace penstock::binding

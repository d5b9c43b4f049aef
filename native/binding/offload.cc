#include "offload/holder.h"

#include <memory>
#include <mutex>
#include <stdexcept>

#include "binding/functions.h"
#include "binding/process_region.h"

namespace penstock::binding {
namespace {

struct ProcessHolder {
  std::mutex mutex;
  std::unique_ptr<offload::Holder> holder;
};

ProcessHolder& State() {
  static ProcessHolder* const state = new ProcessHolder;
  return *state;
}

const char* NameOf(offload::InterfaceNews::Kind kind) {
  switch (kind) {
    case offload::InterfaceNews::kAttached: return "attached";
    case offload::InterfaceNews::kLost: return "lost";
    default: return "refused";
  }
}

Napi::Object ToJs(Napi::Env env, const offload::InterfaceNews& news) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("kind", NameOf(news.kind));
  out.Set("interface", news.interface);
  out.Set("reason", news.reason);
  return out;
}

}  // namespace

Napi::Value OffloadStart(const Napi::CallbackInfo& info) {
  const table::Region& region = MappedRegion().region;
  ProcessHolder& state = State();
  const std::lock_guard lock(state.mutex);
  if (state.holder) throw std::runtime_error("offload is started already");
  state.holder = std::make_unique<offload::Holder>(region);
  const offload::MapFds fds = state.holder->fds();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("flowsFd", fds.flows);
  result.Set("cellsFd", fds.cells);
  result.Set("interfacesFd", fds.interfaces);
  return result;
}

Napi::Value OffloadTend(const Napi::CallbackInfo& info) {
  ProcessHolder& state = State();
  const std::lock_guard lock(state.mutex);
  Napi::Array list = Napi::Array::New(info.Env());
  if (!state.holder) return list;
  for (const offload::InterfaceNews& news : state.holder->Tend()) list.Set(list.Length(), ToJs(info.Env(), news));
  return list;
}

Napi::Value OffloadStop(const Napi::CallbackInfo& info) {
  ProcessHolder& state = State();
  const std::lock_guard lock(state.mutex);
  state.holder.reset();
  return info.Env().Undefined();
}

}  // namespace penstock::binding

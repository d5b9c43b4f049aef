// The functions of the addon, as src/engine/binding.ts types and documents them.
#pragma once

#include <napi.h>

namespace penstock::binding {

Napi::Object Layout(Napi::Env env);  // layout.cc

Napi::Value CreateRegion(const Napi::CallbackInfo& info);  // region.cc
Napi::Value MapRegion(const Napi::CallbackInfo& info);
Napi::Value CommandPush(const Napi::CallbackInfo& info);
Napi::Value MonotonicMs(const Napi::CallbackInfo& info);

Napi::Value RaiseFileLimit(const Napi::CallbackInfo& info);  // sockets.cc
Napi::Value ListenTcp(const Napi::CallbackInfo& info);
Napi::Value BindUdp(const Napi::CallbackInfo& info);
Napi::Value DupFd(const Napi::CallbackInfo& info);
Napi::Value CloseFd(const Napi::CallbackInfo& info);
Napi::Value SocketPair(const Napi::CallbackInfo& info);
Napi::Value StreamPair(const Napi::CallbackInfo& info);
Napi::Value EventFd(const Napi::CallbackInfo& info);
Napi::Value Wake(const Napi::CallbackInfo& info);
Napi::Value SendUnixDatagram(const Napi::CallbackInfo& info);

Napi::Value VaultStart(const Napi::CallbackInfo& info);  // vault.cc
Napi::Value VaultAttachWorker(const Napi::CallbackInfo& info);
Napi::Value VaultAttachEngine(const Napi::CallbackInfo& info);
Napi::Value VaultStats(const Napi::CallbackInfo& info);
Napi::Value VaultStop(const Napi::CallbackInfo& info);
Napi::Value HandOver(const Napi::CallbackInfo& info);
Napi::Value HandOverWire(const Napi::CallbackInfo& info);

Napi::Value OutboxPush(const Napi::CallbackInfo& info);  // wire_rings.cc
Napi::Value InboxRead(const Napi::CallbackInfo& info);

Napi::Value WatchWake(const Napi::CallbackInfo& info);  // wake_watch.cc
Napi::Value UnwatchWake(const Napi::CallbackInfo& info);

Napi::Value OffloadStart(const Napi::CallbackInfo& info);  // offload.cc
Napi::Value OffloadTend(const Napi::CallbackInfo& info);
Napi::Value OffloadStop(const Napi::CallbackInfo& info);

Napi::Value EngineStart(const Napi::CallbackInfo& info);  // engine.cc
Napi::Value EngineStop(const Napi::CallbackInfo& info);

Napi::Value Probe(const Napi::CallbackInfo& info);  // probe.cc

}  // namespace penstock::binding

#include <napi.h>

#include "binding/errors.h"
#include "binding/functions.h"

namespace penstock::binding {
namespace {

template <Callback kFunction>
void Export(Napi::Object& exports, const char* name) {
  exports.Set(name, Napi::Function::New<Guarded<kFunction>>(exports.Env(), name));
}

// May run in several threads of a process: nothing of JavaScript is kept outside of `exports`.
Napi::Object Load(Napi::Env env, Napi::Object exports) {
  exports.Set("layout", Layout(env));
  Export<CreateRegion>(exports, "createRegion");
  Export<MapRegion>(exports, "mapRegion");
  Export<CommandPush>(exports, "commandPush");
  Export<MonotonicMs>(exports, "monotonicMs");
  Export<RaiseFileLimit>(exports, "raiseFileLimit");
  Export<ListenTcp>(exports, "listenTcp");
  Export<BindUdp>(exports, "bindUdp");
  Export<DupFd>(exports, "dupFd");
  Export<CloseFd>(exports, "closeFd");
  Export<SocketPair>(exports, "socketPair");
  Export<StreamPair>(exports, "streamPair");
  Export<EventFd>(exports, "eventFd");
  Export<Wake>(exports, "wake");
  Export<SendUnixDatagram>(exports, "sendUnixDatagram");
  Export<VaultStart>(exports, "vaultStart");
  Export<VaultAttachWorker>(exports, "vaultAttachWorker");
  Export<VaultAttachEngine>(exports, "vaultAttachEngine");
  Export<VaultStats>(exports, "vaultStats");
  Export<VaultStop>(exports, "vaultStop");
  Export<HandOver>(exports, "handOver");
  Export<HandOverWire>(exports, "handOverWire");
  Export<OutboxPush>(exports, "outboxPush");
  Export<InboxRead>(exports, "inboxRead");
  Export<WatchWake>(exports, "watchWake");
  Export<UnwatchWake>(exports, "unwatchWake");
  Export<OffloadStart>(exports, "offloadStart");
  Export<OffloadTend>(exports, "offloadTend");
  Export<OffloadStop>(exports, "offloadStop");
  Export<EngineStart>(exports, "engineStart");
  Export<EngineStop>(exports, "engineStop");
  Export<Probe>(exports, "probe");
  return exports;
}

NODE_API_MODULE(penstock, Load)

}  // namespace
}  // namespace penstock::binding

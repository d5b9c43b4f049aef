#include "net/offload_probe.h"

#include "binding/functions.h"
#include "memory/file_limit.h"
#include "net/machine.h"
#include "offload/bpf.h"

namespace penstock::binding {
namespace {

Napi::Object FileLimit(Napi::Env env) {
  const memory::FileLimit limit = memory::GetFileLimit();
  Napi::Object result = Napi::Object::New(env);
  result.Set("soft", static_cast<double>(limit.soft));
  result.Set("hard", static_cast<double>(limit.hard));
  return result;
}

Napi::Value EphemeralPorts(Napi::Env env) {
  const auto range = net::EphemeralPortRange();
  if (!range) return env.Null();
  Napi::Object result = Napi::Object::New(env);
  result.Set("min", range->min);
  result.Set("max", range->max);
  return result;
}

Napi::Value Capabilities(Napi::Env env) {
  const auto capabilities = net::EffectiveCapabilities();
  if (!capabilities) return env.Null();
  Napi::Object result = Napi::Object::New(env);
  result.Set("netBindService", capabilities->net_bind_service);
  result.Set("netAdmin", capabilities->net_admin);
  result.Set("bpf", capabilities->bpf);
  return result;
}

}  // namespace

Napi::Value Probe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  result.Set("gso", net::ProbeGso());
  result.Set("gro", net::ProbeGro());
  result.Set("offload", offload::ProbeOffload());
  result.Set("sealedMemfd", net::ProbeSealedMemfd());
  result.Set("rmemMax", static_cast<double>(net::ReceiveBufferMax().value_or(0)));
  result.Set("fileLimit", FileLimit(env));
  result.Set("ephemeralPorts", EphemeralPorts(env));
  result.Set("capabilities", Capabilities(env));
  return result;
}

}  // namespace penstock::binding

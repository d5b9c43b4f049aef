// The only file that uses V8 itself: Node-API cannot make a SharedArrayBuffer, and an
// external ArrayBuffer will not do (postMessage copies it, Atomics.wait refuses it).
// A new major version of Node puts at most this file at risk.
#include "binding/shared_array_buffer.h"

#include <v8.h>

#include <cstring>

namespace penstock::binding {
namespace {

// The mapping is never unmapped, so nothing is left to do when the last buffer over it is gone.
void KeepMapping(void*, size_t, void*) {}

// A napi_value is a v8::Local<v8::Value> under another name; Node's own js_native_api_v8.h converts alike.
napi_value ToNapi(v8::Local<v8::Value> local) {
  static_assert(sizeof(local) == sizeof(napi_value));
  napi_value value;
  std::memcpy(&value, &local, sizeof(value));
  return value;
}

}  // namespace

Napi::Value NewSharedArrayBuffer(Napi::Env env, const memory::Mapping& mapping) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  auto store = v8::SharedArrayBuffer::NewBackingStore(mapping.base(), mapping.bytes(), KeepMapping, nullptr);
  const auto buffer = v8::SharedArrayBuffer::New(isolate, std::move(store));
  return Napi::Value(env, ToNapi(buffer));
}

}  // namespace penstock::binding

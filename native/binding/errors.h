// Native exceptions as JavaScript errors.
#pragma once

#include <napi.h>

namespace penstock::binding {

// Throws the exception that is being handled as a Napi::Error: SystemError with `.code`, `.errno` and
// `.syscall`, invalid_argument as TypeError, out_of_range as RangeError, others as Error.
[[noreturn]] void Rethrow(Napi::Env env);

using Callback = Napi::Value (*)(const Napi::CallbackInfo&);

template <Callback kFunction>
Napi::Value Guarded(const Napi::CallbackInfo& info) {
  try {
    return kFunction(info);
  } catch (...) {
    Rethrow(info.Env());
  }
}

}  // namespace penstock::binding

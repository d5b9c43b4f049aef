#pragma once

#include <napi.h>

#include "memory/memfd.h"

namespace penstock::binding {

// A SharedArrayBuffer over the mapping, without a copy. The mapping must live as long as the process.
Napi::Value NewSharedArrayBuffer(Napi::Env env, const memory::Mapping& mapping);

}  // namespace penstock::binding

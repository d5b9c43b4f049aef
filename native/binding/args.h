// Argument checks: every function of the addon reads its arguments through these before
// it does anything. Messages name the argument, what was expected and what came.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::binding::args {

// An integer in [min, max]. TypeError for anything but a number, RangeError otherwise.
int64_t Integer(const Napi::Value& value, const char* name, int64_t min, int64_t max);

uint32_t Uint32(const Napi::Value& value, const char* name, uint32_t min = 0, uint32_t max = UINT32_MAX);
uint16_t Port(const Napi::Value& value, const char* name);
int Fd(const Napi::Value& value, const char* name);
bool Bool(const Napi::Value& value, const char* name);
bool OptionalBool(const Napi::Value& value, const char* name, bool fallback);
std::string Text(const Napi::Value& value, const char* name);
Napi::Object Object(const Napi::Value& value, const char* name);
std::vector<int> Fds(const Napi::Value& value, const char* name, size_t max);

}  // namespace penstock::binding::args

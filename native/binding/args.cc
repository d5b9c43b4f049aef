#include "binding/args.h"

#include <climits>
#include <cmath>

namespace penstock::binding::args {
namespace {

std::string Shown(const Napi::Value& value) {
  const std::string text = value.IsSymbol() ? "a symbol" : value.ToString().Utf8Value();
  return value.IsString() ? "'" + text + "'" : text;
}

[[noreturn]] void WrongType(const Napi::Value& value, const char* name, const char* expected) {
  throw Napi::TypeError::New(value.Env(), std::string(name) + " must be " + expected + ", got " + Shown(value));
}

}  // namespace

int64_t Integer(const Napi::Value& value, const char* name, int64_t min, int64_t max) {
  const std::string expected = "an integer " + std::to_string(min) + "…" + std::to_string(max);
  if (!value.IsNumber()) WrongType(value, name, expected.c_str());
  const double number = value.As<Napi::Number>().DoubleValue();
  if (std::trunc(number) == number && number >= static_cast<double>(min) && number <= static_cast<double>(max)) {
    return static_cast<int64_t>(number);
  }
  throw Napi::RangeError::New(value.Env(), std::string(name) + " must be " + expected + ", got " + Shown(value));
}

uint32_t Uint32(const Napi::Value& value, const char* name, uint32_t min, uint32_t max) {
  return static_cast<uint32_t>(Integer(value, name, min, max));
}

uint16_t Port(const Napi::Value& value, const char* name) {
  return static_cast<uint16_t>(Integer(value, name, 0, UINT16_MAX));
}

int Fd(const Napi::Value& value, const char* name) { return static_cast<int>(Integer(value, name, 0, INT_MAX)); }

bool Bool(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) WrongType(value, name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

bool OptionalBool(const Napi::Value& value, const char* name, bool fallback) {
  return value.IsUndefined() ? fallback : Bool(value, name);
}

std::string Text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) WrongType(value, name, "a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object Object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) WrongType(value, name, "an object");
  return value.As<Napi::Object>();
}

std::vector<int> Fds(const Napi::Value& value, const char* name, size_t max) {
  if (!value.IsArray()) WrongType(value, name, "an array of descriptors");
  const auto array = value.As<Napi::Array>();
  if (array.Length() > max) {
    throw Napi::RangeError::New(value.Env(), std::string(name) + " must hold " + std::to_string(max) +
                                                 " descriptors at most, got " + std::to_string(array.Length()));
  }
  std::vector<int> fds;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    fds.push_back(Fd(array.Get(i), (std::string(name) + "[" + std::to_string(i) + "]").c_str()));
  }
  return fds;
}

}  // namespace penstock::binding::args

#include "binding/errors.h"

#include <stdexcept>

#include "memory/system_error.h"

namespace penstock::binding {
namespace {

Napi::Error FromSystem(Napi::Env env, const memory::SystemError& failure) {
  Napi::Error error = Napi::Error::New(env, failure.what());
  Napi::Object fields = error.Value();
  fields.Set("code", failure.code());
  fields.Set("errno", -failure.error());  // negative, as Node's own errors have it
  fields.Set("syscall", failure.syscall());
  return error;
}

}  // namespace

void Rethrow(Napi::Env env) {
  try {
    throw;
  } catch (const Napi::Error&) {
    throw;
  } catch (const memory::SystemError& failure) {
    throw FromSystem(env, failure);
  } catch (const std::invalid_argument& failure) {
    throw Napi::TypeError::New(env, failure.what());
  } catch (const std::out_of_range& failure) {
    throw Napi::RangeError::New(env, failure.what());
  } catch (const std::exception& failure) {
    throw Napi::Error::New(env, failure.what());
  }
}

}  // namespace penstock::binding

// One fuzz target: FUZZ_TARGET(name) { … input … } in a file of its own. Each file becomes an
// executable for libFuzzer (or for driver.cc where the compiler has none), and all of them run
// for a moment in the native tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::fuzz {

using Input = std::span<const uint8_t>;

struct Target {
  const char* name;
  void (*run)(Input);
};

inline std::vector<Target>& Targets() {
  static std::vector<Target> targets;
  return targets;
}

struct Registrar {
  Registrar(const char* name, void (*run)(Input)) { Targets().push_back({name, run}); }
};

// A wrong result counts like a crash: the fuzzer keeps the input.
inline void Require(bool condition) {
  if (!condition) std::abort();
}

// A copy of exactly its size, so that a sanitizer sees any byte read or written beside it.
class Copy {
 public:
  explicit Copy(Input input) : size_(input.size()), bytes_(new uint8_t[input.size()]) {
    if (size_ != 0) std::memcpy(bytes_.get(), input.data(), size_);
  }
  std::span<uint8_t> span() { return {bytes_.get(), size_}; }

 private:
  size_t size_;
  std::unique_ptr<uint8_t[]> bytes_;
};

// Takes values off the front of an input; zeros when it is used up.
class Reader {
 public:
  explicit Reader(Input input) : rest_(input) {}
  uint8_t Byte() { return static_cast<uint8_t>(Number(1)); }
  uint16_t Short() { return static_cast<uint16_t>(Number(2)); }
  uint32_t Word() { return Number(4); }
  bool empty() const { return rest_.empty(); }
  Input rest() const { return rest_; }

 private:
  uint32_t Number(int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      value = value << 8 | (rest_.empty() ? 0u : rest_.front());
      if (!rest_.empty()) rest_ = rest_.subspan(1);
    }
    return value;
  }
  Input rest_;
};

}  // namespace penstock::fuzz

#ifdef PENSTOCK_FUZZ_ENTRY
#define FUZZ_ENTRY(name)                                                       \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {    \
    Fuzz_##name({data, size});                                                 \
    return 0;                                                                  \
  }
#else
#define FUZZ_ENTRY(name)
#endif

#define FUZZ_TARGET(name)                                                             \
  static void Fuzz_##name(::penstock::fuzz::Input input);                             \
  static const ::penstock::fuzz::Registrar registrar_##name(#name, &Fuzz_##name);     \
  FUZZ_ENTRY(name)                                                                    \
  static void Fuzz_##name([[maybe_unused]] ::penstock::fuzz::Input input)

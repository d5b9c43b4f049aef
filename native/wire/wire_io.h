// The bytes of wires: looked at where they lie in the kernel's buffer, sent, and only then thrown
// away there. What was done to a wire is noted in its ledger before the kernel forgets it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "wire/wire.h"

namespace penstock::wire {

// Where an engine may die; tests stop it there.
enum class Step : uint8_t { kIntended, kSent, kSinkNoted, kSourceNoted, kDiscarded, kMessageSent, kMessageNoted };
using StepHook = std::function<void(Step)>;

inline constexpr size_t kScratch = 256 * 1024;  // most that is looked at in one turn of a wire

struct IoResult {
  size_t bytes;
  int error;  // 0 = fine, EAGAIN = not now
};

class WireIo {
 public:
  explicit WireIo(const StepHook* hook) : hook_(hook), scratch_(std::make_unique<uint8_t[]>(kScratch)) {}

  // What lies at the head of the wire, valid until the next Peek. No bytes and no error: the peer's FIN.
  IoResult Peek(const Wire& wire, std::span<uint8_t>& bytes);
  IoResult Send(const Wire& wire, std::span<const uint8_t> bytes);
  // Throws away what the ledger says is dealt with. False where the kernel does not have it.
  bool Discard(Wire& wire);
  // Throws away whatever is there. No error: the peer's FIN.
  IoResult Drain(const Wire& wire);

  void At(Step step) {
    if (hook_ != nullptr) (*hook_)(step);
  }

 private:
  const StepHook* hook_;
  std::unique_ptr<uint8_t[]> scratch_;
};

}  // namespace penstock::wire

// Small changes to an input, and mixtures of two. Enough for where no libFuzzer is at hand.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <vector>

namespace penstock::fuzz {

class Mutator {
 public:
  using Bytes = std::vector<uint8_t>;
  static constexpr size_t kLongest = 4096;

  explicit Mutator(uint32_t seed) : random_(seed) {}

  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  Bytes Mutate(Bytes bytes, const Bytes& other) {
    for (size_t changes = 1 + Below(4); changes > 0; --changes) Change(bytes, other);
    if (bytes.size() > kLongest) bytes.resize(kLongest);
    return bytes;
  }

 private:
  void Change(Bytes& bytes, const Bytes& other) {
    static constexpr std::array<uint8_t, 10> kOdd = {0, 1, 2, 0x7f, 0x80, 0x81, 0xc8, 0xc9, 0xfe, 0xff};
    const size_t at = Below(bytes.size() + 1);
    switch (Below(7)) {
      case 0:
        if (at < bytes.size()) bytes[at] ^= static_cast<uint8_t>(1u << Below(8));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = kOdd[Below(kOdd.size())];
        break;
      case 2:
        if (at < bytes.size()) bytes[at] = static_cast<uint8_t>(random_());
        break;
      case 3: bytes.resize(at); break;
      case 4: bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), Below(16), static_cast<uint8_t>(random_())); break;
      case 5: bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at), Till(bytes, at)); break;
      case 6: {
        const size_t from = Below(other.size());
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), other.begin() + static_cast<ptrdiff_t>(from), other.end());
        break;
      }
    }
  }

  Bytes::iterator Till(Bytes& bytes, size_t at) {
    return bytes.begin() + static_cast<ptrdiff_t>(std::min(bytes.size(), at + Below(16)));
  }

  std::mt19937 random_;
};

}  // namespace penstock::fuzz

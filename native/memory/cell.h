// Cells of the region: written by one thread, read by other processes at any time.
// Relaxed atomics cost what plain accesses cost and make each cell whole to its readers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace penstock::memory {

template <typename T>
T Load(const T& cell) {
  return std::atomic_ref<T>(const_cast<T&>(cell)).load(std::memory_order_relaxed);
}

template <typename T>
T LoadAcquire(const T& cell) {
  return std::atomic_ref<T>(const_cast<T&>(cell)).load(std::memory_order_acquire);
}

template <typename T>
void Store(T& cell, std::type_identity_t<T> value) {
  std::atomic_ref<T>(cell).store(value, std::memory_order_relaxed);
}

template <typename T>
void StoreRelease(T& cell, std::type_identity_t<T> value) {
  std::atomic_ref<T>(cell).store(value, std::memory_order_release);
}

// For the cell's only writer.
template <typename T>
void Add(T& cell, std::type_identity_t<T> amount) {
  Store(cell, static_cast<T>(Load(cell) + amount));
}

// Copies whole 8-byte words; both sides 8-byte aligned, `bytes` a multiple of 8. What was
// stored before is seen before the copy, and what is loaded afterwards is loaded after it,
// which is what a row's sequence number needs; no fences, as thread sanitizers know none.
inline void CopyWords(void* to, const void* from, size_t bytes) {
  auto* out = static_cast<uint64_t*>(to);
  const auto* in = static_cast<const uint64_t*>(from);
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) StoreRelease(out[i], LoadAcquire(in[i]));
}

}  // namespace penstock::memory

// Single-producer, single-consumer rings in the region. Producer and consumer are
// usually two processes, and either may die at any instruction and have a successor
// that goes on with the same header: a slot counts only after `head` was published.
#pragma once

#include <atomic>
#include <cstdint>

#include "table/region_layout.h"

namespace penstock::table {

template <typename Slot>
class Ring {
 public:
  // `slots` is a power of two. The memory must outlive the ring; the ring owns nothing.
  Ring(RingHeader* header, Slot* first, uint32_t slots) : header_(header), first_(first), slots_(slots) {}

  // Producer only. False when the ring is full: nothing was written, `dropped` went up.
  bool Push(const Slot& value) {
    const uint32_t head = Word(header_->head).load(std::memory_order_relaxed);
    const uint32_t tail = Word(header_->tail).load(std::memory_order_acquire);
    if (head - tail >= slots_) {
      auto dropped = Word(header_->dropped);
      dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return false;
    }
    first_[head & (slots_ - 1)] = value;
    Word(header_->head).store(head + 1, std::memory_order_release);
    return true;
  }

  // Consumer only. False when the ring is empty.
  bool Pop(Slot& out) {
    uint32_t tail = Word(header_->tail).load(std::memory_order_relaxed);
    const uint32_t head = Word(header_->head).load(std::memory_order_acquire);
    // More waiting than fits means that the header was damaged: what it counts is not there to be read.
    if (head - tail > slots_) tail = head;
    const bool found = tail != head;
    if (found) out = first_[tail & (slots_ - 1)];
    Word(header_->tail).store(found ? tail + 1 : tail, std::memory_order_release);
    return found;
  }

  // Any process; a snapshot.
  uint32_t size() const {
    const uint32_t tail = Word(header_->tail).load(std::memory_order_acquire);
    return Word(header_->head).load(std::memory_order_acquire) - tail;
  }
  uint32_t dropped() const { return Word(header_->dropped).load(std::memory_order_relaxed); }
  uint32_t slots() const { return slots_; }

 private:
  static std::atomic_ref<uint32_t> Word(uint32_t& cell) { return std::atomic_ref<uint32_t>(cell); }

  RingHeader* header_;
  Slot* first_;
  uint32_t slots_;
};

using CommandRing = Ring<Command>;
using EventRing = Ring<Event>;

}  // namespace penstock::table

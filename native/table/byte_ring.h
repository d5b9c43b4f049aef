// Single-producer, single-consumer rings of records of any size (see WireRecord). As with the
// rings of slots, either side may die at any instruction and have a successor: a record counts
// only after `head` was published, and is only gone after `tail` was.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "table/region_layout.h"

namespace penstock::table {

class ByteRing {
 public:
  // `bytes` is a power of two. The memory must outlive the ring; the ring owns nothing.
  ByteRing(RingHeader* header, uint8_t* first, uint32_t bytes) : header_(header), first_(first), bytes_(bytes) {}

  // The largest payload: a record of it fits wherever the ring stands, once it is empty.
  uint32_t max_payload() const { return bytes_ / 2 - sizeof(WireRecord); }

  // Producer only. Sets record.bytes. False when there is no room: nothing was written.
  bool Push(WireRecord record, std::span<const uint8_t> payload) {
    if (payload.size() > max_payload()) return false;
    const uint32_t size = RecordBytes(static_cast<uint32_t>(payload.size()));
    uint32_t head = Word(header_->head).load(std::memory_order_relaxed);
    const uint32_t tail = Word(header_->tail).load(std::memory_order_acquire);
    const uint32_t to_end = bytes_ - (head & (bytes_ - 1));
    const uint32_t pad = to_end < size ? to_end : 0;
    if (head - tail > bytes_ || bytes_ - (head - tail) < size + pad) return false;
    if (pad != 0) {
      Pad(head, pad);
      head += pad;
    }
    record.bytes = static_cast<uint32_t>(payload.size());
    uint8_t* at = first_ + (head & (bytes_ - 1));
    std::memcpy(at, &record, sizeof(record));
    if (!payload.empty()) std::memcpy(at + sizeof(record), payload.data(), payload.size());
    Word(header_->head).store(head + size, std::memory_order_release);
    return true;
  }

  // Consumer only. The payload lies in the ring and is valid until Pop. False when the ring is empty.
  bool Peek(WireRecord& record, std::span<const uint8_t>& payload) {
    for (;;) {
      const uint32_t tail = Word(header_->tail).load(std::memory_order_relaxed);
      const uint32_t waiting = Word(header_->head).load(std::memory_order_acquire) - tail;
      if (waiting == 0) return false;
      const uint32_t to_end = bytes_ - (tail & (bytes_ - 1));
      const uint8_t* at = first_ + (tail & (bytes_ - 1));
      const bool padded = to_end < sizeof(WireRecord);
      if (!padded) std::memcpy(&record, at, sizeof(record));
      const bool pad = padded || record.kind == kRecordPad;
      size_ = pad ? to_end : RecordBytes(record.bytes);
      // Damaged: what it counts is not there to be read.
      if (waiting > bytes_ || tail % kAlign != 0 || size_ > waiting || size_ > to_end) {
        Word(header_->tail).store(tail + waiting, std::memory_order_release);
        return false;
      }
      if (!pad) {
        payload = {at + sizeof(WireRecord), record.bytes};
        return true;
      }
      Pop();
    }
  }
  // Consumer only: done with what Peek gave.
  void Pop() {
    auto tail = Word(header_->tail);
    tail.store(tail.load(std::memory_order_relaxed) + size_, std::memory_order_release);
  }

  // Any process; a snapshot.
  bool empty() const {
    return Word(header_->head).load(std::memory_order_acquire) == Word(header_->tail).load(std::memory_order_acquire);
  }

 private:
  static constexpr uint32_t kAlign = 8;

  static std::atomic_ref<uint32_t> Word(uint32_t& cell) { return std::atomic_ref<uint32_t>(cell); }
  // A length beyond all sense stays so: it must not wrap into one that fits.
  static uint32_t RecordBytes(uint32_t payload) {
    const uint64_t size = (sizeof(WireRecord) + uint64_t{payload} + kAlign - 1) & ~uint64_t{kAlign - 1};
    return size > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(size);
  }

  void Pad(uint32_t head, uint32_t bytes) {
    if (bytes < sizeof(WireRecord)) return;  // too short for a record, which says it already
    WireRecord pad{};
    pad.kind = kRecordPad;
    std::memcpy(first_ + (head & (bytes_ - 1)), &pad, sizeof(pad));
  }

  RingHeader* header_;
  uint8_t* first_;
  uint32_t bytes_;
  uint32_t size_ = 0;  // of the record that Peek gave
};

}  // namespace penstock::table

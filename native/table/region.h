// The region as C++ sees it: sizing, initialisation, and range-checked access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "counters/counters.h"
#include "table/byte_ring.h"
#include "table/region_layout.h"
#include "table/ring.h"

namespace penstock::table {

inline constexpr uint32_t kMinRingSlots = 8;  // fewer would break the 64-byte stride of event rings
inline constexpr uint32_t kMaxRingSlots = 1u << 16;
inline constexpr uint32_t kMaxRowsPerWorker = 1u << 20;
inline constexpr uint32_t kMinWireRing = 4096;  // messages of up to half of it pass
inline constexpr uint32_t kMaxWireRing = 1u << 24;
inline constexpr uint64_t kMaxRegionBytes = 4ull << 30;

struct RegionSpec {
  uint32_t workers = 1;
  uint32_t engine_threads = 1;
  uint32_t services = 1;
  uint32_t sessions_per_worker = 1;
  uint32_t streams_per_worker = 1;
  uint32_t ring_slots = kMinRingSlots;  // a power of two
  uint32_t quarantine_ms = 0;
  uint32_t wires_per_worker = 1;
  uint32_t wire_ring_bytes = kMinWireRing;  // a power of two
  uint32_t interleaved_backlog = 1u << 20;
  Overflow interleaved_overflow = kOverflowDropFrames;
  uint32_t message_deadline_ms = 10'000;
};

// Fills every field of a header: counts, part offsets (each a multiple of 64) and the size.
// Throws std::out_of_range that names the field and the accepted values.
RegionHeader PlanRegion(const RegionSpec& spec);

// Writes the header into a zeroed mapping of at least `plan.size` bytes.
// The magic goes last, so that a half-written region is never taken for a whole one.
void InitialiseRegion(void* base, const RegionHeader& plan);

// A view of a mapped region; owns nothing, copies freely. The geometry is copied at
// construction: a header that is damaged later cannot lead any access out of the mapping.
// Any index out of range gives nullptr (or an empty span), never a wrong row.
class Region {
 public:
  // Throws std::invalid_argument where the mapping is not a region of this layout version.
  Region(void* base, size_t bytes);

  const RegionHeader& geometry() const { return plan_; }
  uint32_t workers() const { return plan_.workers; }
  uint32_t engine_threads() const { return plan_.engine_threads; }
  uint32_t services() const { return plan_.services; }
  uint32_t sessions() const { return plan_.workers * plan_.sessions_per_worker; }
  uint32_t streams() const { return plan_.workers * plan_.streams_per_worker; }
  uint32_t wires() const { return plan_.workers * plan_.wires_per_worker; }
  // Live: the primary may change them.
  uint32_t quarantine_ms() const;
  uint32_t interleaved_backlog() const;
  Overflow interleaved_overflow() const;
  uint32_t message_deadline_ms() const;

  // Whose slice a stream is in, and which engine thread relays it. `stream` must be in range.
  uint32_t WorkerOfStream(uint32_t stream) const { return stream / plan_.streams_per_worker; }
  uint32_t ThreadOfStream(uint32_t stream) const { return stream % plan_.engine_threads; }
  uint32_t WorkerOfWire(uint32_t wire) const { return wire / plan_.wires_per_worker; }
  uint32_t ThreadOfWire(uint32_t wire) const;  // as its row says; any thread for a slot out of range

  RegionHeader* header() const { return At<RegionHeader>(0); }  // live
  ProcessSlot* Process(uint32_t slot) const;                    // 0 primary, 1 engine, 2+i worker i
  ServiceCell* Service(uint32_t service) const;
  LoadCell* Load(uint32_t service, uint32_t worker) const;
  ClientCell* Client(uint32_t bucket, uint32_t worker) const;  // kClientBuckets = everybody
  SessionEntry* Session(uint32_t session) const;
  StreamEntry* Stream(uint32_t stream) const;
  WireEntry* Wire(uint32_t wire) const;
  std::span<uint32_t> Index(uint32_t worker) const;  // the hash index of a session slice
  counters::CounterBlock* Counters(uint32_t thread) const;

  // Throw std::out_of_range; taken once at start, never per packet.
  CommandRing Commands(uint32_t worker, uint32_t thread) const;
  EventRing Events(uint32_t worker, uint32_t thread) const;
  ByteRing Inbox(uint32_t worker, uint32_t thread) const;
  ByteRing Outbox(uint32_t worker, uint32_t thread) const;

 private:
  template <typename T>
  T* At(uint64_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }
  template <typename T>
  T* Row(uint64_t part, uint64_t index, uint64_t count) const {
    return index < count ? At<T>(part + index * sizeof(T)) : nullptr;
  }
  template <typename Slot>
  Ring<Slot> RingAt(uint64_t part, uint32_t worker, uint32_t thread) const;
  ByteRing ByteRingAt(uint64_t part, uint32_t worker, uint32_t thread) const;

  std::byte* base_;
  RegionHeader plan_;
};

}  // namespace penstock::table

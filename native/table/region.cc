#include "table/region.h"

#include <atomic>
#include <bit>
#include <ctime>
#include <random>
#include <stdexcept>
#include <string>

namespace penstock::table {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint32_t kFixedProcesses = 2;  // primary and engine, before the workers

constexpr uint64_t AlignUp(uint64_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

template <typename Slot>
constexpr uint64_t RingBytes(uint32_t slots) {
  return sizeof(RingHeader) + uint64_t{slots} * sizeof(Slot);
}
constexpr uint64_t ByteRingBytes(uint32_t bytes) { return sizeof(RingHeader) + uint64_t{bytes}; }
static_assert(RingBytes<Command>(kMinRingSlots) % kAlignment == 0 && RingBytes<Event>(kMinRingSlots) % kAlignment == 0);
static_assert(sizeof(SessionEntry) % kAlignment == 0 && sizeof(StreamEntry) % kAlignment == 0);
static_assert(sizeof(counters::CounterBlock) % kAlignment == 0);
static_assert(sizeof(WireEntry) % kAlignment == 0 && kMinWireRing % kAlignment == 0);
static_assert(sizeof(LoadCell) % kAlignment == 0 && sizeof(ProcessSlot) % kAlignment == 0);

void Expect(const char* field, uint64_t value, uint64_t min, uint64_t max) {
  if (value >= min && value <= max) return;
  throw std::out_of_range(std::string(field) + " must be " + std::to_string(min) + "…" + std::to_string(max) +
                          ", got " + std::to_string(value));
}

void ExpectPowerOfTwo(const char* field, uint32_t value) {
  if (std::has_single_bit(value)) return;
  throw std::out_of_range(std::string(field) + " must be a power of two, got " + std::to_string(value));
}

void CheckSpec(const RegionSpec& spec) {
  Expect("workers", spec.workers, 1, kMaxWorkers);
  Expect("engineThreads", spec.engine_threads, 1, kMaxEngineThreads);
  Expect("services", spec.services, 1, kMaxServices);
  Expect("sessionsPerWorker", spec.sessions_per_worker, 1, kMaxRowsPerWorker);
  Expect("streamsPerWorker", spec.streams_per_worker, 1, kMaxRowsPerWorker);
  Expect("ringSlots", spec.ring_slots, kMinRingSlots, kMaxRingSlots);
  Expect("wiresPerWorker", spec.wires_per_worker, 1, kMaxRowsPerWorker);
  Expect("wireRingBytes", spec.wire_ring_bytes, kMinWireRing, kMaxWireRing);
  ExpectPowerOfTwo("ringSlots", spec.ring_slots);
  ExpectPowerOfTwo("wireRingBytes", spec.wire_ring_bytes);
  Expect("interleavedOverflow", spec.interleaved_overflow, kOverflowDropFrames, kOverflowClose);
}

// Half full at most, so that a probe of the index stays short.
uint32_t IndexSlots(uint32_t sessions) { return std::bit_ceil(sessions * 2); }

// Sets the offset of each part in turn; the running offset after the last one is the size.
void PlaceParts(RegionHeader& plan) {
  uint64_t at = AlignUp(sizeof(RegionHeader));
  const auto place = [&at](uint64_t& offset, uint64_t bytes) {
    offset = at;
    at = AlignUp(at + bytes);
  };
  const uint64_t workers = plan.workers;
  const uint64_t rings = workers * plan.engine_threads;
  place(plan.processes_offset, (kFixedProcesses + workers) * sizeof(ProcessSlot));
  place(plan.services_offset, uint64_t{plan.services} * sizeof(ServiceCell));
  place(plan.loads_offset, uint64_t{plan.services} * workers * sizeof(LoadCell));
  place(plan.clients_offset, (kClientBuckets + 1) * workers * sizeof(ClientCell));
  place(plan.sessions_offset, workers * plan.sessions_per_worker * sizeof(SessionEntry));
  place(plan.index_offset, workers * plan.index_per_worker * sizeof(uint32_t));
  place(plan.streams_offset, workers * plan.streams_per_worker * sizeof(StreamEntry));
  place(plan.command_rings_offset, rings * RingBytes<Command>(plan.ring_slots));
  place(plan.event_rings_offset, rings * RingBytes<Event>(plan.ring_slots));
  place(plan.wires_offset, workers * plan.wires_per_worker * sizeof(WireEntry));
  place(plan.inboxes_offset, rings * ByteRingBytes(plan.wire_ring_bytes));
  place(plan.outboxes_offset, rings * ByteRingBytes(plan.wire_ring_bytes));
  place(plan.counters_offset, uint64_t{plan.engine_threads} * sizeof(counters::CounterBlock));
  plan.size = at;
}

Millis MonotonicMillis() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<Millis>(now.tv_sec) * 1e3 + static_cast<Millis>(now.tv_nsec) / 1e6;
}

bool SameGeometry(const RegionHeader& a, const RegionHeader& b) {
  return a.index_per_worker == b.index_per_worker && a.size == b.size && a.processes_offset == b.processes_offset &&
         a.services_offset == b.services_offset && a.loads_offset == b.loads_offset && a.clients_offset == b.clients_offset &&
         a.sessions_offset == b.sessions_offset && a.index_offset == b.index_offset &&
         a.streams_offset == b.streams_offset && a.command_rings_offset == b.command_rings_offset &&
         a.event_rings_offset == b.event_rings_offset && a.wires_offset == b.wires_offset &&
         a.inboxes_offset == b.inboxes_offset && a.outboxes_offset == b.outboxes_offset && a.counters_offset == b.counters_offset;
}

// A header is believed only where planning the counts that it names gives the very same offsets.
RegionHeader ReadPlan(const void* base, size_t bytes) {
  if (bytes < sizeof(RegionHeader)) throw std::invalid_argument("region: smaller than its header");
  const RegionHeader header = *static_cast<const RegionHeader*>(base);
  if (header.magic != kRegionMagic) throw std::invalid_argument("region: wrong magic");
  if (header.layout_version != kLayoutVersion) {
    throw std::invalid_argument("region: layout version " + std::to_string(header.layout_version) + ", expected " +
                                std::to_string(kLayoutVersion));
  }
  const RegionHeader plan = PlanRegion({.workers = header.workers,
                                        .engine_threads = header.engine_threads,
                                        .services = header.services,
                                        .sessions_per_worker = header.sessions_per_worker,
                                        .streams_per_worker = header.streams_per_worker,
                                        .ring_slots = header.ring_slots,
                                        .quarantine_ms = header.quarantine_ms,
                                        .wires_per_worker = header.wires_per_worker,
                                        .wire_ring_bytes = header.wire_ring_bytes});
  if (!SameGeometry(plan, header)) throw std::invalid_argument("region: offsets do not follow from its counts");
  if (plan.size > bytes) throw std::invalid_argument("region: mapping is shorter than the header says");
  return plan;
}

}  // namespace

RegionHeader PlanRegion(const RegionSpec& spec) {
  CheckSpec(spec);
  RegionHeader plan{};
  plan.magic = kRegionMagic;
  plan.layout_version = kLayoutVersion;
  plan.workers = spec.workers;
  plan.engine_threads = spec.engine_threads;
  plan.services = spec.services;
  plan.sessions_per_worker = spec.sessions_per_worker;
  plan.streams_per_worker = spec.streams_per_worker;
  plan.index_per_worker = IndexSlots(spec.sessions_per_worker);
  plan.ring_slots = spec.ring_slots;
  plan.quarantine_ms = spec.quarantine_ms;
  plan.wires_per_worker = spec.wires_per_worker;
  plan.wire_ring_bytes = spec.wire_ring_bytes;
  plan.interleaved_backlog = spec.interleaved_backlog;
  plan.interleaved_overflow = spec.interleaved_overflow;
  plan.message_deadline_ms = spec.message_deadline_ms;
  plan.client_seed = std::random_device{}();
  plan.created_ms = MonotonicMillis();
  plan.default_latching = kLatchSameIp;
  PlaceParts(plan);
  Expect("region bytes", plan.size, 1, kMaxRegionBytes);
  return plan;
}

void InitialiseRegion(void* base, const RegionHeader& plan) {
  auto* header = static_cast<RegionHeader*>(base);
  *header = plan;
  header->magic = 0;
  std::atomic_ref<uint64_t>(header->magic).store(kRegionMagic, std::memory_order_release);
}

Region::Region(void* base, size_t bytes) : base_(static_cast<std::byte*>(base)), plan_(ReadPlan(base, bytes)) {}

uint32_t Region::quarantine_ms() const {
  return std::atomic_ref<uint32_t>(header()->quarantine_ms).load(std::memory_order_relaxed);
}

uint32_t Region::interleaved_backlog() const {
  return std::atomic_ref<uint32_t>(header()->interleaved_backlog).load(std::memory_order_relaxed);
}

uint32_t Region::message_deadline_ms() const {
  return std::atomic_ref<uint32_t>(header()->message_deadline_ms).load(std::memory_order_relaxed);
}

Overflow Region::interleaved_overflow() const {
  const uint32_t policy = std::atomic_ref<uint32_t>(header()->interleaved_overflow).load(std::memory_order_relaxed);
  return policy == kOverflowClose ? kOverflowClose : kOverflowDropFrames;
}

ProcessSlot* Region::Process(uint32_t slot) const {
  return Row<ProcessSlot>(plan_.processes_offset, slot, kFixedProcesses + plan_.workers);
}

ServiceCell* Region::Service(uint32_t service) const {
  return Row<ServiceCell>(plan_.services_offset, service, plan_.services);
}

LoadCell* Region::Load(uint32_t service, uint32_t worker) const {
  if (service >= plan_.services || worker >= plan_.workers) return nullptr;
  return At<LoadCell>(plan_.loads_offset + (uint64_t{service} * plan_.workers + worker) * sizeof(LoadCell));
}

ClientCell* Region::Client(uint32_t bucket, uint32_t worker) const {
  if (bucket > kClientBuckets || worker >= plan_.workers) return nullptr;
  return At<ClientCell>(plan_.clients_offset + (uint64_t{bucket} * plan_.workers + worker) * sizeof(ClientCell));
}

SessionEntry* Region::Session(uint32_t session) const {
  return Row<SessionEntry>(plan_.sessions_offset, session, sessions());
}

StreamEntry* Region::Stream(uint32_t stream) const {
  return Row<StreamEntry>(plan_.streams_offset, stream, streams());
}

WireEntry* Region::Wire(uint32_t wire) const { return Row<WireEntry>(plan_.wires_offset, wire, wires()); }

uint32_t Region::ThreadOfWire(uint32_t wire) const {
  WireEntry* row = Wire(wire);
  if (row == nullptr) return 0;
  return std::atomic_ref<uint32_t>(row->thread).load(std::memory_order_relaxed) % plan_.engine_threads;
}

std::span<uint32_t> Region::Index(uint32_t worker) const {
  if (worker >= plan_.workers) return {};
  const uint64_t offset = plan_.index_offset + uint64_t{worker} * plan_.index_per_worker * sizeof(uint32_t);
  return {At<uint32_t>(offset), plan_.index_per_worker};
}

counters::CounterBlock* Region::Counters(uint32_t thread) const {
  return Row<counters::CounterBlock>(plan_.counters_offset, thread, plan_.engine_threads);
}

template <typename Slot>
Ring<Slot> Region::RingAt(uint64_t part, uint32_t worker, uint32_t thread) const {
  Expect("worker", worker, 0, plan_.workers - 1);
  Expect("thread", thread, 0, plan_.engine_threads - 1);
  const uint64_t index = uint64_t{worker} * plan_.engine_threads + thread;
  const uint64_t at = part + index * RingBytes<Slot>(plan_.ring_slots);
  return Ring<Slot>(At<RingHeader>(at), At<Slot>(at + sizeof(RingHeader)), plan_.ring_slots);
}

CommandRing Region::Commands(uint32_t worker, uint32_t thread) const {
  return RingAt<Command>(plan_.command_rings_offset, worker, thread);
}

EventRing Region::Events(uint32_t worker, uint32_t thread) const {
  return RingAt<Event>(plan_.event_rings_offset, worker, thread);
}

ByteRing Region::ByteRingAt(uint64_t part, uint32_t worker, uint32_t thread) const {
  Expect("worker", worker, 0, plan_.workers - 1);
  Expect("thread", thread, 0, plan_.engine_threads - 1);
  const uint64_t index = uint64_t{worker} * plan_.engine_threads + thread;
  const uint64_t at = part + index * ByteRingBytes(plan_.wire_ring_bytes);
  return ByteRing(At<RingHeader>(at), At<uint8_t>(at + sizeof(RingHeader)), plan_.wire_ring_bytes);
}

ByteRing Region::Inbox(uint32_t worker, uint32_t thread) const {
  return ByteRingAt(plan_.inboxes_offset, worker, thread);
}

ByteRing Region::Outbox(uint32_t worker, uint32_t thread) const {
  return ByteRingAt(plan_.outboxes_offset, worker, thread);
}

}  // namespace penstock::table

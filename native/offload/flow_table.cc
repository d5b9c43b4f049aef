#include "offload/flow_table.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "memory/system_error.h"
#include "offload/bpf.h"
#include "offload/maps.h"

namespace penstock::offload {
namespace {

constexpr uint32_t kBatch = 256;
constexpr uint32_t kMappedPrefix = 0x0000ffff;

void SetAddress(__be32 (&out)[4], const table::Endpoint& endpoint) {
  if (endpoint.family == table::kFamilyV6) {
    std::memcpy(out, endpoint.address, sizeof(out));
    return;
  }
  out[0] = out[1] = 0;
  out[2] = htonl(kMappedPrefix);
  std::memcpy(&out[3], endpoint.address, sizeof(out[3]));
}

size_t MappedBytes(uint32_t cells) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (cells * sizeof(relay_cell) + page - 1) / page * page;
}

}  // namespace

relay_key MakeKey(const table::Endpoint& source, const table::Endpoint& local) {
  relay_key key{};
  SetAddress(key.source, source);
  SetAddress(key.local, local);
  key.source_port = htons(source.port);
  key.local_port = htons(local.port);
  return key;
}

bool SameKey(const relay_key& a, const relay_key& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

bool SameFlow(const relay_flow& a, const relay_flow& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

void SetDestination(relay_flow& flow, const table::Endpoint& from, const table::Endpoint& to) {
  SetAddress(flow.from, from);
  SetAddress(flow.to, to);
  flow.from_port = htons(from.port);
  flow.to_port = htons(to.port);
}

FlowTable::FlowTable(const MapFds& fds, uint32_t streams)
    : fds_(fds), mapped_bytes_(MappedBytes(streams * kFlowsPerStream)) {
  void* const base = ::mmap(nullptr, mapped_bytes_, PROT_READ, MAP_SHARED, fds.cells, 0);
  if (base == MAP_FAILED) throw memory::SystemError("mmap", "of the relay's counters");
  cells_ = {static_cast<const relay_cell*>(base), streams * kFlowsPerStream};
}

FlowTable::~FlowTable() { ::munmap(const_cast<relay_cell*>(cells_.data()), mapped_bytes_); }

int FlowTable::Enter(const relay_key& key, const relay_flow& flow) {
  return UpdateElement(fds_.flows, &key, &flow, BPF_ANY);
}

void FlowTable::Remove(const relay_key& key) { DeleteElement(fds_.flows, &key); }

std::vector<EnteredFlow> FlowTable::List() const {
  std::vector<EnteredFlow> all;
  std::array<relay_key, kBatch> keys;
  std::array<relay_flow, kBatch> flows;
  Batch batch;
  while (!batch.last && LookUpBatch(fds_.flows, batch, keys.data(), flows.data(), kBatch) == 0) {
    for (uint32_t i = 0; i < batch.count; ++i) all.push_back({keys[i], flows[i]});
  }
  return all;
}

InterfaceState FlowTable::Interface(uint32_t interface) {
  uint32_t state = 0;
  if (LookUpElement(fds_.interfaces, &interface, &state) == ENOENT) {
    state = RELAY_INTERFACE_WANTED;
    UpdateElement(fds_.interfaces, &interface, &state, BPF_NOEXIST);
  }
  switch (state) {
    case RELAY_INTERFACE_ATTACHED: return InterfaceState::kAttached;
    case RELAY_INTERFACE_REFUSED: return InterfaceState::kRefused;
    default: return InterfaceState::kAwaited;
  }
}

}  // namespace penstock::offload

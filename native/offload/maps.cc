#include "offload/maps.h"

#include <linux/bpf.h>

#include "offload/bpf.h"

namespace penstock::offload {
namespace {

// A machine with more has most of them without media.
constexpr uint32_t kMaxInterfaces = 1024;

}  // namespace

Maps CreateMaps(uint32_t streams) {
  const uint32_t flows = streams * kFlowsPerStream;
  Maps maps;
  maps.flows = CreateMap(
      {"penstock_flows", BPF_MAP_TYPE_HASH, sizeof(relay_key), sizeof(relay_flow), flows, BPF_F_NO_PREALLOC});
  maps.cells = CreateMap(
      {"penstock_cells", BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(relay_cell), flows, BPF_F_MMAPABLE});
  maps.interfaces = CreateMap(
      {"penstock_ifs", BPF_MAP_TYPE_HASH, sizeof(uint32_t), sizeof(uint32_t), kMaxInterfaces, BPF_F_NO_PREALLOC});
  return maps;
}

}  // namespace penstock::offload

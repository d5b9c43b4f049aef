// The few bpf() calls that the relay needs, without libbpf.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "memory/unique_fd.h"

namespace penstock::offload {

// All throw memory::SystemError.
struct MapShape {
  const char* name;
  uint32_t type;
  uint32_t key_bytes;
  uint32_t value_bytes;
  uint32_t entries;
  uint32_t flags;
};
memory::UniqueFd CreateMap(const MapShape& shape);
// Returns where the kernel has what the relay is attached by.
void RequireTcx();
// The relay, bound to these maps. Some tenths of a second of the verifier's work, whose last word an error carries.
memory::UniqueFd LoadRelay(int flows_fd, int cells_fd);
// Runs it on what `interface` receives, as long as the descriptor is open (a tcx link).
memory::UniqueFd AttachIngress(int program_fd, uint32_t interface);
// 0 when the interface of the link is gone.
uint32_t InterfaceOfLink(int link_fd);

// 0 or an errno.
int UpdateElement(int map_fd, const void* key, const void* value, uint64_t flags);
int DeleteElement(int map_fd, const void* key);
int LookUpElement(int map_fd, const void* key, void* value);
// `key` null: the first one. ENOENT: `next` was the last one.
int NextKey(int map_fd, const void* key, void* next);

struct Batch {
  uint64_t position = 0;  // where the next call goes on
  bool begun = false;
  uint32_t count = 0;     // elements that the call gave
  bool last = false;
};
// Fills `keys` and `values`, room for `capacity` each. 0 or an errno.
int LookUpBatch(int map_fd, Batch& batch, void* keys, void* values, uint32_t capacity);

// "ok", or why this kernel or this user cannot attach the relay. Changes nothing. Never throws.
std::string ProbeOffload();

}  // namespace penstock::offload

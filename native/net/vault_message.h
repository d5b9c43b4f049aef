// What travels between workers, vault and engine, one SOCK_SEQPACKET message each.
// ADD carries one descriptor per bit of `legs`, lowest bit first, as SCM_RIGHTS.
#pragma once

#include <cstdint>
#include <type_traits>

namespace penstock::net {

enum VaultOp : uint32_t {
  kVaultAdd = 1,      // worker → vault → engine: these are the sockets of the stream
  kVaultRelease = 2,  // engine → vault: it let go of the stream; no descriptors
  kVaultAddWire = 3,      // as ADD: this is the connection of the wire
  kVaultReleaseWire = 4,  // as RELEASE
};

inline constexpr uint32_t kWireMask = 1;  // `legs` of a wire: it has one descriptor

struct VaultMessage {
  uint32_t op;          // VaultOp
  uint32_t stream;      // global slot of the stream or wire
  uint32_t generation;  // of that slot
  uint32_t legs;        // mask: 1 << table::LegIndex
};
static_assert(sizeof(VaultMessage) == 16 && std::is_trivially_copyable_v<VaultMessage>);

}  // namespace penstock::net

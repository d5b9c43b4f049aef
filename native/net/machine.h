// What this machine allows, beside GSO and GRO: for `doctor` and for choosing the packet path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace penstock::net {

// "ok" or the reason. Never throws.
std::string ProbeSealedMemfd();  // a sealed memfd refuses to shrink

struct PortRange {
  uint16_t min;
  uint16_t max;
};

struct Capabilities {
  bool net_bind_service;
  bool net_admin;
  bool bpf;  // CAP_BPF, or CAP_SYS_ADMIN, which includes it
};

// Empty where /proc does not tell.
std::optional<uint64_t> ReceiveBufferMax();     // net.core.rmem_max, bytes
std::optional<PortRange> EphemeralPortRange();  // net.ipv4.ip_local_port_range
std::optional<Capabilities> EffectiveCapabilities();

}  // namespace penstock::net

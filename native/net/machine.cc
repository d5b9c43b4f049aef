#include "net/machine.h"

#include <linux/capability.h>
#include <unistd.h>

#include <fstream>

#include "memory/memfd.h"
#include "memory/system_error.h"
#include "memory/unique_fd.h"

namespace penstock::net {
namespace {

constexpr size_t kProbeBytes = 4096;

bool Has(uint64_t mask, unsigned capability) { return ((mask >> capability) & 1) != 0; }

}  // namespace

std::string ProbeSealedMemfd() {
  try {
    const memory::UniqueFd fd = memory::CreateMemfd("penstock-probe", kProbeBytes);
    memory::SealSize(fd.get());
    return ::ftruncate(fd.get(), 0) != 0 ? "ok" : "a sealed memfd let itself be shrunk";
  } catch (const memory::SystemError& failure) {
    return failure.what();
  }
}

std::optional<uint64_t> ReceiveBufferMax() {
  uint64_t bytes = 0;
  if (!(std::ifstream("/proc/sys/net/core/rmem_max") >> bytes)) return std::nullopt;
  return bytes;
}

std::optional<PortRange> EphemeralPortRange() {
  PortRange range{};
  if (!(std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> range.min >> range.max)) return std::nullopt;
  return range;
}

std::optional<Capabilities> EffectiveCapabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "CapEff:") continue;
    uint64_t mask = 0;
    if (!(status >> std::hex >> mask)) return std::nullopt;
    return Capabilities{.net_bind_service = Has(mask, CAP_NET_BIND_SERVICE),
                        .net_admin = Has(mask, CAP_NET_ADMIN),
                        .bpf = Has(mask, CAP_BPF) || Has(mask, CAP_SYS_ADMIN)};
  }
  return std::nullopt;
}

}  // namespace penstock::net

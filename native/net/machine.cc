#include "net/machine.h"

#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "memory/memfd.h"
#include "memory/system_error.h"
#include "memory/unique_fd.h"

namespace penstock::net {
namespace {

constexpr size_t kProbeBytes = 4096;

uint64_t Address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

std::string Reason(const char* syscall) { return memory::SystemError(syscall).what(); }

bool Has(uint64_t mask, unsigned capability) { return ((mask >> capability) & 1) != 0; }

}  // namespace

std::string ProbeBpf() {
  bpf_insn program[2] = {};
  program[0].code = BPF_ALU64 | BPF_MOV | BPF_K;  // r0 = 0: TC_ACT_OK
  program[1].code = BPF_JMP | BPF_EXIT;
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attributes.insns = Address(program);
  attributes.insn_cnt = std::size(program);
  attributes.license = Address("GPL");
  const memory::UniqueFd fd(
      static_cast<int>(::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, static_cast<unsigned>(sizeof(attributes)))));
  return fd ? "ok" : Reason("bpf(BPF_PROG_LOAD)");
}

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
    return Capabilities{Has(mask, CAP_NET_ADMIN), Has(mask, CAP_BPF) || Has(mask, CAP_SYS_ADMIN)};
  }
  return std::nullopt;
}

}  // namespace penstock::net

#include "drop.h"

#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sockets.h"

namespace penstock::bench {
namespace {

constexpr int kIpProtocolOffset = 14 + 9;  // behind the Ethernet header
constexpr int kNext = -1;                  // TCX_NEXT
constexpr int kDrop = 2;                   // TCX_DROP
// Newer than the headers of some distributions.
constexpr uint32_t kTcxIngress = 46;  // BPF_TCX_INGRESS
constexpr uint32_t kBefore = 1 << 3;  // BPF_F_BEFORE: ahead of any program of the product

int Bpf(int command, bpf_attr& attributes, const char* what) {
  const long result = ::syscall(SYS_bpf, command, &attributes, sizeof(attributes));
  if (result < 0) throw SystemError(what);
  return static_cast<int>(result);
}

bpf_insn Instruction(uint8_t code, uint8_t to, uint8_t from, int16_t jump, int32_t value) {
  bpf_insn instruction{};
  instruction.code = code;
  instruction.dst_reg = to;
  instruction.src_reg = from;
  instruction.off = jump;
  instruction.imm = value;
  return instruction;
}

int LoadProgram() {
  const bpf_insn program[] = {
      Instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
      Instruction(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, kIpProtocolOffset),
      Instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, IPPROTO_UDP),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, kNext),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, kDrop),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
  };
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  load.expected_attach_type = static_cast<uint32_t>(kTcxIngress);
  load.insns = reinterpret_cast<uint64_t>(program);
  load.insn_cnt = sizeof(program) / sizeof(program[0]);
  load.license = reinterpret_cast<uint64_t>("Apache-2.0");
  return Bpf(BPF_PROG_LOAD, load, "loading the BPF program");
}

}  // namespace

// The link stays open, and with it the program attached, until the process ends.
void DropMedia(const std::string& device) {
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<uint32_t>(LoadProgram());
  link.link_create.target_ifindex = ::if_nametoindex(device.c_str());
  link.link_create.attach_type = kTcxIngress;
  link.link_create.flags = kBefore;
  Bpf(BPF_LINK_CREATE, link, "attaching to the device");
}

}  // namespace penstock::bench

#include "offload/bpf.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <vector>

#include "memory/system_error.h"
#include "offload/maps.h"

namespace penstock::offload {
namespace {

using memory::SystemError;
using memory::UniqueFd;

// Newer than the headers that some distributions build with.
constexpr uint32_t kTcxIngress = 46;  // BPF_TCX_INGRESS, Linux 6.6
constexpr uint32_t kLoopback = 1;     // interface index in every network namespace
constexpr const char* kLicence = "Dual BSD/GPL";  // of relay.bpf.c
constexpr size_t kLogBytes = 1 << 20;

static_assert(std::endian::native == std::endian::little, "relay_program.inc holds little-endian instructions");

constexpr bpf_insn Instruction(unsigned code, unsigned registers, int offset, int immediate) {
  bpf_insn out{};
  out.code = static_cast<__u8>(code);
  out.dst_reg = registers & 0x0f;
  out.src_reg = registers >> 4;
  out.off = static_cast<__s16>(offset);
  out.imm = immediate;
  return out;
}

constexpr bpf_insn kRelay[] = {
#define RELAY_MAP(at, map)
#define RELAY_INSTRUCTION(...) Instruction(__VA_ARGS__),
#include "offload/relay_program.inc"
#undef RELAY_INSTRUCTION
#undef RELAY_MAP
};

uint64_t Address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

int Call(int command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, static_cast<unsigned>(sizeof(attributes))));
}

int ErrnoOf(int result) { return result < 0 ? errno : 0; }

// The verifier's complaint is the line before the last, which holds its statistics.
std::string Complaint(const std::string& log) {
  size_t end = log.rfind("\nprocessed ");
  if (end == std::string::npos) end = log.find_last_not_of('\n') + 1;
  const size_t begin = end == 0 ? 0 : log.rfind('\n', end - 1) + 1;
  return log.substr(begin, end - begin);
}

std::vector<bpf_insn> BoundTo(int flows_fd, int cells_fd) {
  std::vector<bpf_insn> program(std::begin(kRelay), std::end(kRelay));
  const int flows = flows_fd;
  const int cells = cells_fd;
#define RELAY_MAP(at, map)                  \
  program[at].src_reg = BPF_PSEUDO_MAP_FD;  \
  program[at].imm = map;
#define RELAY_INSTRUCTION(...)
#include "offload/relay_program.inc"
#undef RELAY_INSTRUCTION
#undef RELAY_MAP
  return program;
}

}  // namespace

UniqueFd CreateMap(const MapShape& shape) {
  bpf_attr attributes{};
  attributes.map_type = shape.type;
  attributes.key_size = shape.key_bytes;
  attributes.value_size = shape.value_bytes;
  attributes.max_entries = shape.entries;
  attributes.map_flags = shape.flags;
  std::strncpy(attributes.map_name, shape.name, sizeof(attributes.map_name) - 1);
  UniqueFd fd(Call(BPF_MAP_CREATE, attributes));
  if (!fd) throw SystemError("bpf", std::string("map ") + shape.name);
  return fd;
}

UniqueFd LoadRelay(int flows_fd, int cells_fd) {
  const std::vector<bpf_insn> program = BoundTo(flows_fd, cells_fd);
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  attributes.insns = Address(program.data());
  attributes.insn_cnt = static_cast<__u32>(program.size());
  attributes.license = Address(kLicence);
  std::strncpy(attributes.prog_name, "penstock_relay", sizeof(attributes.prog_name) - 1);
  UniqueFd fd(Call(BPF_PROG_LOAD, attributes));
  if (fd) return fd;
  const int error = errno;
  if (error == EPERM) throw SystemError("bpf", "relay program", error);
  std::string log(kLogBytes, '\0');
  attributes.log_level = 1;
  attributes.log_buf = Address(log.data());
  attributes.log_size = static_cast<__u32>(log.size());
  Call(BPF_PROG_LOAD, attributes);
  throw SystemError("bpf", "relay program: " + Complaint(log.c_str()), error);
}

UniqueFd AttachIngress(int program_fd, uint32_t interface) {
  bpf_attr attributes{};
  attributes.link_create.prog_fd = static_cast<__u32>(program_fd);
  attributes.link_create.target_ifindex = interface;
  attributes.link_create.attach_type = kTcxIngress;
  UniqueFd fd(Call(BPF_LINK_CREATE, attributes));
  if (!fd) throw SystemError("bpf", "tcx link to interface " + std::to_string(interface));
  return fd;
}

uint32_t InterfaceOfLink(int link_fd) {
  bpf_link_info info{};
  bpf_attr attributes{};
  attributes.info.bpf_fd = static_cast<__u32>(link_fd);
  attributes.info.info_len = sizeof(info);
  attributes.info.info = Address(&info);
  // A tcx link has its interface where an XDP link has it.
  return Call(BPF_OBJ_GET_INFO_BY_FD, attributes) == 0 ? info.xdp.ifindex : 0;
}

int UpdateElement(int map_fd, const void* key, const void* value, uint64_t flags) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<__u32>(map_fd);
  attributes.key = Address(key);
  attributes.value = Address(value);
  attributes.flags = flags;
  return ErrnoOf(Call(BPF_MAP_UPDATE_ELEM, attributes));
}

int DeleteElement(int map_fd, const void* key) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<__u32>(map_fd);
  attributes.key = Address(key);
  return ErrnoOf(Call(BPF_MAP_DELETE_ELEM, attributes));
}

int LookUpElement(int map_fd, const void* key, void* value) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<__u32>(map_fd);
  attributes.key = Address(key);
  attributes.value = Address(value);
  return ErrnoOf(Call(BPF_MAP_LOOKUP_ELEM, attributes));
}

int NextKey(int map_fd, const void* key, void* next) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<__u32>(map_fd);
  attributes.key = Address(key);
  attributes.next_key = Address(next);
  return ErrnoOf(Call(BPF_MAP_GET_NEXT_KEY, attributes));
}

int LookUpBatch(int map_fd, Batch& batch, void* keys, void* values, uint32_t capacity) {
  uint64_t next = 0;
  bpf_attr attributes{};
  attributes.batch.map_fd = static_cast<__u32>(map_fd);
  attributes.batch.in_batch = batch.begun ? Address(&batch.position) : 0;
  attributes.batch.out_batch = Address(&next);
  attributes.batch.keys = Address(keys);
  attributes.batch.values = Address(values);
  attributes.batch.count = capacity;
  const int error = ErrnoOf(Call(BPF_MAP_LOOKUP_BATCH, attributes));
  batch.last = error == ENOENT;
  if (error != 0 && !batch.last) return error;
  batch.count = attributes.batch.count;
  batch.position = next;
  batch.begun = true;
  return 0;
}

void RequireTcx() {
  bpf_attr attributes{};
  attributes.query.target_fd = kLoopback;
  attributes.query.attach_type = kTcxIngress;
  if (Call(BPF_PROG_QUERY, attributes) == 0) return;
  const int error = errno;
  throw SystemError("bpf", error == EINVAL ? "tcx, which needs Linux 6.6" : "tcx", error);
}

std::string ProbeOffload() {
  try {
    RequireTcx();
    const Maps maps = CreateMaps(1);
    LoadRelay(maps.flows.get(), maps.cells.get());
    return "ok";
  } catch (const SystemError& failure) {
    return failure.what();
  }
}

}  // namespace penstock::offload

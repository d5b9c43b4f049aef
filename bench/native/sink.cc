#include "sink.h"

#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "clock.h"
#include "histogram.h"
#include "sockets.h"

namespace penstock::bench {
namespace {

// Newer than the headers of some distributions.
constexpr uint32_t kTcxIngress = 46;  // BPF_TCX_INGRESS
constexpr uint32_t kBefore = 1 << 3;  // BPF_F_BEFORE: ahead of any program of the product

static_assert(kSinkFineBits == Histogram::kFineBits);

constexpr bpf_insn Instruction(unsigned code, unsigned registers, int offset, int immediate) {
  bpf_insn out{};
  out.code = static_cast<__u8>(code);
  out.dst_reg = registers & 0x0f;
  out.src_reg = registers >> 4;
  out.off = static_cast<__s16>(offset);
  out.imm = immediate;
  return out;
}

constexpr bpf_insn kProgram[] = {
#define SINK_MAP(at, map)
#define SINK_INSTRUCTION(...) Instruction(__VA_ARGS__),
#include "sink_program.inc"
#undef SINK_INSTRUCTION
#undef SINK_MAP
};

int Bpf(int command, bpf_attr& attributes, const char* what) {
  const long result = ::syscall(SYS_bpf, command, &attributes, sizeof(attributes));
  if (result < 0) throw SystemError(what);
  return static_cast<int>(result);
}

uint64_t Address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

int CreateMap(bpf_map_type type, uint32_t value_bytes, uint32_t entries) {
  bpf_attr attributes{};
  attributes.map_type = type;
  attributes.key_size = sizeof(uint32_t);
  attributes.value_size = value_bytes;
  attributes.max_entries = entries;
  return Bpf(BPF_MAP_CREATE, attributes, "BPF map");
}

int LoadProgram(int counts, int buckets, int streams) {
  std::vector<bpf_insn> program(std::begin(kProgram), std::end(kProgram));
#define SINK_MAP(at, map)                  \
  program[at].src_reg = BPF_PSEUDO_MAP_FD; \
  program[at].imm = map;
#define SINK_INSTRUCTION(...)
#include "sink_program.inc"
#undef SINK_INSTRUCTION
#undef SINK_MAP
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_SCHED_CLS;
  load.expected_attach_type = static_cast<bpf_attach_type>(kTcxIngress);
  load.insns = Address(program.data());
  load.insn_cnt = static_cast<uint32_t>(program.size());
  load.license = Address("Apache-2.0");
  return Bpf(BPF_PROG_LOAD, load, "loading the BPF program");
}

// The kernel's own count: entries of a per-processor map are given for each that might ever be there.
size_t PossibleProcessors() {
  std::ifstream file("/sys/devices/system/cpu/possible");  // `0-7`
  std::string text;
  if (!std::getline(file, text)) throw std::runtime_error("cannot tell how many processors there may be");
  const size_t cut = text.find_last_of("-,");
  return std::stoul(cut == std::string::npos ? text : text.substr(cut + 1)) + 1;
}

void Element(int command, int map, uint32_t key, const void* value) {
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = Address(&key);
  attributes.value = Address(value);
  Bpf(command, attributes, "BPF map element");
}

}  // namespace

// The link stays open, and with it the program attached, until the process ends.
Sink::Sink(const std::string& device)
    : processors_(PossibleProcessors()),
      counts_(CreateMap(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(sink_counts), 1)),
      buckets_(CreateMap(BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint64_t), kSinkBuckets)),
      streams_(CreateMap(BPF_MAP_TYPE_ARRAY, sizeof(sink_stream), kSinkStreams)) {
  Reset();
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<uint32_t>(LoadProgram(counts_, buckets_, streams_));
  link.link_create.target_ifindex = ::if_nametoindex(device.c_str());
  link.link_create.attach_type = kTcxIngress;
  link.link_create.flags = kBefore;
  Bpf(BPF_LINK_CREATE, link, "attaching to the device");
}

Json Sink::Obey(const Settings& command) {
  if (command.word() == "report") return Report();
  if (command.word() != "reset") throw std::invalid_argument("unknown command: " + command.word());
  Reset();
  return {};
}

void Sink::Reset() {
  sink_counts fresh{};
  fresh.epoch = ++epoch_;
  fresh.since = static_cast<uint64_t>(Now());
  Element(BPF_MAP_UPDATE_ELEM, counts_, 0, std::vector<sink_counts>(processors_, fresh).data());
  const std::vector<uint64_t> none(processors_, 0);
  for (uint32_t bucket = 0; bucket < kSinkBuckets; ++bucket) {
    Element(BPF_MAP_UPDATE_ELEM, buckets_, bucket, none.data());
  }
}

Json Sink::Report() const {
  std::vector<sink_counts> counts(processors_);
  Element(BPF_MAP_LOOKUP_ELEM, counts_, 0, counts.data());
  sink_counts sum{};
  for (const sink_counts& one : counts) {
    sum.packets += one.packets;
    sum.foreign += one.foreign;
    if (one.packets > 0 && (sum.first_sent == 0 || one.first_sent < sum.first_sent)) sum.first_sent = one.first_sent;
    sum.last_came = std::max(sum.last_came, one.last_came);
    sum.delay_sum += one.delay_sum;
    sum.delay_max = std::max(sum.delay_max, one.delay_max);
    sum.jitter_sum += one.jitter_sum;
    sum.jitters += one.jitters;
  }
  std::vector<uint64_t> each(processors_);
  std::vector<uint64_t> buckets(kSinkBuckets);
  for (uint32_t bucket = 0; bucket < kSinkBuckets; ++bucket) {
    Element(BPF_MAP_LOOKUP_ELEM, buckets_, bucket, each.data());
    for (const uint64_t count : each) buckets[bucket] += count;
  }
  Histogram delay;
  delay.Load(buckets.data(), buckets.size(), static_cast<double>(sum.delay_sum), sum.delay_max);
  const double jitter = sum.jitters == 0 ? 0 : static_cast<double>(sum.jitter_sum) / static_cast<double>(sum.jitters);
  Json json;
  json.Put("received", sum.packets).Put("foreign", sum.foreign).Put("jitterUs", jitter / 1e3);
  json.Put("seconds", static_cast<double>(sum.last_came - sum.first_sent) / kSecond);
  return json.Put("delayUs", delay.Report());
}

}  // namespace penstock::bench

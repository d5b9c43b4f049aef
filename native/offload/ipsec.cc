#include "offload/ipsec.h"

#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "memory/unique_fd.h"

namespace penstock::offload {
namespace {

struct Question {
  nlmsghdr header;
  uint32_t flags;
};

struct Answer {
  alignas(nlmsghdr) char bytes[1024];
};

// The attribute of that type behind the flags, if it has at least so many bytes.
const void* FindAttribute(const Answer& answer, size_t bytes, uint16_t type, size_t least) {
  size_t at = NLMSG_LENGTH(sizeof(uint32_t));
  while (at + NLA_HDRLEN <= bytes) {
    nlattr part;
    std::memcpy(&part, answer.bytes + at, sizeof(part));
    if (part.nla_len < NLA_HDRLEN || at + part.nla_len > bytes) return nullptr;
    if (part.nla_type == type && part.nla_len >= NLA_HDRLEN + least) return answer.bytes + at + NLA_HDRLEN;
    at += NLA_ALIGN(part.nla_len);
  }
  return nullptr;
}

}  // namespace

bool HasIpsecPolicies() {
  const memory::UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_XFRM));
  if (!socket) return errno != EPROTONOSUPPORT;  // which says: a kernel without IPsec
  Question question{};
  question.header.nlmsg_len = sizeof(question);
  question.header.nlmsg_type = XFRM_MSG_GETSPDINFO;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.flags = UINT32_MAX;
  if (::send(socket.get(), &question, sizeof(question), MSG_NOSIGNAL) < 0) return true;
  Answer answer;
  // The kernel answers within the call above.
  const ssize_t bytes = ::recv(socket.get(), answer.bytes, sizeof(answer.bytes), 0);
  if (bytes < static_cast<ssize_t>(sizeof(nlmsghdr))) return true;
  if (reinterpret_cast<const nlmsghdr*>(answer.bytes)->nlmsg_type != XFRM_MSG_NEWSPDINFO) return true;
  const void* found = FindAttribute(answer, static_cast<size_t>(bytes), XFRMA_SPD_INFO, sizeof(xfrmu_spdinfo));
  if (found == nullptr) return true;
  xfrmu_spdinfo policies;
  std::memcpy(&policies, found, sizeof(policies));
  return policies.incnt + policies.outcnt != 0;
}

}  // namespace penstock::offload

#include "offload/routes.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "memory/system_error.h"
#include "offload/ipsec.h"

namespace penstock::offload {
namespace {

using memory::UniqueFd;

constexpr uint32_t GroupBit(rtnetlink_groups group) { return 1u << (group - 1); }
constexpr uint32_t kGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV4_RULE |
                             RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE | GroupBit(RTNLGRP_IPV6_RULE) |
                             GroupBit(RTNLGRP_NEXTHOP);
constexpr size_t kAnswerBytes = 16 * 1024;

UniqueFd OpenNetlink(uint32_t groups) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd) throw memory::SystemError("socket", "netlink");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw memory::SystemError("bind", "netlink");
  }
  return fd;
}

// A request with room for two addresses.
template <typename Body>
struct Request {
  nlmsghdr header{};
  Body body{};
  char attributes[2 * RTA_SPACE(16)] = {};

  explicit Request(uint16_t type) {
    header.nlmsg_len = NLMSG_LENGTH(sizeof(Body));
    header.nlmsg_type = type;
    header.nlmsg_flags = NLM_F_REQUEST;
  }
  void Add(uint16_t type, const void* data, size_t bytes) {
    auto* part = reinterpret_cast<rtattr*>(reinterpret_cast<char*>(this) + NLMSG_ALIGN(header.nlmsg_len));
    part->rta_type = type;
    part->rta_len = static_cast<unsigned short>(RTA_LENGTH(bytes));
    std::memcpy(RTA_DATA(part), data, bytes);
    header.nlmsg_len = NLMSG_ALIGN(header.nlmsg_len) + RTA_SPACE(bytes);
  }
};

struct Answer {
  alignas(nlmsghdr) char bytes[kAnswerBytes];
};

// The kernel answers within the call. Null where it has no such thing.
template <typename Body>
const nlmsghdr* Exchange(int socket, Request<Body>& request, uint32_t sequence, Answer& answer) {
  request.header.nlmsg_seq = sequence;
  if (::send(socket, &request, request.header.nlmsg_len, MSG_NOSIGNAL) < 0) return nullptr;
  for (;;) {
    const ssize_t bytes = ::recv(socket, answer.bytes, sizeof(answer.bytes), 0);
    if (bytes < static_cast<ssize_t>(sizeof(nlmsghdr))) return nullptr;
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer.bytes);
    // A former answer may have been left behind by an error.
    if (header->nlmsg_seq != sequence) continue;
    return header->nlmsg_type == NLMSG_ERROR ? nullptr : header;
  }
}

template <typename Each>
void ForEachAttribute(const rtattr* part, size_t bytes, Each each) {
  int left = static_cast<int>(bytes);
  for (; RTA_OK(part, left); part = RTA_NEXT(part, left)) each(*part);
}

uint32_t ReadU32(const rtattr& part) {
  uint32_t value = 0;
  std::memcpy(&value, RTA_DATA(&part), std::min<size_t>(sizeof(value), RTA_PAYLOAD(&part)));
  return value;
}

Route::Kind KindOf(uint8_t type) {
  if (type == RTN_UNICAST) return Route::kUnicast;
  if (type == RTN_LOCAL) return Route::kLocal;
  return Route::kOther;
}

size_t AddressBytes(const table::Endpoint& endpoint) { return endpoint.family == table::kFamilyV4 ? 4 : 16; }

}  // namespace

Routes::Routes() : questions_(OpenNetlink(0)), changes_(OpenNetlink(kGroups)) {}

uint32_t Routes::Version() {
  char news[4096];
  const bool before = std::exchange(ipsec_, HasIpsecPolicies());
  bool changed = before != ipsec_;
  // Messages that found no room (ENOBUFS) are news as well.
  while (::recv(changes_.get(), news, sizeof(news), 0) >= 0 || errno == ENOBUFS) changed = true;
  if (changed) {
    ++version_;
    Forget();
  }
  return version_;
}

Route Routes::Find(const table::Endpoint& from, const table::Endpoint& to) {
  std::string key(reinterpret_cast<const char*>(from.address), sizeof(from.address));
  key.append(reinterpret_cast<const char*>(to.address), sizeof(to.address));
  key.push_back(static_cast<char>(to.family));
  const auto [at, fresh] = found_.try_emplace(std::move(key));
  if (fresh) at->second = Ask(from, to);
  return at->second;
}

Route Routes::Ask(const table::Endpoint& from, const table::Endpoint& to) {
  Request<rtmsg> request(RTM_GETROUTE);
  const size_t bytes = AddressBytes(to);
  request.body.rtm_family = to.family == table::kFamilyV4 ? AF_INET : AF_INET6;
  request.body.rtm_dst_len = request.body.rtm_src_len = static_cast<unsigned char>(bytes * 8);
  request.Add(RTA_DST, to.address, bytes);
  request.Add(RTA_SRC, from.address, bytes);
  Answer answer;
  const nlmsghdr* header = Exchange(questions_.get(), request, ++sequence_, answer);
  if (header == nullptr || header->nlmsg_type != RTM_NEWROUTE) return {};
  const auto* found = static_cast<const rtmsg*>(NLMSG_DATA(header));
  Route route;
  route.kind = KindOf(found->rtm_type);
  uint32_t path_mtu = UINT32_MAX;
  ForEachAttribute(RTM_RTA(found), RTM_PAYLOAD(header), [&](const rtattr& part) {
    if (part.rta_type == RTA_OIF) route.interface = ReadU32(part);
    if (part.rta_type != RTA_METRICS) return;
    ForEachAttribute(static_cast<const rtattr*>(RTA_DATA(&part)), RTA_PAYLOAD(&part), [&](const rtattr& metric) {
      if (metric.rta_type == RTAX_MTU && ReadU32(metric) != 0) path_mtu = ReadU32(metric);
    });
  });
  const Interface interface = FindInterface(route.interface);
  route.ethernet = interface.ethernet;
  route.mtu = std::min(path_mtu, interface.mtu);
  return route;
}

Routes::Interface Routes::FindInterface(uint32_t index) {
  const auto [at, fresh] = interfaces_.try_emplace(index);
  if (!fresh) return at->second;
  Request<ifinfomsg> request(RTM_GETLINK);
  request.body.ifi_index = static_cast<int>(index);
  Answer answer;
  const nlmsghdr* header = Exchange(questions_.get(), request, ++sequence_, answer);
  if (header == nullptr || header->nlmsg_type != RTM_NEWLINK) return {};
  const auto* found = static_cast<const ifinfomsg*>(NLMSG_DATA(header));
  at->second.ethernet = found->ifi_type == ARPHRD_ETHER && (found->ifi_flags & IFF_UP) != 0;
  ForEachAttribute(IFLA_RTA(found), IFLA_PAYLOAD(header), [&](const rtattr& part) {
    if (part.rta_type == IFLA_MTU) at->second.mtu = ReadU32(part);
  });
  return at->second;
}

}  // namespace penstock::offload

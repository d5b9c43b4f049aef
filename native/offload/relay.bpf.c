// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
//
// The in-kernel relay: runs on each packet that a media interface receives. What belongs to
// a flow that the engine entered leaves by the other side with new addresses; everything
// else goes on to the sockets as if this program were not there.
//
// Unlike the rest of the project this file may be used under either licence above: the kernel keeps
// bpf_check_mtu for programs that are GPL compatible, and is told "Dual BSD/GPL".
//
// Compiled at development time only: `node scripts/build-bpf.mjs` writes relay_program.inc.
// One section, no calls, no data but the two maps: the loader knows nothing more.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "relay_format.h"

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define HELPER(name, ...) (*const name)(__VA_ARGS__) = (void *)BPF_FUNC_##name

static void *HELPER(map_lookup_elem, const void *map, const void *key);
static long HELPER(skb_load_bytes, const void *skb, __u32 at, void *to, __u32 bytes);
static long HELPER(skb_store_bytes, void *skb, __u32 at, const void *from, __u32 bytes, __u64 flags);
static long HELPER(skb_pull_data, void *skb, __u32 bytes);
static long HELPER(l4_csum_replace, void *skb, __u32 at, __u64 from, __u64 to, __u64 flags);
static __s64 HELPER(csum_diff, const void *from, __u32 from_bytes, const void *to, __u32 to_bytes, __u32 seed);
static long HELPER(check_mtu, void *skb, __u32 interface, __u32 *mtu, __s32 difference, __u64 flags);
static long HELPER(redirect_neigh, __u32 interface, void *hop, int hop_bytes, __u64 flags);

// The loader puts the descriptors of the maps in place of these.
struct map {
  int unused;
} flows SECTION("maps"), cells SECTION("maps");

enum { kPass = -1, kDrop = 2 };  // TCX_NEXT, TCX_DROP
enum {
  kForUs = 0,              // PACKET_HOST
  kFragment = 0x3fff,      // more fragments, or an offset
  kRtpHeader = 12,
  kRtpSource = 8,          // SSRC
  kFirstRtcpType = 192,    // RFC 5761 §4
  kLastRtcpType = 223,
  kMostSegments = 128,     // UDP_MAX_SEGMENTS
  kIdentificationStep = 0x9e37,  // sets the flows of a pair of hosts far apart
  kIpv6Checksum = 1 << 7,  // BPF_F_IPV6, Linux 6.16
};

#define V4_HEADERS (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr))
#define V6_HEADERS (ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct udphdr))
#define CHECKSUM_AT (sizeof(struct udphdr) - sizeof(__sum16))

INLINE void *Start(const struct __sk_buff *skb) { return (void *)(long)skb->data; }
INLINE void *End(const struct __sk_buff *skb) { return (void *)(long)skb->data_end; }

// True when the first bytes of the packet can be read directly.
INLINE int Readable(struct __sk_buff *skb, __u32 bytes) {
  return Start(skb) + bytes <= End(skb) || skb_pull_data(skb, bytes) == 0;
}

// RTP with something behind its header. Punches, RTCP and junk are for the engine to judge, by the
// same rules (native/rtp).
INLINE int IsMedia(const struct __sk_buff *skb, __u32 at, __u32 bytes) {
  __u8 head[2];
  if (bytes <= kRtpHeader || skb_load_bytes(skb, at, head, sizeof(head)) != 0) return 0;
  if (head[0] >> 6 != 2 || (head[1] >= kFirstRtcpType && head[1] <= kLastRtcpType)) return 0;
  __u32 header = kRtpHeader + 4u * (head[0] & 0x0f);
  if (head[0] & 0x10) {
    if (bytes < header + 4 || skb_load_bytes(skb, at + header + 2, head, sizeof(head)) != 0) return 0;
    header += 4 + 4u * ((__u32)head[0] << 8 | head[1]);
  }
  return bytes > header;
}

// The same number, of which the verifier learns nothing more by comparisons with this one. Without it,
// each way through a loop leaves other bounds behind, and the ways multiply from turn to turn.
INLINE __u32 Fresh(__u32 number) {
  asm volatile("%0 ^= 0" : "+r"(number));
  return number;
}

// A merged packet goes as a whole or not at all.
INLINE int IsAllMedia(const struct __sk_buff *skb, __u32 at, __u32 bytes) {
  const __u32 segment = skb->gso_size;
  if (segment == 0) return IsMedia(skb, at, bytes);
  for (__u32 i = 0; i <= kMostSegments; ++i) {
    const __u32 most = Fresh(segment);
    const __u32 begin = Fresh(i * most);
    if (begin >= bytes) return 1;
    const __u32 rest = Fresh(bytes) - begin;
    if (!IsMedia(skb, at + begin, rest < most ? rest : most)) return 0;
  }
  return 0;
}

// What is too large must be fragmented, and what has no way out needs another route: the sockets do both.
// `bytes`: an IP packet as it will be on the wire.
INLINE int Fits(struct __sk_buff *skb, const struct relay_flow *flow, __u32 bytes) {
  __u32 mtu = 0;
  return bytes <= flow->mtu && check_mtu(skb, flow->interface, &mtu, 0, BPF_MTU_CHK_SEGS) == 0;
}

INLINE __u32 WireBytes(const struct __sk_buff *skb, __u32 headers, __u32 payload) {
  const __u32 segment = skb->gso_size;
  return headers + (segment != 0 && segment < payload ? segment : payload);
}

// Gives how many there were before. Not by gso_segs, which is 0 in what a hypervisor merged.
INLINE __u64 Count(const struct __sk_buff *skb, struct relay_cell *cell, __u32 at, __u32 bytes) {
  const __u32 segment = skb->gso_size;
  skb_load_bytes(skb, at + kRtpSource, &cell->ssrc, sizeof(cell->ssrc));
  __sync_fetch_and_add(&cell->bytes, bytes);
  return __sync_fetch_and_add(&cell->packets, segment == 0 ? 1 : (bytes + segment - 1) / segment);
}

INLINE __sum16 Fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__sum16)~sum;
}

INLINE __u32 Ports(__be16 source, __be16 destination) { return (__u32)source | (__u32)destination << 16; }

// The kernel knows how far the checksum is computed yet (offload in either direction), so its own
// helpers adapt it: addresses as part of the pseudo header, ports as part of the data. IPv4 without
// checksum stays without. Nothing is changed where this fails.
INLINE int AdaptChecksum(struct __sk_buff *skb, __u32 at, __s64 addresses, __u32 ports, __u32 new_ports, __u64 family) {
  const __u64 zero_means_none = BPF_F_MARK_MANGLED_0;
  if (l4_csum_replace(skb, at, ports, new_ports, zero_means_none | sizeof(ports)) != 0) return 0;
  if (l4_csum_replace(skb, at, 0, addresses, zero_means_none | BPF_F_PSEUDO_HDR | family) == 0) return 1;
  // Before Linux 6.16 the family is not known.
  if (family != 0 && l4_csum_replace(skb, at, 0, addresses, zero_means_none | BPF_F_PSEUDO_HDR) == 0) return 1;
  l4_csum_replace(skb, at, new_ports, ports, zero_means_none | sizeof(ports));
  return 0;
}

INLINE int RelayV4(struct __sk_buff *skb) {
  if (!Readable(skb, V4_HEADERS)) return kPass;
  const struct iphdr *ip = Start(skb) + ETH_HLEN;
  const struct udphdr *udp = (void *)(ip + 1);
  if ((void *)(udp + 1) > End(skb)) return kPass;
  if (*(const __u8 *)ip != 0x45 || ip->protocol != IPPROTO_UDP) return kPass;
  if (ip->frag_off & __builtin_bswap16(kFragment)) return kPass;
  const __u32 length = __builtin_bswap16(ip->tot_len);
  const __u32 bytes = length - sizeof(*ip) - sizeof(*udp);
  if (length <= sizeof(*ip) + sizeof(*udp) || length + ETH_HLEN > skb->len) return kPass;
  if (__builtin_bswap16(udp->len) != length - sizeof(*ip)) return kPass;

  const __be32 mapped = __builtin_bswap32(0xffff);
  const struct relay_key key = {
      .source = {0, 0, mapped, ip->saddr},
      .local = {0, 0, mapped, ip->daddr},
      .source_port = udp->source,
      .local_port = udp->dest,
  };
  const struct relay_flow *flow = map_lookup_elem(&flows, &key);
  if (!flow || flow->arrives != skb->ifindex) return kPass;
  struct relay_cell *cell = map_lookup_elem(&cells, &flow->cell);
  if (!cell || !IsAllMedia(skb, V4_HEADERS, bytes)) return kPass;
  if (!Fits(skb, flow, WireBytes(skb, sizeof(*ip) + sizeof(*udp), bytes))) return kPass;

  const __be32 before[2] = {key.source[3], key.local[3]};
  const __be32 after[2] = {flow->from[3], flow->to[3]};
  const __s64 changed = csum_diff(before, sizeof(before), after, sizeof(after), 0);
  const __u32 ports = Ports(key.source_port, key.local_port);
  if (!AdaptChecksum(skb, ETH_HLEN + sizeof(*ip) + CHECKSUM_AT, changed, ports, Ports(flow->from_port, flow->to_port), 0)) {
    return kPass;
  }
  struct iphdr *out = Start(skb) + ETH_HLEN;
  struct udphdr *out_udp = (void *)(out + 1);
  if ((void *)(out_udp + 1) > End(skb)) return kDrop;
  // As a socket of ours would have sent it: routers may fragment it. A packet that was not to be fragmented
  // may have no identification, so it gets one that no other of the flow has for the next 65,536 packets.
  const struct iphdr old = *out;
  const __u64 number = Count(skb, cell, V4_HEADERS, bytes);
  if (old.frag_off != 0) {
    out->id = __builtin_bswap16((__u16)(number + flow->cell * kIdentificationStep));
    out->frag_off = 0;
  }
  out->tos = 0;
  out->ttl = flow->ttl;
  out->saddr = after[0];
  out->daddr = after[1];
  // By the difference, so that a header that came damaged leaves damaged.
  out->check = Fold(csum_diff((const void *)&old, sizeof(old), (const void *)out, sizeof(*out), (__u16)~old.check));
  out_udp->source = flow->from_port;
  out_udp->dest = flow->to_port;
  return redirect_neigh(flow->interface, 0, 0, 0);
}

INLINE int RelayV6(struct __sk_buff *skb) {
  if (!Readable(skb, V6_HEADERS)) return kPass;
  const struct ipv6hdr *ip = Start(skb) + ETH_HLEN;
  const struct udphdr *udp = (void *)(ip + 1);
  if ((void *)(udp + 1) > End(skb)) return kPass;
  if (*(const __u8 *)ip >> 4 != 6 || ip->nexthdr != IPPROTO_UDP || udp->check == 0) return kPass;
  const __u32 length = __builtin_bswap16(ip->payload_len);
  const __u32 bytes = length - sizeof(*udp);
  if (length <= sizeof(*udp) || length + sizeof(*ip) + ETH_HLEN > skb->len) return kPass;
  if (udp->len != ip->payload_len) return kPass;

  struct relay_key key;
  __builtin_memcpy(key.source, &ip->saddr, sizeof(key.source) + sizeof(key.local));
  key.source_port = udp->source;
  key.local_port = udp->dest;
  const struct relay_flow *flow = map_lookup_elem(&flows, &key);
  if (!flow || flow->arrives != skb->ifindex) return kPass;
  struct relay_cell *cell = map_lookup_elem(&cells, &flow->cell);
  if (!cell || !IsAllMedia(skb, V6_HEADERS, bytes)) return kPass;
  if (!Fits(skb, flow, WireBytes(skb, sizeof(*ip) + sizeof(*udp), bytes))) return kPass;

  const __s64 changed = csum_diff(key.source, 32, flow->from, 32, 0);
  const __u32 ports = Ports(key.source_port, key.local_port);
  const __u32 checksum_at = ETH_HLEN + sizeof(*ip) + CHECKSUM_AT;
  if (!AdaptChecksum(skb, checksum_at, changed, ports, Ports(flow->from_port, flow->to_port), kIpv6Checksum)) {
    return kPass;
  }
  struct ipv6hdr *out = Start(skb) + ETH_HLEN;
  struct udphdr *out_udp = (void *)(out + 1);
  if ((void *)(out_udp + 1) > End(skb)) return kDrop;
  __builtin_memcpy(&out->saddr, flow->from, 32);
  out_udp->source = flow->from_port;
  out_udp->dest = flow->to_port;
  // IPv6 has no header checksum to even these out, so the kernel must know of them. Traffic class 0; the flow label stays.
  __u8 head[8];
  __builtin_memcpy(head, out, sizeof(head));
  head[0] = 0x60;
  head[1] &= 0x0f;
  head[7] = flow->ttl;
  if (skb_store_bytes(skb, ETH_HLEN, head, sizeof(head), BPF_F_RECOMPUTE_CSUM) != 0) return kDrop;
  Count(skb, cell, V6_HEADERS, bytes);
  return redirect_neigh(flow->interface, 0, 0, 0);
}

SECTION("relay") int Relay(struct __sk_buff *skb) {
  // A VLAN tag would be lost; what is not for us is not ours to relay.
  if (skb->pkt_type != kForUs || skb->vlan_present) return kPass;
  if (skb->protocol == __builtin_bswap16(ETH_P_IP)) return RelayV4(skb);
  if (skb->protocol == __builtin_bswap16(ETH_P_IPV6)) return RelayV6(skb);
  return kPass;
}

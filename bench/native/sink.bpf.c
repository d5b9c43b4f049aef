// SPDX-License-Identifier: Apache-2.0
//
// Where media ends in a measurement: drops each UDP packet as it comes in by a device, and notes how many
// came and how long they were under way. The client's sockets would cost more than what is measured.
//
// Compiled at development time only: `node scripts/build-bpf.mjs` writes sink_program.inc.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include "sink_format.h"

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define HELPER(name, ...) (*const name)(__VA_ARGS__) = (void *)BPF_FUNC_##name

static void *HELPER(map_lookup_elem, const void *map, const void *key);
static long HELPER(skb_load_bytes, const void *skb, __u32 at, void *to, __u32 bytes);
static __u64 HELPER(ktime_get_ns, void);

// The loader puts the descriptors of the maps in place of these.
struct map {
  int unused;
} counts SECTION("maps"), buckets SECTION("maps"), streams SECTION("maps");

enum { kPass = -1, kDrop = 2 };  // TCX_NEXT, TCX_DROP
enum { kProtocolAt = ETH_HLEN + __builtin_offsetof(struct iphdr, protocol) };
enum { kPayloadAt = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr) };

// RTP header and stamp as stamp.h writes them.
struct head {
  __u8 first;
  __u8 type;
  __u16 sequence;
  __u32 timestamp;
  __u32 ssrc;
  __u32 sent_low;
  __u32 sent_high;
  __u32 stream;
  __u32 number;
};

enum { kRtpVersion = 0x80, kTypeMask = 0x7f, kPayloadType = 96 };

INLINE int MostSignificantBit(__u64 value) {
  int bit = 0;
  if (value >> 32) bit += 32, value >>= 32;
  if (value >> 16) bit += 16, value >>= 16;
  if (value >> 8) bit += 8, value >>= 8;
  if (value >> 4) bit += 4, value >>= 4;
  if (value >> 2) bit += 2, value >>= 2;
  return bit + (int)(value >> 1);
}

INLINE __u32 BucketOf(__u64 value) {
  if (value >> kSinkFineBits == 0) return (__u32)value;
  const int shift = MostSignificantBit(value) - kSinkFineBits;
  const __u32 bucket = ((__u32)shift << kSinkFineBits) + (__u32)(value >> shift);
  return bucket < kSinkBuckets ? bucket : kSinkBuckets - 1;
}

// RFC 3550 §6.4.1: by how much the time under way differs from that of the stream's packet before.
INLINE void NoteJitter(struct sink_counts *all, __u32 index, __s64 transit, __u32 packets) {
  struct sink_stream *stream = map_lookup_elem(&streams, &index);
  if (!stream) return;
  if (stream->epoch == all->epoch) {
    const __s64 change = transit - stream->transit;
    all->jitter_sum += (__u64)(change < 0 ? -change : change);
    all->jitters += packets;
  }
  stream->transit = transit;
  stream->epoch = all->epoch;
}

SECTION("sink") int Sink(struct __sk_buff *skb) {
  __u8 protocol = 0;
  if (skb->protocol != __builtin_bswap16(ETH_P_IP)) return kPass;
  if (skb_load_bytes(skb, kProtocolAt, &protocol, sizeof(protocol)) != 0 || protocol != IPPROTO_UDP) return kPass;

  const __u32 zero = 0;
  struct sink_counts *all = map_lookup_elem(&counts, &zero);
  if (!all) return kDrop;
  struct head head;
  if (skb_load_bytes(skb, kPayloadAt, &head, sizeof(head)) != 0 || head.first != kRtpVersion ||
      (head.type & kTypeMask) != kPayloadType) {
    ++all->foreign;
    return kDrop;
  }
  const __u32 packets = skb->gso_segs ? skb->gso_segs : 1;  // merged ones were sent together
  const __u64 sent = (__u64)head.sent_high << 32 | head.sent_low;
  if (sent < all->since) return kDrop;  // left over from the measurement before
  const __u64 now = ktime_get_ns();
  const __u64 delay = now > sent ? now - sent : 0;
  all->packets += packets;
  if (all->first_sent == 0 || sent < all->first_sent) all->first_sent = sent;
  all->last_came = now;
  all->delay_sum += delay * packets;
  if (delay > all->delay_max) all->delay_max = delay;
  const __u32 index = BucketOf(delay);
  __u64 *bucket = map_lookup_elem(&buckets, &index);
  if (bucket) *bucket += packets;
  NoteJitter(all, head.stream, (__s64)delay, packets);
  return kDrop;
}

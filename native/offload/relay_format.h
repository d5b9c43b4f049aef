// What the BPF program and the processes of the appliance share through maps.
// Plain C: relay.bpf.c is compiled from it too.
#pragma once

#include <linux/types.h>

// One flow: packets of exactly this source to exactly this port of ours. Network order;
// IPv4 addresses as IPv6 ones that are mapped (::ffff:a.b.c.d).
struct relay_key {
  __be32 source[4];
  __be32 local[4];
  __be16 source_port;
  __be16 local_port;
};

// Where they go, and what they then look like.
struct relay_flow {
  __be32 from[4];  // a port of ours on the other side; IPv4 in the last word, as in the key
  __be32 to[4];
  __be16 from_port;
  __be16 to_port;
  __u32 arrives;    // the interface they come by; from any other they are for the sockets, where reverse path filters are
  __u32 interface;  // they leave by this one
  __u32 mtu;        // largest IP packet of the route
  __u32 cell;       // which counters
  __u32 ttl;        // of a packet that a socket of ours would send
  // For the processes alone: whose flow it is.
  __u32 stream;
  __u32 generation;
};

// Counters of one flow, ever growing; on a line of their own, as flows may be on different processors.
struct relay_cell {
  __u64 packets;  // merged ones counted singly
  __u64 bytes;    // of payload
  __be32 ssrc;    // of the last one: who shows the same from another port may be its source, moved
  __u32 unused[11];
};

// The map `interfaces`, by interface index: a blackboard between engine and primary.
enum relay_interface {
  RELAY_INTERFACE_WANTED = 1,    // the engine has flows for it
  RELAY_INTERFACE_ATTACHED = 2,  // the primary attached the program
  RELAY_INTERFACE_REFUSED = 3,   // the kernel would not have it
};

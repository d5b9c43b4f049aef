// The region: one sealed memory file shared by every process of an appliance.
// This header is the contract between C++ and TypeScript: the addon exports the
// offsets below as `layout`, TypeScript writes no literal offset, and a golden
// test guards both. Change anything here and kLayoutVersion must change too.
//
// Every cell has one writer, named beside it. Readers of a row that may change
// under them use the row's sequence number (odd while it is being written).
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace penstock::table {

inline constexpr uint64_t kRegionMagic = 0x6b636f74736e6570;  // "penstock"
inline constexpr uint32_t kLayoutVersion = 2;

inline constexpr uint32_t kMaxWorkers = 64;
inline constexpr uint32_t kMaxEngineThreads = 16;
inline constexpr uint32_t kMaxServices = 1024;
inline constexpr uint32_t kLegsPerStream = 4;
inline constexpr uint32_t kMaxServerId = 128;    // bytes of a server's Session id
inline constexpr uint32_t kMaxControlUrl = 512;  // bytes of the URL a TEARDOWN is sent to

// Monotonic time everywhere: CLOCK_MONOTONIC in milliseconds, as a double, so that
// one aligned 8-byte store publishes it and JavaScript reads it without BigInt.
using Millis = double;

// ---------------------------------------------------------------- addresses
enum Family : uint8_t { kFamilyNone = 0, kFamilyV4 = 4, kFamilyV6 = 6 };

struct Endpoint {
  uint8_t address[16];  // IPv4 in the first four bytes, network order
  uint16_t port;        // host order; 0 = any port (the wildcard)
  uint8_t family;       // Family
  uint8_t reserved;
  uint32_t scope;  // IPv6 scope id, else 0
};
static_assert(sizeof(Endpoint) == 24);

// ---------------------------------------------------------------- header
struct alignas(64) RegionHeader {  // writer: the primary, before any child starts, unless said otherwise
  uint64_t magic;
  uint32_t layout_version;
  uint32_t workers;
  uint32_t engine_threads;
  uint32_t services;             // rows of the service table
  uint32_t sessions_per_worker;  // slice length of the session table
  uint32_t streams_per_worker;   // slice length of the stream table
  uint32_t index_per_worker;     // slots of a slice's hash index, a power of two
  uint32_t ring_slots;           // slots of each ring, a power of two
  uint64_t size;
  uint64_t processes_offset;
  uint64_t services_offset;
  uint64_t loads_offset;
  uint64_t sessions_offset;
  uint64_t index_offset;
  uint64_t streams_offset;
  uint64_t command_rings_offset;
  uint64_t event_rings_offset;
  uint64_t counters_offset;
  Millis created_ms;
  uint32_t quarantine_ms;  // how long a freed pair must be silent; the primary may change it
  uint32_t default_latching;
};

// ---------------------------------------------------------------- processes
enum ProcessState : uint32_t { kProcessEmpty = 0, kProcessStarting = 1, kProcessReady = 2, kProcessDraining = 3 };

struct alignas(64) ProcessSlot {  // 0 = primary, 1 = engine, 2+i = worker i; writer: that process
  uint32_t pid;
  uint32_t state;    // ProcessState
  uint32_t epoch;    // counts starts of this slot
  uint32_t connections;  // open client connections (workers)
  Millis started_ms;
  Millis heartbeat_ms;
  uint64_t rss_bytes;
  uint64_t cpu_us;  // user + system
};

// ---------------------------------------------------------------- services
enum ServiceState : uint32_t { kServiceUp = 0, kServiceDown = 1, kServiceDraining = 2, kServiceDisabled = 3, kServiceUnknown = 4 };

struct alignas(64) ServiceCell {  // writer: the primary
  uint32_t state;                 // ServiceState
  uint32_t weight;
  uint32_t max_sessions;  // 0 = no limit
  uint32_t changes;       // times `state` changed
  Millis changed_ms;
};

struct alignas(64) LoadCell {  // [service][worker]; writer: that worker
  uint32_t sessions;           // live sessions
  uint32_t pending;            // connections bound to the service that have no session yet
  uint32_t connect_failures;
  uint32_t refused_setups;
  uint64_t sessions_total;
  uint64_t requests_total;
  double turns;  // what this worker gave of the service's turns, each 1 / weight; the balancers add it up over workers
};

// ---------------------------------------------------------------- sessions
enum RowState : uint32_t { kRowFree = 0, kRowOpen = 1, kRowClosing = 2 };

struct alignas(64) SessionEntry {  // writer: the worker whose slice holds it
  uint32_t sequence;               // odd while the row is being written
  uint32_t state;                  // RowState
  uint32_t generation;
  uint32_t vserver;
  uint32_t service;
  uint32_t streams;          // number of open streams
  uint32_t server_id_bytes;
  uint32_t control_url_bytes;
  uint32_t timeout_sec;      // the server's own `timeout=`, 0 = not said
  uint32_t flags;            // SessionFlags
  Endpoint client;           // the RTSP peer
  Millis opened_ms;
  Millis client_control_ms;  // last RTSP message from the client
  Millis server_control_ms;  // last RTSP message from the server
  char server_id[kMaxServerId];
  char control_url[kMaxControlUrl];
};

enum SessionFlags : uint32_t { kSessionPlaying = 1, kSessionRecording = 2, kSessionInterleaved = 4 };

// ---------------------------------------------------------------- streams
enum LegIndex : uint32_t { kClientRtp = 0, kClientRtcp = 1, kServerRtp = 2, kServerRtcp = 3 };
enum Latching : uint8_t { kLatchOff = 0, kLatchSameIp = 1, kLatchAny = 2 };
// How packets that come to a leg are moved, best last, and why not better.
enum Tier : uint32_t { kTierNone = 0, kTierMmsg = 1, kTierGso = 2, kTierOffload = 3 };
enum TierReason : uint32_t {
  kReasonNone = 0,
  kReasonSwitchedOff = 1,   // --packet-path
  kReasonUnavailable = 2,   // the machine does not allow offload
  kReasonReports = 3,       // RTCP is read here
  kReasonNoMedia = 4,       // no media is expected from this side
  kReasonWaiting = 5,       // the source is not known yet
  kReasonNoRemote = 6,      // nor where to send to
  kReasonRewriting = 7,     // headers are changed on the way
  kReasonFamilies = 8,      // IPv4 on one side, IPv6 on the other
  kReasonLoopback = 9,      // a peer on this very machine
  kReasonRoute = 10,        // no route, or not to a single host
  kReasonInterface = 11,    // an interface without Ethernet, or that the kernel would not attach to
  kReasonAttaching = 12,    // the interface is being attached to
  kReasonUnfit = 13,        // fragments, packets larger than the MTU and the like keep coming
  kReasonRefused = 14,      // the kernel did not take the flow
  kReasonSettling = 15,     // waits for a pause between packets, so that none is overtaken
};
enum LegState : uint32_t { kLegUnused = 0, kLegWaiting = 1, kLegLatched = 2, kLegRelearning = 3, kLegClosed = 4 };
enum StreamTransport : uint8_t { kTransportUdp = 0, kTransportInterleaved = 1, kTransportOpaque = 2 };

// Flags of LegControl.
enum LegFlags : uint8_t {
  kLegExpectsMedia = 1,  // RTP is expected from here (server of a PLAY, client of a RECORD or backchannel): no probation
};

// Header rewriting of the packets that leave by a leg. Deltas are added modulo their width.
enum RewriteFlags : uint32_t { kRewriteSsrc = 1, kRewriteSequence = 2, kRewriteTimestamp = 4, kRewritePayloadType = 8 };

struct Rewrite {
  uint32_t flags;  // RewriteFlags; 0 = packets leave as they came
  uint32_t ssrc_from;  // RTCP blocks that name `ssrc_from` are rewritten too
  uint32_t ssrc_to;
  uint32_t timestamp_delta;
  uint16_t sequence_delta;
  uint8_t payload_type;
  uint8_t reserved;
};
static_assert(sizeof(Rewrite) == 20);

struct LegControl {  // writer: the worker
  Endpoint local;    // the listening service: our own address and port
  Endpoint declared;   // what RTSP said of the peer; port 0 = wildcard, family none = nothing known
  Endpoint alternate;  // another address that the peer may send from; family none = there is none
  uint8_t latching;  // Latching
  uint8_t flags;     // LegFlags
  uint16_t reserved;
  Rewrite rewrite;
};
static_assert(sizeof(LegControl) == 96);

struct alignas(8) LegData {  // writer: the engine thread of the stream
  uint32_t state;            // LegState
  uint32_t latches;          // how often the source was learned (1 = once, more = it changed)
  Endpoint remote;           // where packets are sent to, and after latching the only source accepted
  Millis last_rx_ms;
  uint64_t rx_packets;
  uint64_t rx_bytes;
  uint64_t tx_packets;
  uint64_t tx_bytes;
  uint64_t refused;  // packets not forwarded, any reason but punches
  uint64_t punches;
  // RFC 3550 quality of what arrives on this leg (RTP legs), and the round trip to its peer (RTCP legs).
  uint32_t ssrc;
  uint32_t highest_sequence;  // extended
  uint32_t expected;
  uint32_t received;
  uint32_t jitter_x16;     // timestamp units, times 16, as in RFC 3550 A.8
  uint32_t round_trip_us;  // 0 = not known
  uint32_t tier;           // Tier of what arrives here
  uint32_t tier_reason;    // TierReason
  // Of the kernel's counters of this leg, what the counts above hold already.
  uint64_t kernel_packets;
  uint64_t kernel_bytes;
};
static_assert(sizeof(LegData) == 136);

struct alignas(64) StreamEntry {
  // -- control half; writer: the owner worker
  uint32_t sequence;
  uint32_t state;       // RowState
  uint32_t generation;  // one more at each opening of the row
  uint32_t session;     // global session slot
  uint32_t service;
  uint32_t clock_rate;  // of the RTP timestamps, 0 = not known
  uint8_t transport;    // StreamTransport
  uint8_t media;        // 0 unknown, 1 video, 2 audio, 3 other
  uint8_t client_channel;  // interleaved: the even channel towards the client
  uint8_t server_channel;
  uint32_t reserved;
  Millis opened_ms;
  LegControl legs[kLegsPerStream];
  // -- data half; writer: the engine thread of the stream (slot % engine_threads),
  //    or the owner worker where the transport is interleaved
  alignas(64) uint32_t attached_generation;  // the engine relays this generation
  uint32_t released_generation;              // the engine has let go of this generation: the row may be used again
  LegData data[kLegsPerStream];
};
static_assert(offsetof(StreamEntry, attached_generation) % 64 == 0);

// ---------------------------------------------------------------- rings
// Single producer, single consumer. `head` is written by the producer, `tail` by the consumer;
// both count up for ever and are reduced modulo ring_slots.
enum CommandOp : uint32_t { kCommandUpdate = 1, kCommandClose = 2 };
struct Command {
  uint32_t op;
  uint32_t stream;
  uint32_t generation;
  uint32_t reserved;
};
enum EventKind : uint32_t { kEventLatched = 1, kEventRelearned = 2, kEventReleased = 3 };
struct Event {
  uint32_t kind;
  uint32_t stream;
  uint32_t generation;
  uint32_t leg;
  Endpoint remote;
};
static_assert(sizeof(Event) == 40);

struct alignas(64) RingHeader {
  alignas(64) uint32_t head;
  uint32_t dropped;  // the ring was full; writer: the producer
  alignas(64) uint32_t tail;
};
// command_rings_offset: [worker][thread] of { RingHeader, Command[ring_slots] }
// event_rings_offset:   [worker][thread] of { RingHeader, Event[ring_slots] }, the worker being the consumer

static_assert(std::is_trivially_copyable_v<StreamEntry> && std::is_standard_layout_v<StreamEntry>);
static_assert(std::is_trivially_copyable_v<SessionEntry> && std::is_standard_layout_v<SessionEntry>);

}  // namespace penstock::table

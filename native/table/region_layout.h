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
inline constexpr uint32_t kLayoutVersion = 10;

inline constexpr uint32_t kMaxWorkers = 64;
inline constexpr uint32_t kMaxEngineThreads = 16;
inline constexpr uint32_t kMaxServices = 1024;
inline constexpr uint32_t kLegsPerStream = 4;
inline constexpr uint32_t kMaxServerId = 128;    // bytes of a server's Session id
inline constexpr uint32_t kMaxControlUrl = 512;  // bytes of the URL a TEARDOWN is sent to
inline constexpr uint32_t kMaxAuthority = 256;   // bytes of the URL, without a path, by which a client calls us
inline constexpr uint32_t kClientBuckets = 8192;  // of client addresses, which share one where their hashes meet
inline constexpr uint32_t kRateUnit = 100'000;  // bits per second, of a leg's limit
inline constexpr uint32_t kNoWire = UINT32_MAX;
inline constexpr uint32_t kMaxHeldMessage = 64 * 1024;  // bytes of an RTSP message that comes on a wire, body included
inline constexpr uint32_t kMaxWireTail = 2048;   // rest of a half-sent frame that a wire keeps for itself
inline constexpr uint32_t kMaxBurst = 256;       // frames of a wire's own queue that are written at once

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
  uint32_t wires_per_worker;     // slice length of the wire table
  uint32_t wire_ring_bytes;      // bytes of each inbox and outbox, a power of two
  uint64_t size;
  uint64_t processes_offset;
  uint64_t services_offset;
  uint64_t loads_offset;
  uint64_t clients_offset;
  uint64_t sessions_offset;
  uint64_t index_offset;
  uint64_t streams_offset;
  uint64_t command_rings_offset;
  uint64_t event_rings_offset;
  uint64_t wires_offset;
  uint64_t inboxes_offset;
  uint64_t outboxes_offset;
  uint64_t counters_offset;
  Millis created_ms;
  uint32_t quarantine_ms;  // how long a freed pair must be silent; the primary may change it
  uint32_t default_latching;
  uint32_t interleaved_backlog;   // bytes of frames that may wait for a peer that does not read; the primary may change it
  uint32_t interleaved_overflow;  // Overflow: what happens then; the primary may change it
  uint32_t message_deadline_ms;   // for a message that has begun to be complete; the primary may change it
  uint32_t client_seed;           // of the hash of client addresses: strangers cannot choose their bucket
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

// ---------------------------------------------------------------- clients
struct alignas(8) ClientCell {  // [kClientBuckets + 1][worker], the last row being everybody; writer: that worker
  uint32_t connections;
  uint32_t sessions;
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
  kReasonUnfit = 13,        // what it must leave to the sockets keeps coming: fragments, packets larger than the MTU
  kReasonRefused = 14,      // the kernel did not take the flow
  kReasonSettling = 15,     // waits for a pause between packets, so that none is overtaken
  kReasonIpsec = 16,        // the machine has IPsec policies, which sockets alone obey
  kReasonNotRtp = 17,       // the kernel's relay knows RTP only
  kReasonLimited = 18,      // the bits of a second are counted
  kReasonBridged = 19,      // it goes on as frames of a connection
};
enum LegState : uint32_t { kLegUnused = 0, kLegWaiting = 1, kLegLatched = 2, kLegRelearning = 3, kLegClosed = 4 };
enum StreamTransport : uint8_t { kTransportUdp = 0, kTransportInterleaved = 1, kTransportOpaque = 2, kTransportBridged = 3 };

// Flags of LegControl.
enum LegFlags : uint8_t {
  kLegExpectsMedia = 1,  // RTP is expected from here (server of a PLAY, client of a RECORD or backchannel): no probation
  kLegOpaque = 2,  // not RTP, so that all packets of the right source are forwarded unread
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
  uint16_t max_rate;  // of what comes from the peer, in kRateUnit; 0 = no limit
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
  uint64_t overflowed;  // packets that found the socket's receive buffer full (SO_RXQ_OVFL); part of no other count
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
static_assert(sizeof(LegData) == 144);

struct alignas(64) StreamEntry {
  // -- control half; writer: the owner worker
  uint32_t sequence;
  uint32_t state;       // RowState
  uint32_t generation;  // one more at each opening of the row
  uint32_t session;     // global session slot
  uint32_t service;
  uint32_t clock_rate;  // of the RTP timestamps, 0 = not known
  uint8_t transport;    // StreamTransport; bridged: legs without a `local` are channels of that side's wire
  uint8_t media;        // 0 unknown, 1 video, 2 audio, 3 other
  uint8_t client_channel;  // interleaved: the channel of RTP towards the client
  uint8_t server_channel;
  uint8_t client_rtcp_channel;
  uint8_t server_rtcp_channel;
  uint16_t reserved;
  Millis opened_ms;
  // Global slots of the wires of the RTSP connections; kNoWire = those are the worker's. The engine looks at them, and
  // at the channels, where the transport is interleaved or bridged: the frames are theirs.
  uint32_t client_wire;
  uint32_t server_wire;
  uint32_t client_wire_generation;  // whoever has the slot later is somebody else
  uint32_t server_wire_generation;
  uint32_t url_hash;  // the worker's own: of the URL that was set up
  uint32_t reserved2;
  LegControl legs[kLegsPerStream];
  // -- data half; writer: the engine thread of the stream (slot % engine_threads); where the
  //    transport is interleaved the engine thread of its wires, or without wires the owner worker
  alignas(64) uint32_t attached_generation;  // the engine relays this generation
  uint32_t released_generation;              // the engine has let go of this generation: the row may be used again
  LegData data[kLegsPerStream];
};
static_assert(offsetof(StreamEntry, attached_generation) % 64 == 0);

// ---------------------------------------------------------------- wires
// A wire is a TCP connection that the engine relays. Its bytes stay in the kernel's buffer until
// they are in that of the peer wire, or until the worker has dealt with the message that they are.
enum WireKind : uint32_t { kWireClient = 1, kWireUpstream = 2 };
enum Overflow : uint32_t { kOverflowDropFrames = 0, kOverflowClose = 1 };
enum WireState : uint32_t {
  kWireIdle = 0,     // not started: nothing is read
  kWireOpen = 1,
  kWireFaulted = 2,  // what came is no RTSP: nothing more is understood, what comes is thrown away
  kWireEnded = 3,    // the peer has sent all that it will (FIN), and all of it was dealt with
  kWireClosed = 4,   // nothing can be read or written any more
};
enum WireFault : uint32_t {
  kFaultNone = 0,
  kFaultMessage = 1,   // neither a frame nor a message begins here, or its head cannot be read
  kFaultTooLarge = 2,  // more than kMaxHeldMessage
  kFaultLate = 3,      // a message or frame was not complete in time
};
enum WireEnd : uint32_t {  // why a wire was closed
  kEndNone = 0,
  kEndBoth = 1,      // both sides have sent their FIN
  kEndLinger = 2,    // after our FIN the peer's did not come in time
  kEndError = 3,     // the kernel says so: reset, timed out
  kEndMessages = 4,  // the peer takes no messages
  kEndFrames = 5,    // the peer takes no frames, and the policy says close
  kEndTorn = 6,      // a half-written frame or message cannot be finished
  kEndLost = 7,      // its descriptor did not come
};
enum WireShut : uint32_t { kShutNone = 0, kShutAsked = 1, kShutSent = 2 };  // our FIN
enum WireWriting : uint32_t {
  kWritingFrames = 0,
  kWritingMessage = 1,
  kWritingTail = 2,
  kWritingBurst = 3,  // frames that came from sockets, their lengths being in `burst`
  kWritingRest = 4,   // as a tail, in the memory of the engine
};

// What was read from and written to a wire, so that an engine that dies at any instruction has a
// successor that goes on at the very byte. A send is noted after it was made: the kernel's own
// counts tell a successor what was sent and not noted, and this ledger, whose it was.
struct WireLedger {
  uint64_t taken;         // bytes of the incoming stream that are dealt with; always between frames or messages
  uint64_t sent;          // bytes written
  uint64_t source_taken;  // `taken` of the source, as of `sent`
  uint32_t source;        // the wire whose frames were last written here, or kNoWire
  uint32_t source_generation;
  uint32_t target;        // the wire that this wire's frames last went to, or kNoWire
  uint32_t target_generation;
  uint32_t writing;         // WireWriting: whose bytes come next
  uint32_t frame_offset;    // bytes already written of the frame at the head of the source
  uint32_t tail_bytes;      // of `tail`
  uint32_t tail_offset;     // bytes already written of it
  uint32_t messages_taken;  // incoming messages dealt with
  uint32_t written_seq;     // outgoing messages written, the last one's number
  uint32_t message_seq;     // the message after it, once it is begun
  uint32_t message_bytes;   // of that
  uint32_t message_offset;  // bytes already written of it
  uint32_t continue_wire;   // what that message (or written_seq, when none is begun) deals with; kNoWire = nothing
  uint32_t continue_generation;
  uint32_t continue_seq;
  uint32_t burst_frames;  // in `burst`
  uint32_t reserved;
};
static_assert(sizeof(WireLedger) == 96);

struct alignas(64) WireEntry {
  // -- control half; writer: the owner worker
  uint32_t sequence;    // odd while the control half is being written
  uint32_t state;       // RowState
  uint32_t generation;  // one more at each opening of the row
  uint32_t thread;      // engine thread; the same for all wires that exchange frames
  uint32_t kind;        // WireKind
  uint32_t link;        // global slot of the client's wire, of an upstream; else kNoWire
  uint32_t vserver;
  uint32_t service;     // of an upstream
  Endpoint remote;         // a client's: whom the proxy names, where one forwards the connection
  Endpoint local;
  Endpoint proxy;          // of a client: the proxy that forwards the connection, if one does
  Endpoint reached;        // likewise: what the client connected to there
  Millis opened_ms;
  uint32_t flags;          // the worker's own, not looked at by the engine
  uint32_t cseq_ahead;     // likewise, and all below; may be written without `sequence`
  uint32_t forwarded_seq;  // client: the last held message that was passed on; upstream: the message that carried it
  uint32_t authority_bytes;
  char authority[kMaxAuthority];
  // -- data half; writer: the engine thread `thread`
  alignas(64) uint32_t attached_generation;  // the engine has the descriptor of this generation
  uint32_t released_generation;              // the engine has let go of this generation: the row may be used again
  uint32_t wire_state;      // WireState
  uint32_t fault;           // WireFault
  uint32_t end;             // WireEnd
  uint32_t error;           // errno, where `end` is kEndError
  uint32_t written_seq;     // as in the ledger: messages up to this one are in the kernel's hands
  uint32_t messages_taken;  // as in the ledger
  uint32_t shut;            // WireShut
  uint32_t ledger_index;    // which of the two ledgers counts
  uint64_t base_taken;      // the kernel's counts when the wire came
  uint64_t base_sent;
  WireLedger ledgers[2];
  Millis last_rx_ms;
  Millis last_tx_ms;  // the peer's kernel took something from us
  uint64_t rx_bytes;  // frames and messages dealt with
  uint64_t rx_frames;
  uint64_t rx_messages;
  uint64_t tx_bytes;
  uint64_t tx_frames;
  uint64_t tx_messages;
  uint64_t dropped_frames;   // of the frames for this wire, those that it did not take in time
  uint64_t unrouted_frames;  // frames that came on a channel that is nobody's
  uint8_t tail[kMaxWireTail];
  uint16_t burst[kMaxBurst];  // payloads of the frames that are being written: where a successor finds the next border
};
static_assert(offsetof(WireEntry, attached_generation) % 64 == 0);

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

// Records about wires, in rings of bytes: `head` and `tail` count bytes, modulo wire_ring_bytes.
// outboxes_offset: [worker][thread] of { RingHeader, bytes }, worker → engine thread
// inboxes_offset:  [worker][thread] of { RingHeader, bytes }, engine thread → worker
// A record lies in one piece, is aligned to 8 bytes, and is followed by its payload.
enum WireRecordKind : uint32_t {
  kRecordPad = 0,  // skips to the end of the ring
  // worker → engine
  kRecordStart = 1,     // read this wire from now on; and say where it stands, all that is open once more; seq: a token
  kRecordWrite = 2,     // payload: a message to write; seq: its number. Then continue_* is continued
  kRecordContinue = 3,  // the held message `seq` is dealt with
  kRecordStream = 4,    // wire, generation: of a stream row that was written: its channels were opened or closed
  kRecordShutdown = 5,  // FIN after all that is to be written
  kRecordClose = 6,     // end it now; what is not written is lost
  // engine → worker
  // it is in the engine's hands; seq: last WRITE accepted, value: last WRITE written, continue_seq: last message
  // taken, continue_generation: the token of the START that this engine has had, 0 = none yet
  kRecordAttached = 16,
  kRecordMessage = 17,   // payload: a whole message, which stays held until it is continued; seq: its number
  kRecordFault = 18,     // value: WireFault; payload: what could not be read
  kRecordEnd = 19,       // the peer's FIN; writing is still possible
  kRecordClosed = 20,    // value: WireEnd, seq: errno of kEndError; the worker answers with kRecordClose
  kRecordReleased = 21,  // the row may be used again
};
struct alignas(8) WireRecord {
  uint32_t bytes;  // of the payload
  uint32_t kind;   // WireRecordKind
  uint32_t wire;   // global slot
  uint32_t generation;
  uint32_t seq;
  uint32_t value;
  uint32_t continue_wire;  // kNoWire = nothing
  uint32_t continue_generation;
  uint32_t continue_seq;
  uint32_t reserved;
};
static_assert(sizeof(WireRecord) == 40);

static_assert(std::is_trivially_copyable_v<StreamEntry> && std::is_standard_layout_v<StreamEntry>);
static_assert(std::is_trivially_copyable_v<WireEntry> && std::is_standard_layout_v<WireEntry>);
static_assert(std::is_trivially_copyable_v<SessionEntry> && std::is_standard_layout_v<SessionEntry>);

}  // namespace penstock::table

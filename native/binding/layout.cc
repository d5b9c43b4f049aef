// The `layout` export: every offset that TypeScript uses, straight from the structs.
// One line here per field; names become camel case, enumerators are named as they are meant.
#include <cctype>
#include <cstddef>
#include <initializer_list>
#include <string>

#include "binding/functions.h"
#include "counters/counters.h"
#include "table/region.h"

namespace penstock::binding {
namespace {

using namespace penstock::table;

struct Named {
  const char* name;
  size_t value;
};

struct Group {
  const char* name;
  std::initializer_list<Named> members;
};

#define FIELD(row, member) Named{#member, offsetof(row, member)}

const Group kGroups[] = {
    {"limits",
     {{"max_workers", kMaxWorkers},
      {"max_engine_threads", kMaxEngineThreads},
      {"max_services", kMaxServices},
      {"max_rows_per_worker", kMaxRowsPerWorker},
      {"min_ring_slots", kMinRingSlots},
      {"max_ring_slots", kMaxRingSlots},
      {"legs_per_stream", kLegsPerStream},
      {"max_server_id", kMaxServerId},
      {"max_control_url", kMaxControlUrl},
      {"max_authority", kMaxAuthority},
      {"client_buckets", kClientBuckets},
      {"rate_unit", kRateUnit},
      {"no_wire", kNoWire},
      {"max_held_message", kMaxHeldMessage},
      {"max_wire_tail", kMaxWireTail},
      {"min_wire_ring", kMinWireRing},
      {"max_wire_ring", kMaxWireRing}}},
    {"sizes",
     {{"header", sizeof(RegionHeader)},
      {"process", sizeof(ProcessSlot)},
      {"service", sizeof(ServiceCell)},
      {"load", sizeof(LoadCell)},
      {"client", sizeof(ClientCell)},
      {"session", sizeof(SessionEntry)},
      {"index_slot", sizeof(uint32_t)},
      {"stream", sizeof(StreamEntry)},
      {"leg", sizeof(LegControl)},
      {"leg_data", sizeof(LegData)},
      {"endpoint", sizeof(Endpoint)},
      {"rewrite", sizeof(Rewrite)},
      {"ring", sizeof(RingHeader)},
      {"command", sizeof(Command)},
      {"event", sizeof(Event)},
      {"wire", sizeof(WireEntry)},
      {"wire_record", sizeof(WireRecord)},
      {"counters", sizeof(counters::CounterBlock)}}},
    {"header",
     {FIELD(RegionHeader, magic), FIELD(RegionHeader, layout_version), FIELD(RegionHeader, workers),
      FIELD(RegionHeader, engine_threads), FIELD(RegionHeader, services), FIELD(RegionHeader, sessions_per_worker),
      FIELD(RegionHeader, streams_per_worker), FIELD(RegionHeader, index_per_worker), FIELD(RegionHeader, ring_slots),
      FIELD(RegionHeader, wires_per_worker), FIELD(RegionHeader, wire_ring_bytes),
      FIELD(RegionHeader, size), FIELD(RegionHeader, processes_offset), FIELD(RegionHeader, services_offset),
      FIELD(RegionHeader, loads_offset), FIELD(RegionHeader, clients_offset), FIELD(RegionHeader, sessions_offset), FIELD(RegionHeader, index_offset),
      FIELD(RegionHeader, streams_offset), FIELD(RegionHeader, command_rings_offset),
      FIELD(RegionHeader, event_rings_offset), FIELD(RegionHeader, wires_offset),
      FIELD(RegionHeader, inboxes_offset), FIELD(RegionHeader, outboxes_offset), FIELD(RegionHeader, counters_offset), FIELD(RegionHeader, created_ms),
      FIELD(RegionHeader, quarantine_ms), FIELD(RegionHeader, default_latching),
      FIELD(RegionHeader, interleaved_backlog), FIELD(RegionHeader, interleaved_overflow),
      FIELD(RegionHeader, message_deadline_ms), FIELD(RegionHeader, client_seed)}},
    {"process",
     {FIELD(ProcessSlot, pid), FIELD(ProcessSlot, state), FIELD(ProcessSlot, epoch), FIELD(ProcessSlot, connections),
      FIELD(ProcessSlot, started_ms), FIELD(ProcessSlot, heartbeat_ms), FIELD(ProcessSlot, rss_bytes),
      FIELD(ProcessSlot, cpu_us)}},
    {"service",
     {FIELD(ServiceCell, state), FIELD(ServiceCell, weight), FIELD(ServiceCell, max_sessions),
      FIELD(ServiceCell, changes), FIELD(ServiceCell, changed_ms)}},
    {"load",
     {FIELD(LoadCell, sessions), FIELD(LoadCell, pending), FIELD(LoadCell, connect_failures),
      FIELD(LoadCell, refused_setups), FIELD(LoadCell, sessions_total), FIELD(LoadCell, requests_total),
      FIELD(LoadCell, turns)}},
    {"client", {FIELD(ClientCell, connections), FIELD(ClientCell, sessions)}},
    {"session",
     {FIELD(SessionEntry, sequence), FIELD(SessionEntry, state), FIELD(SessionEntry, generation),
      FIELD(SessionEntry, vserver), FIELD(SessionEntry, service), FIELD(SessionEntry, streams),
      FIELD(SessionEntry, server_id_bytes), FIELD(SessionEntry, control_url_bytes), FIELD(SessionEntry, timeout_sec),
      FIELD(SessionEntry, flags), FIELD(SessionEntry, client), FIELD(SessionEntry, opened_ms),
      FIELD(SessionEntry, client_control_ms), FIELD(SessionEntry, server_control_ms), FIELD(SessionEntry, server_id),
      FIELD(SessionEntry, control_url)}},
    {"stream",
     {FIELD(StreamEntry, sequence), FIELD(StreamEntry, state), FIELD(StreamEntry, generation),
      FIELD(StreamEntry, session), FIELD(StreamEntry, service), FIELD(StreamEntry, clock_rate),
      FIELD(StreamEntry, transport), FIELD(StreamEntry, media), FIELD(StreamEntry, client_channel),
      FIELD(StreamEntry, server_channel), FIELD(StreamEntry, client_rtcp_channel),
      FIELD(StreamEntry, server_rtcp_channel), FIELD(StreamEntry, client_wire), FIELD(StreamEntry, server_wire),
      FIELD(StreamEntry, client_wire_generation), FIELD(StreamEntry, server_wire_generation), FIELD(StreamEntry, url_hash),
      FIELD(StreamEntry, opened_ms), FIELD(StreamEntry, legs),
      FIELD(StreamEntry, attached_generation), FIELD(StreamEntry, released_generation), FIELD(StreamEntry, data)}},
    {"leg",
     {FIELD(LegControl, local), FIELD(LegControl, declared), FIELD(LegControl, alternate),
      FIELD(LegControl, latching), FIELD(LegControl, flags), FIELD(LegControl, max_rate),
      FIELD(LegControl, rewrite)}},
    {"leg_data",
     {FIELD(LegData, state), FIELD(LegData, latches), FIELD(LegData, remote), FIELD(LegData, last_rx_ms),
      FIELD(LegData, rx_packets), FIELD(LegData, rx_bytes), FIELD(LegData, tx_packets), FIELD(LegData, tx_bytes),
      FIELD(LegData, refused), FIELD(LegData, punches), FIELD(LegData, overflowed), FIELD(LegData, ssrc), FIELD(LegData, highest_sequence),
      FIELD(LegData, expected), FIELD(LegData, received), FIELD(LegData, jitter_x16),
      FIELD(LegData, round_trip_us), FIELD(LegData, tier), FIELD(LegData, tier_reason),
      FIELD(LegData, kernel_packets), FIELD(LegData, kernel_bytes)}},
    {"wire",
     {FIELD(WireEntry, sequence), FIELD(WireEntry, state), FIELD(WireEntry, generation), FIELD(WireEntry, thread),
      FIELD(WireEntry, kind), FIELD(WireEntry, link), FIELD(WireEntry, vserver), FIELD(WireEntry, service),
      FIELD(WireEntry, remote), FIELD(WireEntry, local), FIELD(WireEntry, proxy), FIELD(WireEntry, reached),
      FIELD(WireEntry, opened_ms), FIELD(WireEntry, flags),
      FIELD(WireEntry, cseq_ahead), FIELD(WireEntry, forwarded_seq), FIELD(WireEntry, authority_bytes),
      FIELD(WireEntry, authority), FIELD(WireEntry, attached_generation), FIELD(WireEntry, released_generation),
      FIELD(WireEntry, wire_state), FIELD(WireEntry, fault), FIELD(WireEntry, end), FIELD(WireEntry, error),
      FIELD(WireEntry, written_seq), FIELD(WireEntry, messages_taken), FIELD(WireEntry, shut),
      FIELD(WireEntry, last_rx_ms), FIELD(WireEntry, last_tx_ms), FIELD(WireEntry, rx_bytes),
      FIELD(WireEntry, rx_frames), FIELD(WireEntry, rx_messages), FIELD(WireEntry, tx_bytes),
      FIELD(WireEntry, tx_frames), FIELD(WireEntry, tx_messages), FIELD(WireEntry, dropped_frames),
      FIELD(WireEntry, unrouted_frames)}},
    {"endpoint",
     {FIELD(Endpoint, address), FIELD(Endpoint, port), FIELD(Endpoint, family), FIELD(Endpoint, scope)}},
    {"rewrite",
     {FIELD(Rewrite, flags), FIELD(Rewrite, ssrc_from), FIELD(Rewrite, ssrc_to), FIELD(Rewrite, timestamp_delta),
      FIELD(Rewrite, sequence_delta), FIELD(Rewrite, payload_type)}},
    {"ring",
     {FIELD(RingHeader, head), FIELD(RingHeader, dropped), FIELD(RingHeader, tail),
      Named{"slots", sizeof(RingHeader)}}},
    {"command", {FIELD(Command, op), FIELD(Command, stream), FIELD(Command, generation)}},
    {"event",
     {FIELD(Event, kind), FIELD(Event, stream), FIELD(Event, generation), FIELD(Event, leg), FIELD(Event, remote)}},
    {"family", {{"none", kFamilyNone}, {"v4", kFamilyV4}, {"v6", kFamilyV6}}},
    {"process_state",
     {{"empty", kProcessEmpty},
      {"starting", kProcessStarting},
      {"ready", kProcessReady},
      {"draining", kProcessDraining}}},
    {"service_state",
     {{"up", kServiceUp},
      {"down", kServiceDown},
      {"draining", kServiceDraining},
      {"disabled", kServiceDisabled},
      {"unknown", kServiceUnknown}}},
    {"row_state", {{"free", kRowFree}, {"open", kRowOpen}, {"closing", kRowClosing}}},
    {"session_flags",
     {{"playing", kSessionPlaying}, {"recording", kSessionRecording}, {"interleaved", kSessionInterleaved}}},
    {"leg_index",
     {{"client_rtp", kClientRtp},
      {"client_rtcp", kClientRtcp},
      {"server_rtp", kServerRtp},
      {"server_rtcp", kServerRtcp}}},
    {"latching", {{"off", kLatchOff}, {"same_ip", kLatchSameIp}, {"any", kLatchAny}}},
    {"leg_state",
     {{"unused", kLegUnused},
      {"waiting", kLegWaiting},
      {"latched", kLegLatched},
      {"relearning", kLegRelearning},
      {"closed", kLegClosed}}},
    {"tier", {{"none", kTierNone}, {"mmsg", kTierMmsg}, {"gso", kTierGso}, {"offload", kTierOffload}}},
    {"tier_reason",
     {{"none", kReasonNone},
      {"switched_off", kReasonSwitchedOff},
      {"unavailable", kReasonUnavailable},
      {"reports", kReasonReports},
      {"no_media", kReasonNoMedia},
      {"waiting", kReasonWaiting},
      {"no_remote", kReasonNoRemote},
      {"rewriting", kReasonRewriting},
      {"families", kReasonFamilies},
      {"loopback", kReasonLoopback},
      {"route", kReasonRoute},
      {"interface", kReasonInterface},
      {"attaching", kReasonAttaching},
      {"unfit", kReasonUnfit},
      {"refused", kReasonRefused},
      {"settling", kReasonSettling},
      {"ipsec", kReasonIpsec},
      {"not_rtp", kReasonNotRtp},
      {"limited", kReasonLimited},
      {"bridged", kReasonBridged}}},
    {"stream_transport",
     {{"udp", kTransportUdp}, {"interleaved", kTransportInterleaved}, {"opaque", kTransportOpaque}, {"bridged", kTransportBridged}}},
    {"leg_flags", {{"expects_media", kLegExpectsMedia}, {"opaque", kLegOpaque}}},
    {"rewrite_flags",
     {{"ssrc", kRewriteSsrc},
      {"sequence", kRewriteSequence},
      {"timestamp", kRewriteTimestamp},
      {"payload_type", kRewritePayloadType}}},
    {"command_op", {{"update", kCommandUpdate}, {"close", kCommandClose}}},
    {"event_kind", {{"latched", kEventLatched}, {"relearned", kEventRelearned}, {"released", kEventReleased}}},
    {"wire_kind", {{"client", kWireClient}, {"upstream", kWireUpstream}}},
    {"overflow", {{"drop_frames", kOverflowDropFrames}, {"close", kOverflowClose}}},
    {"wire_state",
     {{"idle", kWireIdle},
      {"open", kWireOpen},
      {"faulted", kWireFaulted},
      {"ended", kWireEnded},
      {"closed", kWireClosed}}},
    {"wire_fault",
     {{"none", kFaultNone}, {"message", kFaultMessage}, {"too_large", kFaultTooLarge}, {"late", kFaultLate}}},
    {"wire_end",
     {{"none", kEndNone},
      {"both", kEndBoth},
      {"linger", kEndLinger},
      {"error", kEndError},
      {"messages", kEndMessages},
      {"frames", kEndFrames},
      {"torn", kEndTorn},
      {"lost", kEndLost}}},
    {"wire_shut", {{"none", kShutNone}, {"asked", kShutAsked}, {"sent", kShutSent}}},
    {"record_kind",
     {{"start", kRecordStart},
      {"write", kRecordWrite},
      {"continue", kRecordContinue},
      {"stream", kRecordStream},
      {"shutdown", kRecordShutdown},
      {"close", kRecordClose},
      {"attached", kRecordAttached},
      {"message", kRecordMessage},
      {"fault", kRecordFault},
      {"end", kRecordEnd},
      {"closed", kRecordClosed},
      {"released", kRecordReleased}}},
};

#undef FIELD

// layout_version → layoutVersion
std::string CamelCase(const char* snake) {
  std::string camel;
  for (const char* at = snake; *at != '\0'; ++at) {
    if (*at == '_') {
      ++at;
      camel.push_back(static_cast<char>(std::toupper(*at)));
    } else {
      camel.push_back(*at);
    }
  }
  return camel;
}

Napi::Array Counters(Napi::Env env) {
  Napi::Array list = Napi::Array::New(env, counters::kCounterCount);
  for (uint32_t i = 0; i < counters::kCounterCount; ++i) {
    const counters::CounterInfo& counter = counters::kCounterInfo[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", counter.name);
    entry.Set("unit", counter.unit);
    entry.Set("about", counter.about);
    entry.Set("offset", static_cast<double>(offsetof(counters::CounterBlock, values) + i * sizeof(uint64_t)));
    list.Set(i, entry);
  }
  return list;
}

}  // namespace

Napi::Object Layout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  layout.Set("version", kLayoutVersion);
  for (const Group& group : kGroups) {
    Napi::Object members = Napi::Object::New(env);
    for (const Named& member : group.members) members.Set(CamelCase(member.name), static_cast<double>(member.value));
    layout.Set(CamelCase(group.name), members);
  }
  layout.Set("counters", Counters(env));
  return layout;
}

}  // namespace penstock::binding

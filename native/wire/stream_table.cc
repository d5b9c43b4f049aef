#include "wire/stream_table.h"

#include "flow/stream_row.h"
#include "memory/cell.h"
#include "wire/routes.h"

namespace penstock::wire {

using counters::Counter;

namespace {

constexpr uint32_t kAcross = 2;  // from a leg to that of the other side

}  // namespace

StreamTable::StreamTable(table::Region& region, uint32_t thread, WireTable& wires, counters::CounterBlock& counters)
    : region_(region), thread_(thread), wires_(wires), counters_(counters) {
  for (uint32_t worker = 0; worker < region.workers(); ++worker) events_.push_back(region.Events(worker, thread));
}

bool StreamTable::IsHere(const table::StreamEntry& control) const {
  const table::WireEntry* client = region_.Wire(control.client_wire);
  return control.state == table::kRowOpen && control.transport == table::kTransportInterleaved && client != nullptr &&
         memory::Load(client->thread) == thread_;
}

void StreamTable::Load(table::Millis now) {
  for (uint32_t stream = 0; stream < region_.streams(); ++stream) {
    const table::StreamEntry& row = *region_.Stream(stream);
    const bool relayed = memory::LoadAcquire(row.state) == table::kRowOpen &&
                         memory::Load(row.transport) == table::kTransportInterleaved &&
                         memory::Load(row.attached_generation) == memory::Load(row.generation);
    table::StreamEntry control;
    if (relayed && flow::ReadControl(row, control) && IsHere(control)) Open(stream, control, now);
  }
}

void StreamTable::Read(uint32_t stream, uint32_t generation, table::Millis now) {
  const table::StreamEntry* row = region_.Stream(stream);
  if (row == nullptr) {
    counters_.Add(Counter::bad_index, 1);
    return;
  }
  table::StreamEntry control;
  if (!flow::ReadControl(*row, control)) {
    counters_.Add(Counter::rows_unreadable, 1);
    unread_.push_back({stream, generation});
    return;
  }
  if (control.generation != generation) return;
  if (IsHere(control)) return Open(stream, control, now);
  Close(stream, generation);
}

void StreamTable::Open(uint32_t stream, const table::StreamEntry& control, table::Millis now) {
  auto& place = streams_[stream];
  if (place != nullptr) DropRoutes(*place);
  if (place == nullptr || place->generation() != control.generation) {
    place = std::make_unique<InterleavedStream>(stream, control.generation, *region_.Stream(stream));
  }
  place->Configure(control);
  Wire* client = wires_.Obtain(control.client_wire, control.client_wire_generation, now);
  Wire* server = wires_.Obtain(control.server_wire, control.server_wire_generation, now);
  if (client == nullptr || server == nullptr) return;  // one of them is closing: what comes is nobody's
  Connect(*client, *server, *place, table::kClientRtp);
  Connect(*client, *server, *place, table::kClientRtcp);
  Connect(*server, *client, *place, table::kServerRtp);
  Connect(*server, *client, *place, table::kServerRtcp);
}

void StreamTable::Connect(Wire& from, Wire& to, InterleavedStream& stream, uint32_t leg) {
  AddRoute(from, stream.channel(leg),
           {.target = &to, .stream = &stream, .channel = stream.channel(leg ^ kAcross), .leg = static_cast<uint8_t>(leg)});
}

void StreamTable::Close(uint32_t stream, uint32_t generation) {
  if (const auto found = streams_.find(stream); found != streams_.end()) {
    DropRoutes(*found->second);
    streams_.erase(found);
  }
  table::StreamEntry& row = *region_.Stream(stream);
  if (memory::Load(row.released_generation) == generation) return;
  memory::StoreRelease(row.released_generation, generation);
  table::Event event{};
  event.kind = table::kEventReleased;
  event.stream = stream;
  event.generation = generation;
  if (!events_[region_.WorkerOfStream(stream)].Push(event)) counters_.Add(Counter::events_dropped, 1);
}

void StreamTable::DropRoutes(InterleavedStream& stream) {
  for (const uint32_t slot : {stream.client_wire(), stream.server_wire()}) {
    Wire* wire = wires_.At(slot);
    if (wire != nullptr) RemoveRoutesWhere(*wire, [&stream](const Route& route) { return route.stream == &stream; });
  }
}

void StreamTable::Forget(Wire& wire) {
  for (const Route& route : TakeRoutes(wire)) {
    if (route.target == nullptr) continue;
    RemoveRoutesWhere(*route.target, [&wire](const Route& back) { return back.target == &wire; });
  }
}

void StreamTable::Retry(bool all, table::Millis now) {
  std::vector<Unread> again;
  again.swap(unread_);
  if (all) {
    for (const auto& [slot, stream] : streams_) {
      const table::StreamEntry& row = stream->row();
      const bool stays = memory::LoadAcquire(row.state) == table::kRowOpen || (memory::Load(row.sequence) & 1) != 0;
      if (!stays) again.push_back({slot, stream->generation()});
    }
  }
  for (const Unread& unread : again) Read(unread.stream, unread.generation, now);
}

}  // namespace penstock::wire

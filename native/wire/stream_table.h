// The interleaved streams of one engine thread, and by them the routes of the channels of wires.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "counters/counters.h"
#include "table/region.h"
#include "wire/interleaved_stream.h"
#include "wire/wire_table.h"

namespace penstock::wire {

class StreamTable {
 public:
  StreamTable(table::Region& region, uint32_t thread, WireTable& wires, counters::CounterBlock& counters);

  // The rows that a former engine was relaying.
  void Load(table::Millis now);
  // A row was written: its channels are opened, changed or closed.
  void Read(uint32_t stream, uint32_t generation, table::Millis now);
  // Rows that were being written. `all`: also those whose worker died before it could say that it closed them.
  void Retry(bool all, table::Millis now);
  bool waiting() const { return !unread_.empty(); }
  // No frame goes to the wire any more, and none that comes by it goes anywhere.
  void Forget(Wire& wire);

 private:
  struct Unread {
    uint32_t stream;
    uint32_t generation;
  };

  bool IsHere(const table::StreamEntry& control) const;
  void Open(uint32_t stream, const table::StreamEntry& control, table::Millis now);
  void Close(uint32_t stream, uint32_t generation);
  void DropRoutes(InterleavedStream& stream);
  void Connect(Wire& from, Wire& to, InterleavedStream& stream, uint32_t leg);

  table::Region& region_;
  const uint32_t thread_;
  WireTable& wires_;
  counters::CounterBlock& counters_;
  std::vector<table::EventRing> events_;  // by worker
  std::unordered_map<uint32_t, std::unique_ptr<InterleavedStream>> streams_;
  std::vector<Unread> unread_;
};

}  // namespace penstock::wire

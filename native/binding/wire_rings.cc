// A worker's ends of the rings of records about wires.
#include <stdexcept>
#include <vector>

#include "binding/args.h"
#include "binding/functions.h"
#include "binding/process_region.h"

namespace penstock::binding {
namespace {

using table::ByteRing;
using table::WireRecord;

uint32_t OptionalUint32(const Napi::Object& object, const char* field) {
  const Napi::Value value = object.Get(field);
  return value.IsUndefined() ? 0 : args::Uint32(value, field);
}

void ReadContinues(const Napi::Value& value, WireRecord& record) {
  record.continue_wire = table::kNoWire;
  if (value.IsUndefined()) return;
  const Napi::Object continues = args::Object(value, "record.continues");
  record.continue_wire = args::Uint32(continues.Get("wire"), "continues.wire");
  record.continue_generation = args::Uint32(continues.Get("generation"), "continues.generation");
  record.continue_seq = args::Uint32(continues.Get("seq"), "continues.seq");
}

WireRecord ReadRecord(const Napi::Object& from) {
  WireRecord record{};
  record.kind = args::Uint32(from.Get("kind"), "record.kind", table::kRecordStart, table::kRecordClose);
  record.wire = args::Uint32(from.Get("wire"), "record.wire");
  record.generation = args::Uint32(from.Get("generation"), "record.generation");
  record.seq = OptionalUint32(from, "seq");
  ReadContinues(from.Get("continues"), record);
  return record;
}

std::span<const uint8_t> ReadBytes(const Napi::Value& value, const ByteRing& ring) {
  if (value.IsUndefined()) return {};
  if (!value.IsTypedArray()) throw std::invalid_argument("record.bytes must be a Uint8Array");
  const auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() <= ring.max_payload()) return {bytes.Data(), bytes.ByteLength()};
  throw std::out_of_range("record.bytes must have " + std::to_string(ring.max_payload()) + " bytes at most, got " +
                          std::to_string(bytes.ByteLength()));
}

Napi::Object ToJs(Napi::Env env, const WireRecord& record, std::span<const uint8_t> payload) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("kind", record.kind);
  out.Set("wire", record.wire);
  out.Set("generation", record.generation);
  out.Set("seq", record.seq);
  out.Set("value", record.value);
  out.Set("continueSeq", record.continue_seq);
  out.Set("token", record.continue_generation);
  out.Set("bytes", Napi::Buffer<uint8_t>::Copy(env, payload.data(), payload.size()));
  return out;
}

}  // namespace

Napi::Value OutboxPush(const Napi::CallbackInfo& info) {
  const table::Region& region = MappedRegion().region;
  const uint32_t worker = args::Uint32(info[0], "worker", 0, region.workers() - 1);
  const uint32_t thread = args::Uint32(info[1], "thread", 0, region.engine_threads() - 1);
  ByteRing ring = region.Outbox(worker, thread);
  const Napi::Object from = args::Object(info[2], "record");
  const WireRecord record = ReadRecord(from);
  return Napi::Boolean::New(info.Env(), ring.Push(record, ReadBytes(from.Get("bytes"), ring)));
}

Napi::Value InboxRead(const Napi::CallbackInfo& info) {
  const table::Region& region = MappedRegion().region;
  const uint32_t worker = args::Uint32(info[0], "worker", 0, region.workers() - 1);
  const uint32_t thread = args::Uint32(info[1], "thread", 0, region.engine_threads() - 1);
  const uint32_t max = args::Uint32(info[2], "max", 1);
  ByteRing ring = region.Inbox(worker, thread);
  Napi::Array list = Napi::Array::New(info.Env());
  WireRecord record;
  std::span<const uint8_t> payload;
  for (uint32_t taken = 0; taken < max && ring.Peek(record, payload); ++taken) {
    list.Set(taken, ToJs(info.Env(), record, payload));
    ring.Pop();
  }
  return list;
}

}  // namespace penstock::binding

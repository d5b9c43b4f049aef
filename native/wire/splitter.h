// What lies at the head of an RTSP connection's bytes: an interleaved frame, a message, or
// nothing whole yet (RFC 2326 §4, §10.12). Pure; says where a message ends exactly as the
// parser in TypeScript does, which reads the same bytes again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "rtp/bytes.h"
#include "table/region_layout.h"

namespace penstock::wire {

inline constexpr uint8_t kFrameMark = '$';
inline constexpr size_t kFrameHeader = 4;  // `$`, channel, length of the payload

enum class PieceKind : uint8_t {
  kFrame,    // a whole frame
  kMessage,  // a whole message, with its body
  kBlank,    // line ends between messages, which mean nothing
  kPartial,  // the beginning of a frame or message
  kFault,    // neither, or more than is allowed
};

struct Piece {
  PieceKind kind;
  size_t size;  // of a partial one: what it will have at least
  table::WireFault fault = table::kFaultNone;
};

// `bytes` is not empty and begins between frames or messages.
Piece NextMessage(std::span<const uint8_t> bytes, size_t max_message);

inline size_t FrameSize(const uint8_t* frame) { return kFrameHeader + rtp::Load16(frame + 2); }

// As NextMessage, and frames too, which are nearly all that comes.
inline Piece NextPiece(std::span<const uint8_t> bytes, size_t max_message) {
  if (bytes[0] != kFrameMark) return NextMessage(bytes, max_message);
  if (bytes.size() < kFrameHeader) return {PieceKind::kPartial, kFrameHeader};
  const size_t size = FrameSize(bytes.data());
  return {size <= bytes.size() ? PieceKind::kFrame : PieceKind::kPartial, size};
}

}  // namespace penstock::wire

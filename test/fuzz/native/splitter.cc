#include "wire/splitter.h"

#include <algorithm>

#include "target.h"

using namespace penstock;
using namespace penstock::fuzz;
using wire::Piece;
using wire::PieceKind;

namespace {

constexpr size_t kMaxMessage = 600;

// What is known of a piece from its first `known` bytes must not be taken back by the rest of it.
void CheckPrefix(Input bytes, const Piece& whole, size_t known) {
  Copy prefix(bytes.first(known));
  const Piece piece = wire::NextPiece(prefix.span(), kMaxMessage);
  switch (piece.kind) {
    case PieceKind::kPartial:
      Require(piece.size > known);
      Require(whole.kind != PieceKind::kBlank);
      Require(whole.kind == PieceKind::kFault || piece.size <= whole.size);
      break;
    case PieceKind::kBlank:
      Require(whole.kind == PieceKind::kBlank && piece.size == std::min(known, whole.size));
      break;
    case PieceKind::kFault: Require(whole.kind == PieceKind::kFault); break;
    default: Require(piece.kind == whole.kind && piece.size == whole.size && known >= piece.size); break;
  }
}

}  // namespace

// Pieces follow each other without a gap, lie inside what came, and are the same however it came.
FUZZ_TARGET(splitter) {
  Reader reader(input);
  const size_t step = 1 + reader.Byte();
  Input rest = reader.rest();
  while (!rest.empty()) {
    Copy bytes(rest);
    const Piece piece = wire::NextPiece(bytes.span(), kMaxMessage);
    for (size_t known = 1; known < rest.size() && known < 2 * kMaxMessage; known += step) CheckPrefix(rest, piece, known);
    if (piece.kind == PieceKind::kFault) {
      Require(piece.fault != table::kFaultNone);
      return;
    }
    Require(piece.size >= 1);
    Require(piece.kind == PieceKind::kFrame || piece.kind == PieceKind::kBlank || piece.size <= kMaxMessage ||
            rest[0] == wire::kFrameMark);
    if (piece.kind == PieceKind::kPartial) {
      Require(piece.size > rest.size());
      return;
    }
    Require(piece.size <= rest.size());
    rest = rest.subspan(piece.size);
  }
}

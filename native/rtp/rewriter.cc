#include "rtp/rewriter.h"

#include "rtp/rtcp_view.h"
#include "rtp/rtp_view.h"

namespace penstock::rtp {
namespace {

using table::Rewrite;

constexpr uint8_t kGenericNack = 1;          // RFC 4585 §6.2.1
constexpr uint8_t kFullIntraRequest = 4;     // RFC 5104 §4.3.1
constexpr size_t kFeedbackEntries = 12;      // header, sender, media source
constexpr size_t kReportHighestSequence = 8;
constexpr size_t kSenderTimestamp = 16;

bool Names(const Rewrite& rewrite, uint32_t ssrc) { return rewrite.ssrc_from == 0 || ssrc == rewrite.ssrc_from; }

// One pass over a compound packet; remembers whether anything changed.
class RtcpRewriter {
 public:
  explicit RtcpRewriter(const Rewrite& rewrite) : rewrite_(rewrite) {}

  void Block(const RtcpBlock& block) {
    switch (block.type()) {
      case kSenderReport: SenderReport(block); break;
      case kReceiverReport: Reports(block); break;
      case kSourceDescription: Chunks(block); break;
      case kBye: Sources(block, kRtcpHeader, 4, block.count()); break;
      case kTransportFeedback:
      case kPayloadFeedback: Feedback(block); break;
      case kApp:
      case kExtendedReport: Ssrc(block, kRtcpHeader); break;
      default: break;
    }
  }
  bool changed() const { return changed_; }

 private:
  // True where the field names our source, rewritten or not.
  bool Ssrc(const RtcpBlock& block, size_t at) {
    if (at + 4 > block.size()) return false;
    uint8_t* field = &block.bytes[at];
    if (!Names(rewrite_, Load32(field))) return false;
    if ((rewrite_.flags & table::kRewriteSsrc) != 0) {
      Store32(field, rewrite_.ssrc_to);
      changed_ = true;
    }
    return true;
  }

  void Sources(const RtcpBlock& block, size_t at, size_t stride, size_t count) {
    for (size_t i = 0; i < count && at + 4 <= block.size(); ++i, at += stride) Ssrc(block, at);
  }

  void SenderReport(const RtcpBlock& block) {
    if (Ssrc(block, kRtcpHeader) && (rewrite_.flags & table::kRewriteTimestamp) != 0) {
      uint8_t* field = &block.bytes[kSenderTimestamp];
      Store32(field, Load32(field) + rewrite_.timestamp_delta);
      changed_ = true;
    }
    ReportBlocks(block);
  }

  void Reports(const RtcpBlock& block) {
    Ssrc(block, kRtcpHeader);
    ReportBlocks(block);
  }

  void ReportBlocks(const RtcpBlock& block) {
    size_t at = block.reports_offset();
    for (size_t i = 0; i < block.reports(); ++i, at += kReportBlock) {
      if (!Ssrc(block, at) || (rewrite_.flags & table::kRewriteSequence) == 0) continue;
      ExtendedSequence(&block.bytes[at + kReportHighestSequence]);
    }
  }

  // The delta is a short way up or down; the carry goes into the cycle count, which cannot
  // go below zero (the two sides then count their cycles from different starts).
  void ExtendedSequence(uint8_t* field) {
    const uint32_t old = Load32(field);
    const auto delta = static_cast<int16_t>(rewrite_.sequence_delta);
    int64_t moved = int64_t{old} + delta;
    if (moved < 0 || moved > UINT32_MAX) {
      moved = (old & 0xffff0000u) | static_cast<uint16_t>(old + rewrite_.sequence_delta);
    }
    Store32(field, static_cast<uint32_t>(moved));
    changed_ = true;
  }

  // SDES: chunks of SSRC and items up to a zero byte, each padded to a word (RFC 3550 §6.5).
  void Chunks(const RtcpBlock& block) {
    size_t at = kRtcpHeader;
    for (size_t i = 0; i < block.count() && at + 4 <= block.size(); ++i) {
      Ssrc(block, at);
      at += 4;
      while (at < block.size() && block.bytes[at] != 0) {
        if (at + 2 > block.size()) return;
        at += 2u + block.bytes[at + 1];
      }
      at = (at + 4) & ~size_t{3};
    }
  }

  void Feedback(const RtcpBlock& block) {
    Ssrc(block, kRtcpHeader);
    const bool ours = Ssrc(block, kRtcpHeader + 4);
    if (block.type() == kPayloadFeedback && block.count() == kFullIntraRequest) {
      Sources(block, kFeedbackEntries, 8, block.size() / 8);
    }
    if (!ours || block.type() != kTransportFeedback || block.count() != kGenericNack) return;
    if ((rewrite_.flags & table::kRewriteSequence) == 0) return;
    for (size_t at = kFeedbackEntries; at + 4 <= block.size(); at += 4) {
      uint8_t* lost = &block.bytes[at];
      Store16(lost, static_cast<uint16_t>(Load16(lost) + rewrite_.sequence_delta));
      changed_ = true;
    }
  }

  const Rewrite& rewrite_;
  bool changed_ = false;
};

}  // namespace

bool RewriteRtp(const Rewrite& rewrite, std::span<uint8_t> packet) {
  const auto view = RtpView::Parse(packet);
  if (!view || !Names(rewrite, view->ssrc())) return false;
  if ((rewrite.flags & table::kRewritePayloadType) != 0) {
    packet[1] = static_cast<uint8_t>((packet[1] & 0x80) | (rewrite.payload_type & 0x7f));
  }
  if ((rewrite.flags & table::kRewriteSequence) != 0) {
    Store16(&packet[2], static_cast<uint16_t>(view->sequence() + rewrite.sequence_delta));
  }
  if ((rewrite.flags & table::kRewriteTimestamp) != 0) Store32(&packet[4], view->timestamp() + rewrite.timestamp_delta);
  if ((rewrite.flags & table::kRewriteSsrc) != 0) Store32(&packet[8], rewrite.ssrc_to);
  return rewrite.flags != 0;
}

bool RewriteRtcp(const Rewrite& rewrite, std::span<uint8_t> packet) {
  if (rewrite.flags == 0) return false;
  RtcpRewriter rewriter(rewrite);
  RtcpReader reader(packet);
  RtcpBlock block;
  while (reader.Next(block)) rewriter.Block(block);
  return rewriter.changed();
}

}  // namespace penstock::rtp

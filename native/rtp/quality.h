// Quality of what arrives on a leg, as an RTP receiver would count it
// (RFC 3550 A.1 sequence, A.3 loss, A.8 jitter), and the round trip from its reports.
#pragma once

#include <array>
#include <cstdint>

namespace penstock::rtp {

class Quality {
 public:
  // `arrival` in timestamp units of the stream; 0 clock = unknown, no jitter then (see Arrival()).
  void OnPacket(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, bool has_clock, uint32_t arrival) {
    if (!started_ || ssrc != ssrc_) Start(ssrc, sequence);
    if (!Sequence(sequence)) return;
    ++received_;
    if (has_clock) Jitter(arrival - timestamp);
  }

  // Goes on where a former engine ended; `expected` 0 = nothing was counted.
  void Restore(uint32_t ssrc, uint32_t highest, uint32_t expected, uint32_t received, uint32_t jitter_x16) {
    if (expected == 0) return;
    Start(ssrc, static_cast<uint16_t>(highest));
    highest_ = highest;
    base_ = highest - expected + 1;
    received_ = received;
    jitter_x16_ = jitter_x16;
  }

  uint32_t ssrc() const { return ssrc_; }
  uint32_t highest_sequence() const { return highest_; }  // extended by the count of cycles
  uint32_t expected() const { return started_ ? highest_ - base_ + 1 : 0; }
  uint32_t received() const { return received_; }
  int32_t lost() const { return static_cast<int32_t>(expected() - received_); }  // negative: duplicates
  uint32_t jitter_x16() const { return jitter_x16_; }

  // Local time in timestamp units.
  static uint32_t Arrival(int64_t now_us, uint32_t clock_rate) {
    const uint64_t us = static_cast<uint64_t>(now_us);
    return static_cast<uint32_t>(us / 1'000'000 * clock_rate + us % 1'000'000 * clock_rate / 1'000'000);
  }

 private:
  static constexpr uint16_t kMaxDropout = 3000;
  static constexpr uint16_t kMaxMisorder = 100;
  static constexpr uint32_t kSequenceModulus = 1u << 16;

  void Start(uint32_t ssrc, uint16_t sequence) {
    *this = Quality();
    started_ = true;
    ssrc_ = ssrc;
    highest_ = base_ = sequence;
  }

  // False for a packet that is not counted: a lone jump, which a second one in sequence confirms.
  bool Sequence(uint16_t sequence) {
    const auto ahead = static_cast<uint16_t>(sequence - static_cast<uint16_t>(highest_));
    if (ahead < kMaxDropout) {
      highest_ += ahead;
    } else if (ahead <= kSequenceModulus - kMaxMisorder) {
      if (sequence != bad_sequence_) {
        bad_sequence_ = (sequence + 1u) & (kSequenceModulus - 1);
        return false;
      }
      Start(ssrc_, sequence);
    }
    return true;
  }

  void Jitter(uint32_t transit) {
    if (has_transit_) {
      const auto difference = static_cast<int32_t>(transit - transit_);
      const uint32_t size = difference < 0 ? 0u - static_cast<uint32_t>(difference) : static_cast<uint32_t>(difference);
      jitter_x16_ += size - ((jitter_x16_ + 8) >> 4);
    }
    transit_ = transit;
    has_transit_ = true;
  }

  uint32_t ssrc_ = 0;
  uint32_t highest_ = 0;
  uint32_t base_ = 0;
  uint32_t received_ = 0;
  uint32_t jitter_x16_ = 0;
  uint32_t transit_ = 0;
  uint32_t bad_sequence_ = kSequenceModulus + 1;  // a value that no sequence number has
  bool started_ = false;
  bool has_transit_ = false;
};

// Round trip to the peer of a leg: a sender report that we passed to it, and the receiver
// report that answers it (RFC 3550 §6.4.1: now - LSR - DLSR, with our clock for the first two).
class RoundTrip {
 public:
  // `lsr`: the middle 32 bits of the report's NTP time.
  void OnSenderReportOut(uint32_t lsr, int64_t now_us) {
    sent_[next_ % sent_.size()] = {lsr, now_us};
    ++next_;
  }

  // Microseconds, or 0 where the report answers none that we know. `dlsr` in 1/65536 s.
  uint32_t OnReportIn(uint32_t lsr, uint32_t dlsr, int64_t now_us) const {
    if (lsr == 0) return 0;
    for (const Sent& sent : sent_) {
      if (sent.lsr != lsr) continue;
      const int64_t held_us = (int64_t{dlsr} * 1'000'000) >> 16;
      const int64_t trip = now_us - sent.at_us - held_us;
      return trip > 0 && trip < kLongest ? static_cast<uint32_t>(trip) : 0;
    }
    return 0;
  }

 private:
  static constexpr int64_t kLongest = 60'000'000;
  struct Sent {
    uint32_t lsr = 0;
    int64_t at_us = 0;
  };
  std::array<Sent, 4> sent_{};
  uint32_t next_ = 0;
};

}  // namespace penstock::rtp

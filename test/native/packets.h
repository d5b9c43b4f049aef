// Packets for tests, built field by field.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rtp/bytes.h"
#include "table/region_layout.h"

namespace penstock::test {

using Bytes = std::vector<uint8_t>;

inline void Put16(Bytes& out, uint32_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

inline void Put32(Bytes& out, uint32_t value) {
  Put16(out, value >> 16);
  Put16(out, value);
}

inline Bytes Join(const std::vector<Bytes>& parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

struct RtpFields {
  uint32_t ssrc = 1;
  uint32_t sequence = 1;
  uint32_t timestamp = 0;
  uint8_t payload_type = 96;
  bool marker = false;
  size_t payload = 100;
};

inline Bytes Rtp(const RtpFields& fields) {
  Bytes out = {0x80, static_cast<uint8_t>((fields.marker ? 0x80 : 0) | fields.payload_type)};
  Put16(out, fields.sequence);
  Put32(out, fields.timestamp);
  Put32(out, fields.ssrc);
  for (size_t i = 0; i < fields.payload; ++i) out.push_back(static_cast<uint8_t>(fields.sequence * 7 + i));
  return out;
}

// `body` is what follows the four bytes of the header, a multiple of four.
inline Bytes Rtcp(uint8_t type, uint8_t count, const Bytes& body) {
  Bytes out = {static_cast<uint8_t>(0x80 | count), type};
  Put16(out, static_cast<uint32_t>(body.size() / 4));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

inline Bytes Words(const std::vector<uint32_t>& words) {
  Bytes out;
  for (const uint32_t word : words) Put32(out, word);
  return out;
}

struct Report {
  uint32_t ssrc = 1;
  uint32_t highest = 0;
  uint32_t lsr = 0;
  uint32_t dlsr = 0;
};

inline Bytes ReportBlock(const Report& report) {
  return Words({report.ssrc, 0x01000002, report.highest, 7, report.lsr, report.dlsr});
}

inline Bytes SenderReport(uint32_t ssrc, uint32_t ntp_seconds, uint32_t ntp_fraction, uint32_t timestamp,
                          const std::vector<Report>& reports = {}) {
  Bytes body = Words({ssrc, ntp_seconds, ntp_fraction, timestamp, 10, 1000});
  for (const Report& report : reports) body = Join({body, ReportBlock(report)});
  return Rtcp(200, static_cast<uint8_t>(reports.size()), body);
}

inline Bytes ReceiverReport(uint32_t ssrc, const std::vector<Report>& reports) {
  Bytes body = Words({ssrc});
  for (const Report& report : reports) body = Join({body, ReportBlock(report)});
  return Rtcp(201, static_cast<uint8_t>(reports.size()), body);
}

// Punches as seen from real players.
inline Bytes ZeroRtp() { return Bytes{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; }        // ffmpeg, janus
inline Bytes EmptyReport() { return Bytes{0x80, 0xc9, 0, 1, 0, 0, 0, 0}; }              // ffmpeg
inline Bytes OpenRtspPunch() { return Bytes{0xce, 0xfa, 0xed, 0xfe}; }
inline Bytes RandomBytes(uint32_t seed, size_t size = 200) {                            // rtspsrc
  Bytes out;
  for (size_t i = 0; i < size; ++i) {
    seed = seed * 1664525 + 1013904223;
    out.push_back(static_cast<uint8_t>(seed >> 24));
  }
  return out;
}

inline table::Endpoint V4(uint8_t last, uint16_t port) {
  table::Endpoint out{};
  out.family = table::kFamilyV4;
  out.address[0] = 10;
  out.address[3] = last;
  out.port = port;
  return out;
}

}  // namespace penstock::test

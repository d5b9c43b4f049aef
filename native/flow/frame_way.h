// The way out of a leg that has no socket: its packets leave as frames of an RTSP connection.
#pragma once

#include <cstdint>
#include <span>

namespace penstock::flow {

class FrameWay {
 public:
  // A packet that is put now may get to the peer.
  virtual bool IsOpen() const = 0;
  // Never blocks. What is dropped later is counted then, on the leg across.
  virtual void Put(std::span<const uint8_t> packet) = 0;

 protected:
  ~FrameWay() = default;
};

}  // namespace penstock::flow

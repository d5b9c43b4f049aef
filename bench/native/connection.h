#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "event_loop.h"

namespace penstock::bench {

// One RTSP message as it lies in the receive buffer; valid during the call that shows it.
struct Message {
  std::string_view head;  // start line and fields, without the empty line
  std::string_view body;

  std::string_view Word(int index) const;               // of the start line
  std::string_view Field(std::string_view name) const;  // empty if there is none
  int status() const;
};

// A number after `name=` in a header field, or -1.
int NumberAfter(std::string_view field, std::string_view name);
std::string_view TextAfter(std::string_view field, std::string_view name);  // up to ; or ,

// A non-blocking TCP connection that carries RTSP messages and interleaved frames.
class Connection : public Handler {
 public:
  Connection(EventLoop& loop, int fd);
  ~Connection() override;

  void Send(std::string_view bytes);
  // False, and nothing is sent, where the peer reads too slowly. `parts` are one frame.
  bool SendFrame(int channel, std::string_view head, std::string_view rest);
  void Close();
  // From now on nothing is read but by `ReadSome`, and the kernel's buffer for it is small.
  void ReadOnDemand(int receive_buffer);
  void ReadSome(size_t most);

  bool closed() const { return fd_ < 0; }
  int fd() const { return fd_; }

  void OnReady(uint32_t events) final;

 protected:
  virtual void OnConnected() {}
  virtual void OnMessage(const Message& message) = 0;
  virtual void OnFrame(int channel, std::span<const uint8_t> packet) = 0;
  virtual void OnClosed() = 0;  // the peer is gone; called once

  EventLoop& loop() { return loop_; }

 private:
  void Read();
  bool ReadOnce(size_t most);
  size_t Parse();
  void Flush();
  void Watch();
  void Lose();

  EventLoop& loop_;
  int fd_;
  bool connected_ = false;
  bool watching_read_ = true;
  bool watching_write_ = true;
  std::string in_;
  std::string out_;
};

}  // namespace penstock::bench

// One relaying thread: its own epoll, streams, batch and counters.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "counters/counters.h"
#include "engine/batch_pacer.h"
#include "engine/burst_pacer.h"
#include "engine/stream_set.h"
#include "flow/leg.h"
#include "memory/unique_fd.h"
#include "net/fd_passing.h"
#include "net/udp_receiver.h"
#include "net/udp_sender.h"
#include "table/region.h"
#include "wire/wire_set.h"

namespace penstock::engine {

class EngineThread {
 public:
  struct Options {
    uint32_t index;
    int vault_fd;
    int wake_fd;
    bool gso;
    bool gro;
    int batch_delay_us;
    offload::FlowTable* table;     // null: no offload
    table::TierReason no_offload;  // why
    std::vector<int> worker_wake_fds;  // by worker, or none
  };
  // Throws memory::SystemError.
  EngineThread(table::Region& region, const Options& options);
  ~EngineThread();

  void Start();
  void Stop();
  int Pin(int cpu);  // once started; 0 or an errno

  // Any thread: descriptors for a stream or wire of this one. Per session, never per packet.
  void Hand(net::PassedMessage message);
  void Wake();

 private:
  static constexpr uint32_t kBatchMessages = 64;
  // What one message can merge at most (UDP_MAX_SEGMENTS of newer kernels; GRO stops at 64).
  static constexpr uint32_t kMessagePackets = 128;
  static constexpr uint32_t kBatchPackets = kBatchMessages * kMessagePackets;
  static constexpr int kEvents = 256;

  void Run();
  // The stages, in order.
  void DrainCommands();
  int Wait();
  int Receive(std::span<const epoll_event> events);
  void LookUp();
  void Measure();
  void Rewrite();
  void Send();
  void Account();
  void RunTimers();

  void ReceiveFrom(flow::Leg& leg);
  void Split(flow::Leg& leg, const net::Datagram& datagram);
  void LookUp(flow::Packet& packet);
  void DrainWake();
  void NoteWires(int ready);
  bool NoteWire(const epoll_event& event);
  int DelayUs(int ready, int64_t slept_us);
  int SleepMs() const;
  void TakeInbox();
  void Announce(flow::Decision::Change change, flow::Leg& leg);
  void ReadClock();
  std::span<flow::Packet> packets() { return {packets_.data(), used_}; }

  table::Region& region_;
  const Options options_;
  counters::CounterBlock& counters_;
  memory::UniqueFd epoll_;
  wire::WireSet wires_;
  StreamSet streams_;
  BatchPacer pacer_;
  BurstPacer bursts_;
  net::UdpReceiver receiver_;
  net::UdpSender sender_;
  std::vector<table::CommandRing> commands_;  // by worker

  std::array<epoll_event, kEvents> events_;
  std::array<flow::Packet, kBatchPackets> packets_;
  std::array<net::Outgoing, kBatchPackets> outgoing_;
  uint32_t used_ = 0;
  uint32_t outgoing_used_ = 0;

  int64_t now_us_ = 0;  // read at each wake, and when its work is done
  table::Millis now_ms_ = 0;
  table::Millis next_tick_ = 0;

  std::atomic<bool> stopping_{false};
  std::atomic<bool> handed_{false};
  std::mutex inbox_mutex_;
  std::vector<net::PassedMessage> inbox_;
  std::thread thread_;
};

}  // namespace penstock::engine

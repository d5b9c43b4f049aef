// Moves frames from wire to wire, messages between wires and workers, and deals with peers that do
// not read. One engine thread's; nothing here waits, and nothing is allocated per frame.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "bridge/to_sockets.h"
#include "counters/counters.h"
#include "table/region.h"
#include "wire/mailbox.h"
#include "wire/splitter.h"
#include "wire/wire_io.h"
#include "wire/wire_table.h"

namespace penstock::wire {

inline constexpr size_t kMaxMessageBacklog = 1 << 20;  // bytes of messages that may wait for a peer that takes none

class Relay {
 public:
  // `gso`: for frames that leave by sockets.
  Relay(const table::Region& region, WireTable& wires, Mailbox& mailbox, WireIo& io, bool gso,
        counters::CounterBlock& counters)
      : region_(region), wires_(wires), mailbox_(mailbox), io_(io), counters_(counters), to_sockets_(gso, counters) {}

  void SetClock(int64_t now_us) { now_us_ = now_us; }

  // There may be something to do for the wire: it gets a turn.
  void Ready(Wire& wire);
  // A bounded number of turns, each of bounded work.
  void Run();
  bool busy() const { return first_ != nullptr; }
  // Wires that a worker's full inbox has stopped: they try again.
  void RetryStalled();
  bool stalled() const { return !stalled_.empty(); }
  // The wire has its descriptor: those that waited for it may go on.
  void Attached(Wire& wire);
  // The wire is about to be gone.
  void Forget(Wire& wire);

  // What the worker wants.
  void Start(Wire& wire, uint32_t token);
  void Write(Wire& wire, const table::WireRecord& record, std::span<const uint8_t> bytes);
  void Continue(Wire& wire, uint32_t seq);
  void Shut(Wire& wire);
  // What there is to tell of the wire is told, or tried again.
  void Tell(Wire& wire);

  // A packet of a socket, to leave as a frame. The wire is open.
  void Put(Wire& wire, uint8_t channel, std::span<const uint8_t> packet);

  // Nothing is read or written any more; the peer sees the end, the worker is told.
  void Finish(Wire& wire, table::WireEnd end, int error = 0);
  // The worker is told, and shown what there is; nothing more is understood of what comes.
  void RaiseFault(Wire& wire, table::WireFault fault);

  // The wire was a former engine's: goes on where the kernel's counts say that it stopped (relay_takeover.cc).
  void TakeOver(Wire& wire);

 private:
  struct Frame {
    uint32_t at;
    uint32_t size;
    const Route* route;  // null: the channel is nobody's
  };
  // Consecutive whole frames, of which frames_ has each, with one target.
  struct FrameRun {
    Wire* target;  // null: nobody takes them
    uint32_t frames;
    uint32_t bytes;
    bool renumbered;
    bool bridged;  // out of sockets
  };
  static constexpr uint32_t kMaxRun = 2048;

  // relay.cc: turns, and what is read
  void Serve(Wire& wire);
  bool CheckWhole(Wire& wire);
  void Announce(Wire& wire);
  void Stall(Wire& wire);
  static void WaitFor(Wire& waiting, Wire& wire);
  void WakeWaiters(Wire& wire);
  void Block(Wire& from, Wire& to);
  void Unblock(Wire& wire);
  void Read(Wire& wire);
  void Walk(Wire& wire, std::span<uint8_t> bytes);
  size_t WalkPiece(Wire& wire, std::span<uint8_t> bytes, const Piece& piece);
  void Take(Wire& wire, size_t size);
  void Discard(Wire& wire);
  void NotePartial(Wire& wire, size_t wanted);
  size_t Hold(Wire& wire, std::span<const uint8_t> message);
  void TakeMessage(Wire& wire, size_t size);
  void Throw(Wire& wire);
  void PeerEnded(Wire& wire);
  void Failed(Wire& wire);

  // relay_frames.cc
  size_t Pass(Wire& wire, std::span<uint8_t> bytes);
  FrameRun Gather(const Wire& wire, std::span<const uint8_t> bytes);
  size_t PassToSockets(Wire& wire, const FrameRun& run, std::span<uint8_t> bytes);
  size_t SendRun(Wire& from, Wire& to, FrameRun run, std::span<uint8_t> bytes);
  void WaitOrRetry(Wire& from, Wire& to);
  void Limit(FrameRun& run, size_t bytes);
  void Renumber(const FrameRun& run, std::span<uint8_t> bytes);
  void Intend(Wire& from, Wire& to);
  size_t NoteSent(Wire& from, Wire& to, const FrameRun& run, std::span<uint8_t> bytes, size_t sent);
  void AccountPassed(Wire& from, Wire& to, uint32_t frames, std::span<uint8_t> bytes);
  void AccountDropped(Wire& from, const FrameRun& run);
  bool PatienceIsOver(table::Millis& since) const;
  bool Overflows(Wire& wire, size_t& waiting, size_t limit);
  void CheckOverflow(Wire& wire);
  void CheckHeld(Wire& wire);
  void DropFrames(Wire& from, Wire& to, size_t excess);
  bool KeepTail(Wire& from, Wire& to);
  void LeaveSink(Wire& wire);

  // relay_writing.cc
  bool MayWrite(Wire& from, Wire& to);
  bool Flush(Wire& wire);
  bool SendTail(Wire& wire);
  bool SendMessage(Wire& wire);
  bool BeginMessage(Wire& wire, const OutMessage& message);
  void MessageWritten(Wire& wire);
  void ContinueAfter(const OutMessage& message);
  void DropMessages(Wire& wire);
  void FinishShut(Wire& wire);
  void SendFailed(Wire& wire, int error);
  void Sent(Wire& wire, size_t bytes);

  // relay_bursts.cc
  void RelieveQueue(Wire& wire);
  void DropQueued(Wire& wire, size_t left);
  static flow::Leg* BridgedLeg(const Wire& wire, const uint8_t* frame);
  bool MayBegin(const Wire& wire) const;
  bool SendBurst(Wire& wire);
  std::span<const uint8_t> BeginBurst(Wire& wire);
  void EndBurst(Wire& wire, size_t sent);
  void KeepRest(Wire& wire, std::span<const uint8_t> rest);
  bool SettleBurst(Wire& wire);

  // relay_takeover.cc
  bool Settle(Wire& wire);
  bool SettleSent(Wire& wire);
  bool SettleMessage(Wire& wire);
  bool SettleTail(Wire& wire);
  bool SettleFrames(Wire& wire);
  bool WalkUnnoted(Wire& wire, Wire& source);
  bool Prove(Wire& wire);
  uint64_t TakenOf(Wire& wire);
  void DropWritten(Wire& wire);
  void Recovered(Wire& wire);
  bool Torn(Wire& wire);

  const table::Region& region_;
  WireTable& wires_;
  Mailbox& mailbox_;
  WireIo& io_;
  counters::CounterBlock& counters_;
  int64_t now_us_ = 0;
  Wire* first_ = nullptr;  // of those to be served
  Wire* last_ = nullptr;
  std::vector<Wire*> stalled_;
  std::array<Frame, kMaxRun> frames_;
  bridge::ToSockets to_sockets_;
};

}  // namespace penstock::wire

// What a worker does with wires, and peers that check every byte of what they get.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "wire_fixture.h"

namespace penstock::test {

// Deals with each message as `replies` says: with a message to some wire. Keeps what is not written.
class Worker {
 public:
  using Reply = std::function<std::pair<uint32_t, std::string>(const std::string&)>;

  explicit Worker(WireRig& rig) : rig_(rig) {}

  std::map<uint32_t, Reply> replies;  // by the wire that the message came on

  void Work() {
    for (const Heard& heard : rig_.Hear()) {
      // What is said before the engine has heard of this worker is meant for another.
      if (heard.record.kind == table::kRecordAttached) Attached(heard.record);
      if (heard.record.kind == table::kRecordMessage && wires_[heard.record.wire].attached) unread_.push_back(heard);
    }
    for (; !unread_.empty() && AllAttached(); unread_.pop_front()) {
      Answer(unread_.front().record, unread_.front().bytes);
    }
  }
  // The successor knows the rows, and nothing that was not written.
  void Die() {
    rig_.Hear();
    wires_.clear();
    unread_.clear();
    ++token_;
    for (const auto& [slot, reply] : replies) {
      rig_.Push(table::kRecordStart, slot, token_);
      wires_[slot].attached = false;
    }
  }

 private:
  struct Kept {
    uint32_t seq;
    std::string bytes;
    uint32_t continues;
    uint32_t continue_seq;
  };
  struct State {
    bool attached = true;
    bool wrote = false;
    uint32_t next = 1;
    uint32_t got = 0;
    uint32_t answered = 0;
    std::deque<Kept> kept;
  };

  // Before that, nobody knows by which number to go on.
  bool AllAttached() const {
    for (const auto& [slot, state] : wires_) {
      if (!state.attached) return false;
    }
    return true;
  }

  void Attached(const table::WireRecord& record) {
    State& state = wires_[record.wire];
    if (!state.attached && record.continue_generation != token_) return rig_.Push(table::kRecordStart, record.wire, token_);
    state.attached = true;
    while (!state.kept.empty() && state.kept.front().seq <= record.value) state.kept.pop_front();
    if (state.kept.empty() && !state.wrote) state.next = record.seq + 1;
    // What a dead worker had said to a dead engine is lost; its numbers are not waited for.
    const uint32_t first = state.kept.empty() ? state.next : state.kept.front().seq;
    for (uint32_t seq = record.seq + 1; static_cast<int32_t>(seq - first) < 0; ++seq) rig_.Write(record.wire, seq, "");
    for (const Kept& kept : state.kept) {
      if (kept.seq > record.seq) rig_.Write(record.wire, kept.seq, kept.bytes, kept.continues, kept.continue_seq);
    }
    if (state.got < record.continue_seq) state.got = record.continue_seq;
    const bool waits = AnswerWaits(record.wire, state.answered);
    if (state.answered > record.continue_seq && !waits) rig_.Push(table::kRecordContinue, record.wire, state.answered);
  }

  bool AnswerWaits(uint32_t wire, uint32_t seq) const {
    for (const auto& [slot, state] : wires_) {
      for (const Kept& kept : state.kept) {
        if (kept.continues == wire && kept.continue_seq == seq && kept.seq > memory::Load(rig_.Row(slot).written_seq)) return true;
      }
    }
    return false;
  }

  void Answer(const table::WireRecord& record, const std::string& bytes) {
    State& from = wires_[record.wire];
    if (record.seq <= from.got) return;
    from.got = from.answered = record.seq;
    const auto [to, reply] = replies.at(record.wire)(bytes);
    State& target = wires_[to];
    target.wrote = true;
    const Kept kept{target.next++, reply, record.wire, record.seq};
    target.kept.push_back(kept);
    rig_.Write(to, kept.seq, kept.bytes, kept.continues, kept.continue_seq);
  }

  WireRig& rig_;
  uint32_t token_ = 1;
  std::map<uint32_t, State> wires_;
  std::deque<Heard> unread_;
};

// Peers that say and check: frames of each channel in order, and an answer to each request, in order.
class Conversation {
 public:
  Conversation(WireRig& rig, Worker& worker, std::mt19937& random) : rig_(rig), random_(random) {
    for (const uint32_t slot : {WireRig::kClient, WireRig::kServer, WireRig::kOther}) {
      peers_[slot];
      worker.replies[slot] = [slot](const std::string& request) {
        return std::pair{slot, "RTSP/1.0 200 OK\r\n" + request.substr(request.find("CSeq"))};
      };
    }
  }

  void SaySomething() {
    const auto slot = static_cast<uint32_t>(random_() % peers_.size());
    if (random_() % 5 == 0) {
      const std::string request = Request(++requests_);
      peers_[slot].messages.push_back("RTSP/1.0 200 OK\r\n" + request.substr(request.find("CSeq")));
      peers_[slot].unsent += request;
    } else {
      SayFrames(slot);
    }
    Send(slot, random_() % 4000);
  }
  void Listen() {
    for (auto& [slot, peer] : peers_) {
      char buffer[8192];
      const ssize_t size = ::recv(rig_.Peer(slot).get(), buffer, random_() % sizeof(buffer), 0);
      if (size > 0) peer.received.append(buffer, static_cast<size_t>(size));
      Check(slot, peer);
    }
  }
  bool Done() const {
    for (const auto& [slot, peer] : peers_) {
      if (!peer.unsent.empty() || !peer.received.empty() || !peer.messages.empty()) return false;
      for (const auto& [channel, frames] : peer.frames) {
        if (!frames.empty()) return false;
      }
    }
    return true;
  }
  void Send(uint32_t slot, size_t most) {
    std::string& unsent = peers_[slot].unsent;
    const ssize_t sent = ::send(rig_.Peer(slot).get(), unsent.data(), std::min(most, unsent.size()), MSG_NOSIGNAL);
    if (sent > 0) unsent.erase(0, static_cast<size_t>(sent));
  }
  void SendAll() {
    for (const auto& [slot, peer] : peers_) Send(slot, peer.unsent.size());
  }

 private:
  struct Talker {
    std::string unsent;
    std::string received;
    std::deque<std::string> messages;                      // yet to come
    std::map<uint8_t, std::deque<std::string>> frames;     // yet to come, by channel
  };
  struct Way {
    uint8_t from_channel;
    uint32_t to;
    uint8_t to_channel;
  };

  // The client's channels 2 and 3 are the server's 0 and 1, its 4 and 5 those of the other.
  Way AnyWay(uint32_t slot) {
    const auto rtcp = static_cast<uint8_t>(random_() % 2);
    const bool other = slot == WireRig::kOther || (slot == WireRig::kClient && random_() % 2 == 0);
    const auto client_channel = static_cast<uint8_t>((other ? 4 : 2) + rtcp);
    if (slot != WireRig::kClient) return {rtcp, WireRig::kClient, client_channel};
    return {client_channel, other ? WireRig::kOther : WireRig::kServer, rtcp};
  }
  void SayFrames(uint32_t slot) {
    for (uint32_t i = random_() % 6; i > 0; --i) {
      const Way way = AnyWay(slot);
      const std::string payload(random_() % 1500, static_cast<char>('a' + random_() % 26));
      peers_[slot].unsent += Frame(way.from_channel, payload);
      peers_[way.to].frames[way.to_channel].push_back(Frame(way.to_channel, payload));
    }
  }
  void Check(uint32_t slot, Talker& peer) {
    while (!peer.received.empty()) {
      const wire::Piece piece = wire::NextPiece(Bytes8(peer.received), 65536);
      if (piece.kind == wire::PieceKind::kPartial) return;
      CHECK(piece.kind == wire::PieceKind::kFrame || piece.kind == wire::PieceKind::kMessage);
      auto& expected = piece.kind == wire::PieceKind::kMessage ? peer.messages
                                                               : peers_[slot].frames[static_cast<uint8_t>(peer.received[1])];
      CHECK(!expected.empty());
      CHECK_EQ(peer.received.substr(0, piece.size), expected.front());
      expected.pop_front();
      peer.received.erase(0, piece.size);
    }
  }

  WireRig& rig_;
  std::mt19937& random_;
  std::map<uint32_t, Talker> peers_;
  int requests_ = 0;
};

}  // namespace penstock::test

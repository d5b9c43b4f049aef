#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "connection.h"
#include "program.h"

namespace penstock::bench {

class FarmConnection;

// One SETUP of a fake server.
struct FarmStream {
  uint32_t index;
  bool used = false;
  bool playing = false;
  uint32_t sequence = 0;  // of the next packet
  int fd = -1;            // UDP: sent from here …
  sockaddr_in to{};       // … to there
  FarmConnection* carrier = nullptr;  // interleaved
  int channel = 0;
  std::vector<int> own_fds{};
};

struct FarmSession {
  std::vector<uint32_t> streams;
};

// How a fake server gives out its ports.
enum class PortPlan {
  kShared,     // one pair for all sessions
  kOwn,        // a pair per stream
  kAnnounced,  // numbers only, no sockets: for sessions that never play
};

// RTSP servers on several addresses. Sessions over UDP outlive their connection, as with real ones.
class Farm {
 public:
  Farm(Program& program, const Settings& settings);
  ~Farm();

  Json Obey(const Settings& command);

  Program& program() { return program_; }
  std::vector<FarmStream*> PlayingStreams();

 private:
  friend class FarmConnection;

  struct Server : Handler {
    Farm* farm = nullptr;
    int listener = -1;
    int rtp = -1;
    sockaddr_in address{};
    void OnReady(uint32_t events) override;
  };
  struct RtcpSocket : Handler {
    Farm* farm = nullptr;
    int fd = -1;
    void OnReady(uint32_t events) override;
  };

  void Answer(FarmConnection& connection, const Message& request);
  std::string Describe(const Message& request) const;
  std::string SetUp(FarmConnection& connection, const Message& request, std::string& session_id);
  std::string Play(const Message& request, FarmSession& session);
  void End(const std::string& id);
  void Lost(FarmConnection& connection);

  FarmStream& NewStream();
  void FreeStream(FarmStream& stream);
  int ServerPort(FarmStream& stream, const Server& server);
  int BindOwnPair(FarmStream& stream, const Server& server);
  void WatchRtcp(int fd);

  Json Aim(const Settings& command);
  Json Stats() const;

  Program& program_;
  PortPlan ports_;
  int first_port_;
  int port_pairs_;
  int next_pair_ = 0;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<RtcpSocket>> rtcp_;
  std::unordered_map<FarmConnection*, std::unique_ptr<FarmConnection>> connections_;
  std::unordered_map<std::string, FarmSession> sessions_;
  std::deque<FarmStream> streams_;
  std::vector<uint32_t> free_streams_;
  uint64_t sessions_opened_ = 0;
  uint64_t requests_ = 0;
  uint64_t rtcp_packets_ = 0;
};

class FarmConnection : public Connection {
 public:
  FarmConnection(Farm& farm, int fd, int server) : Connection(farm.program().loop(), fd), farm_(farm), server_(server) {}

  int server() const { return server_; }

  std::vector<std::string> interleaved_sessions;  // these end with the connection

 protected:
  void OnMessage(const Message& message) override { farm_.Answer(*this, message); }
  void OnFrame(int, std::span<const uint8_t>) override { ++farm_.rtcp_packets_; }
  void OnClosed() override { farm_.Lost(*this); }

 private:
  Farm& farm_;
  int server_;  // index of the server that accepted it
};

}  // namespace penstock::bench

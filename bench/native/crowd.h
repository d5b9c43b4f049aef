#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "clock.h"
#include "connection.h"
#include "histogram.h"
#include "program.h"
#include "receiver.h"

namespace penstock::bench {

class Crowd;

enum class Step { kConnect, kOptions, kDescribe, kSetup, kPlay, kTeardown, kCount };
inline constexpr const char* kStepNames[] = {"connect", "options", "describe", "setup", "play", "teardown"};

// What each client does.
struct Script {
  int streams = 1;
  bool interleaved = false;
  bool stay = false;          // play until told to end
  bool bound_ports = false;   // announce the receiver's ports, not just numbers
};

// One client: a connection and the session on it.
class Client : public Connection {
 public:
  Client(Crowd& crowd, int fd, uint64_t number);

  void TearDown();
  // An empty-handed receiver report for each stream (RFC 3550 §6.4.2), by which the session stays alive.
  void Report();
  int64_t step_since() const { return since_; }
  bool playing() const { return playing_; }
  // Reads so many bytes a second from now on; its frames are counted apart.
  void SlowDown(double bytes_per_second);
  void ReadWhatIsDue(int64_t now);
  uint64_t number() const { return number_; }

 protected:
  void OnConnected() override;
  void OnMessage(const Message& message) override;
  void OnFrame(int channel, std::span<const uint8_t> packet) override;
  void OnClosed() override;

 private:
  struct Media {
    int rtcp_fd;
    sockaddr_in to;
  };

  void Go(Step step);
  void Ask(const char* method, const std::string& url, const std::string& fields);
  void Learn(const Message& reply);

  Crowd& crowd_;
  const uint64_t number_;
  const std::string url_;
  Step step_ = Step::kConnect;
  int64_t since_ = Now();
  const int64_t begun_ = since_;
  int cseq_ = 0;
  int set_up_ = 0;
  bool playing_ = false;
  double bytes_per_second_ = 0;  // 0: as fast as they come
  int64_t last_read_ = 0;
  std::string session_;
  std::vector<Media> media_;
};

// Clients of one target.
class Crowd {
 public:
  Crowd(Program& program, const Settings& settings);

  Json Obey(const Settings& command);
  // Collects media, sends the reports that are due, gives up on what hangs.
  void Tend();

 private:
  friend class Client;

  Json Open(const Settings& command);
  Json Churn(const Settings& command);
  Json CloseAll(const Settings& command);
  Json SlowDown(const Settings& command);
  void Launch();
  void Turn();
  void ReportOnTime();
  void Expire();
  void Measured(Step step, int64_t since);
  void Failed(Client& client, const std::string& why);
  void Finished(Client& client, int64_t begun);
  void Remove(Client& client);
  Json StepReport() const;
  void ClearStatistics();
  int NextPort();

  Program& program_;
  Receiver receiver_;
  sockaddr_in local_;
  sockaddr_in target_;
  std::string authority_;
  const uint64_t report_turns_;  // in how many groups the clients report; 0 = never
  uint64_t report_turn_ = 0;
  int64_t next_report_ = 0;
  int64_t next_expiry_ = 0;

  Script script_;
  std::unordered_map<Client*, std::unique_ptr<Client>> clients_;
  uint64_t launched_ = 0;
  uint64_t next_number_ = 0;
  uint64_t finished_ = 0;
  uint64_t settled_ = 0;  // playing, and to stay so
  std::vector<Client*> slow_;
  uint64_t slow_frames_ = 0;
  uint64_t next_port_ = 0;
  std::array<Histogram, static_cast<size_t>(Step::kCount)> steps_;
  Histogram whole_;
  std::map<std::string, uint64_t> failures_;
};

}  // namespace penstock::bench

#include "crowd.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstring>
#include <stdexcept>
#include <utility>

#include "sockets.h"
#include "stamp.h"

namespace penstock::bench {
namespace {

constexpr int64_t kStepLimit = 10 * kSecond;
constexpr int64_t kChurnLimit = 60 * kSecond;
constexpr int64_t kExpiryPeriod = kSecond;
constexpr int64_t kReportPeriod = 100 * kMillisecond;
constexpr int kUrls = 50;
constexpr uint64_t kFirstNumber = 10'000;  // of client ports that are only announced
constexpr uint64_t kNumberPairs = 25'000;
constexpr int kPollMs = 2;
constexpr int kSlowReceiveBuffer = 64 << 10;
constexpr double kSlowRead = 1000;  // bytes at once

int64_t Seconds(double seconds) { return static_cast<int64_t>(seconds * kSecond); }

}  // namespace

// ---- one client

Client::Client(Crowd& crowd, int fd, uint64_t number)
    : Connection(crowd.program_.loop(), fd),
      crowd_(crowd),
      number_(number),
      url_("rtsp://" + crowd.authority_ + "/cam" + std::to_string(number % kUrls)) {}

void Client::OnConnected() {
  crowd_.Measured(Step::kConnect, since_);
  Go(Step::kOptions);
}

void Client::Go(Step step) {
  step_ = step;
  since_ = Now();
  switch (step) {
    case Step::kOptions: return Ask("OPTIONS", url_, "");
    case Step::kDescribe: return Ask("DESCRIBE", url_, "Accept: application/sdp\r\n");
    case Step::kSetup: {
      const int port = crowd_.NextPort();
      const std::string pair = std::to_string(port) + "-" + std::to_string(port + 1);
      const std::string channels = std::to_string(2 * set_up_) + "-" + std::to_string(2 * set_up_ + 1);
      return Ask("SETUP", url_ + "/trackID=" + std::to_string(set_up_),
                 crowd_.script_.interleaved ? "Transport: RTP/AVP/TCP;unicast;interleaved=" + channels + "\r\n"
                                            : "Transport: RTP/AVP;unicast;client_port=" + pair + "\r\n");
    }
    case Step::kPlay: return Ask("PLAY", url_ + "/", "Range: npt=0.000-\r\n");
    case Step::kTeardown: return Ask("TEARDOWN", url_ + "/", "");
    default: return;
  }
}

void Client::Ask(const char* method, const std::string& url, const std::string& fields) {
  std::string text = std::string(method) + ' ' + url + " RTSP/1.0\r\nCSeq: " + std::to_string(++cseq_) +
                     "\r\nUser-Agent: penstock-bench\r\n" + fields;
  if (!session_.empty()) text += "Session: " + session_ + "\r\n";
  Send(text + "\r\n");
}

void Client::OnMessage(const Message& message) {
  if (message.Word(0) != "RTSP/1.0") return;  // a request of the server
  if (step_ == Step::kCount) return;
  if (message.status() != 200) {
    return crowd_.Failed(*this, std::string(kStepNames[static_cast<size_t>(step_)]) + " " +
                                    std::to_string(message.status()));
  }
  crowd_.Measured(step_, since_);
  switch (step_) {
    case Step::kOptions: return Go(Step::kDescribe);
    case Step::kDescribe: return Go(Step::kSetup);
    case Step::kSetup:
      Learn(message);
      return Go(++set_up_ < crowd_.script_.streams ? Step::kSetup : Step::kPlay);
    case Step::kPlay:
      if (!crowd_.script_.stay) return Go(Step::kTeardown);
      step_ = Step::kCount;
      playing_ = true;
      ++crowd_.settled_;
      return;
    case Step::kTeardown: return crowd_.Finished(*this, begun_);
    default: return;
  }
}

void Client::Learn(const Message& reply) {
  const std::string_view id = reply.Field("Session");
  session_ = id.substr(0, id.find(';'));
  const std::string_view transport = reply.Field("Transport");
  const int port = NumberAfter(transport, "server_port=");
  if (port < 0 || crowd_.receiver_.pairs().empty()) return;
  const std::string source(TextAfter(transport, "source="));
  const sockaddr_in server = source.empty() ? crowd_.target_ : ParseAddress(source + ":0");
  const int own = NumberAfter(transport, "client_port=");
  for (const Receiver::Pair& pair : crowd_.receiver_.pairs()) {
    if (pair.port == own) media_.push_back({pair.rtcp, WithPort(server, port + 1)});
  }
}

void Client::TearDown() {
  playing_ = false;
  Go(Step::kTeardown);
}

void Client::Report() {
  uint8_t packet[32] = {0x81, 201, 0, 7};
  const uint32_t ssrc = htonl(static_cast<uint32_t>(0x43000000 + number_));
  std::memcpy(&packet[4], &ssrc, sizeof(ssrc));
  for (const Media& media : media_) {
    ::sendto(media.rtcp_fd, packet, sizeof(packet), MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&media.to),
             sizeof(media.to));
  }
}

void Client::SlowDown(double bytes_per_second) {
  bytes_per_second_ = bytes_per_second;
  last_read_ = Now();
  ReadOnDemand(kSlowReceiveBuffer);
}

void Client::ReadWhatIsDue(int64_t now) {
  const double due = static_cast<double>(now - last_read_) / kSecond * bytes_per_second_;
  if (due < kSlowRead) return;
  last_read_ = now;
  ReadSome(static_cast<size_t>(due));
}

void Client::OnFrame(int channel, std::span<const uint8_t> packet) {
  if (channel % 2 != 0) return;
  if (bytes_per_second_ > 0) {
    ++crowd_.slow_frames_;
  } else {
    crowd_.receiver_.Take(packet, Now());
  }
}

void Client::OnClosed() {
  crowd_.Failed(*this, std::string(step_ == Step::kCount ? "playing" : kStepNames[static_cast<size_t>(step_)]) + " lost");
}

// ---- all of them

Crowd::Crowd(Program& program, const Settings& settings)
    : program_(program),
      local_(ParseAddress(settings.Text("local"))),
      target_(ParseAddress(settings.Text("target"))),
      authority_(settings.Text("target")),
      report_turns_(static_cast<uint64_t>(settings.Number("report-seconds", 5) * kSecond / kReportPeriod)) {
  receiver_.Listen(local_, settings.Whole("first-port", 40'000), settings.Whole("pairs", 16));
}

Json Crowd::Obey(const Settings& command) {
  if (command.word() == "open") return Open(command);
  if (command.word() == "churn") return Churn(command);
  if (command.word() == "close") return CloseAll(command);
  if (command.word() == "slow") return SlowDown(command);
  if (command.word() == "reset") {
    receiver_.Reset();
    slow_frames_ = 0;
    return {};
  }
  if (command.word() == "report") {
    receiver_.Collect();
    size_t playing = 0;
    for (const auto& [client, owner] : clients_) playing += client->playing() ? 1 : 0;
    return receiver_.Report().Put("slowFrames", slow_frames_).Put("playing", playing).Put("steps", StepReport());
  }
  if (command.word() == "wait") {  // media is received meanwhile
    const int64_t end = Now() + Seconds(command.Number("seconds", 1));
    while (Now() < end && !program_.stopping()) Turn();
    return {};
  }
  throw std::invalid_argument("unknown command: " + command.word());
}

// `open sessions=N streams=1 concurrency=50 transport=udp|tcp`: sessions that play until `close`.
Json Crowd::Open(const Settings& command) {
  ClearStatistics();
  script_ = {command.Whole("streams", 1), command.Text("transport", "udp") == "tcp", true, true};
  const auto sessions = static_cast<uint64_t>(command.Whole("sessions", 1));
  const auto concurrency = static_cast<uint64_t>(command.Whole("concurrency", 50));
  const int64_t begun = Now();
  const uint64_t before = settled_;
  auto over = [&] {
    uint64_t failed = 0;
    for (const auto& [why, count] : failures_) failed += count;
    return settled_ - before + failed;
  };
  while (over() < sessions && !program_.stopping()) {
    while (launched_ < sessions && launched_ - over() < concurrency) Launch();
    Turn();
  }
  Json json;
  json.Put("opened", settled_ - before).Put("seconds", static_cast<double>(Now() - begun) / kSecond);
  return json.Put("steps", StepReport());
}

// `churn seconds=T sessions=0 concurrency=N streams=1`: whole sessions, one after the other, N at a time, until the
// time is over and there were so many.
Json Crowd::Churn(const Settings& command) {
  ClearStatistics();
  script_ = {command.Whole("streams", 1), command.Text("transport", "udp") == "tcp", false, false};
  const auto concurrency = static_cast<size_t>(command.Whole("concurrency", 32));
  const size_t standing = clients_.size();
  const int64_t begun = Now();
  const int64_t end = begun + Seconds(command.Number("seconds", 1));
  const auto sessions = static_cast<uint64_t>(command.Whole("sessions", 0));
  const int64_t too_long = begun + kChurnLimit;
  while ((Now() < end || (launched_ < sessions && Now() < too_long)) && !program_.stopping()) {
    while (clients_.size() - standing < concurrency) Launch();
    Turn();
  }
  const uint64_t in_time = finished_;
  const double seconds = static_cast<double>(Now() - begun) / kSecond;
  const int64_t give_up = Now() + kStepLimit;
  while (clients_.size() > standing && Now() < give_up && !program_.stopping()) Turn();
  Json json;
  json.Put("sessions", finished_).Put("inTime", in_time).Put("seconds", seconds);
  json.Put("perSecond", static_cast<double>(in_time) / seconds);
  return json.Put("steps", StepReport());
}

Json Crowd::CloseAll(const Settings& command) {
  ClearStatistics();
  const auto concurrency = static_cast<size_t>(command.Whole("concurrency", 50));
  std::vector<Client*> waiting;
  for (const auto& [client, owner] : clients_) {
    if (client->playing()) waiting.push_back(client);
  }
  const size_t total = waiting.size();
  while (!clients_.empty() && !program_.stopping()) {
    while (!waiting.empty() && clients_.size() - waiting.size() < concurrency) {
      Client* client = waiting.back();
      waiting.pop_back();
      if (clients_.contains(client)) client->TearDown();
    }
    std::erase_if(waiting, [this](Client* client) { return !clients_.contains(client); });
    Turn();
  }
  return Json().Put("sessions", total).Put("finished", finished_).Put("steps", StepReport());
}

// `slow clients=1 bytes-per-second=20000`: so many that play over TCP, from now on.
Json Crowd::SlowDown(const Settings& command) {
  const auto count = static_cast<size_t>(command.Whole("clients", 1));
  for (const auto& [client, owner] : clients_) {
    if (slow_.size() == count) break;
    if (!client->playing()) continue;
    client->SlowDown(command.Number("bytes-per-second", 20'000));
    slow_.push_back(client);
  }
  return Json().Put("clients", slow_.size());
}

void Crowd::Launch() {
  ++launched_;
  auto client = std::make_unique<Client>(*this, StartConnect(local_, target_), next_number_++);
  clients_.emplace(client.get(), std::move(client));
}

void Crowd::Turn() {
  program_.loop().Poll(kPollMs);
  Tend();
}

void Crowd::Tend() {
  receiver_.Collect();
  ReportOnTime();
  Expire();
  const int64_t now = Now();
  for (Client* client : std::vector(slow_)) client->ReadWhatIsDue(now);  // one may go meanwhile
}

// A few at a time: all of them at once would be a burst.
void Crowd::ReportOnTime() {
  const int64_t now = Now();
  if (report_turns_ == 0 || now < next_report_) return;
  next_report_ = now + kReportPeriod;
  report_turn_ = (report_turn_ + 1) % report_turns_;
  for (const auto& [client, owner] : clients_) {
    if (client->playing() && client->number() % report_turns_ == report_turn_) client->Report();
  }
}

void Crowd::Expire() {
  const int64_t now = Now();
  if (now < next_expiry_) return;
  next_expiry_ = now + kExpiryPeriod;
  std::vector<Client*> late;
  for (const auto& [client, owner] : clients_) {
    if (!client->playing() && now - client->step_since() > kStepLimit) late.push_back(client);
  }
  for (Client* client : late) Failed(*client, "no answer");
}

void Crowd::Measured(Step step, int64_t since) { steps_[static_cast<size_t>(step)].Add(Now() - since); }

void Crowd::Failed(Client& client, const std::string& why) {
  ++failures_[why];
  Remove(client);
}

void Crowd::Finished(Client& client, int64_t begun) {
  whole_.Add(Now() - begun);
  ++finished_;
  Remove(client);
}

void Crowd::Remove(Client& client) {
  const auto entry = clients_.find(&client);
  if (entry == clients_.end()) return;
  std::erase(slow_, &client);
  client.Close();
  program_.loop().Dispose(std::move(entry->second));
  clients_.erase(entry);
}

int Crowd::NextPort() {
  const uint64_t turn = next_port_++;
  if (!script_.bound_ports) return static_cast<int>(kFirstNumber + 2 * (turn % kNumberPairs));
  return receiver_.pairs()[turn % receiver_.pairs().size()].port;
}

Json Crowd::StepReport() const {
  Json json;
  for (size_t i = 0; i < steps_.size(); ++i) json.Put(kStepNames[i], steps_[i].Report());
  Json failures;
  uint64_t failed = 0;
  for (const auto& [why, count] : failures_) {
    failures.Put(why, count);
    failed += count;
  }
  return json.Put("session", whole_.Report()).Put("failed", failed).Put("failures", failures);
}

void Crowd::ClearStatistics() {
  for (Histogram& step : steps_) step.Clear();
  whole_.Clear();
  failures_.clear();
  launched_ = finished_ = 0;
}

}  // namespace penstock::bench

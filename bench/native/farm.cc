#include "farm.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <stdexcept>
#include <system_error>

#include "sender.h"
#include "sockets.h"
#include "stamp.h"

namespace penstock::bench {
namespace {

constexpr int kReceiveBuffer = 1 << 20;
constexpr int kSendBuffer = 8 << 20;
constexpr int kHighestPort = 60000;

PortPlan ParsePlan(const std::string& text) {
  if (text == "shared") return PortPlan::kShared;
  if (text == "own") return PortPlan::kOwn;
  if (text == "announced") return PortPlan::kAnnounced;
  throw std::invalid_argument("ports= shared, own or announced, not " + text);
}

// Sixteen hexadecimal digits that look random and never repeat.
std::string MakeSessionId(uint64_t number) {
  uint64_t z = number + 0x9e3779b97f4a7c15 * (number + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  char text[17];
  std::snprintf(text, sizeof(text), "%016" PRIx64, z ^ (z >> 31));
  return text;
}

std::string Reply(const Message& request, const std::string& status, const std::string& fields) {
  std::string text = "RTSP/1.0 " + status + "\r\nCSeq: ";
  text.append(request.Field("CSeq")).append("\r\nServer: penstock-bench\r\n");
  return text.append(fields).append("\r\n");
}

std::string SessionIdOf(const Message& request) {
  const std::string_view field = request.Field("Session");
  return std::string(field.substr(0, field.find(';')));
}

}  // namespace

Farm::Farm(Program& program, const Settings& settings)
    : program_(program),
      ports_(ParsePlan(settings.Text("ports", "shared"))),
      first_port_(settings.Whole("first-port", 6970)),
      port_pairs_((kHighestPort - first_port_) / 2) {
  for (const std::string& text : SplitList(settings.Text("listen"))) {
    auto server = std::make_unique<Server>();
    server->farm = this;
    server->address = ParseAddress(text);
    server->listener = ListenTcp(server->address);
    program_.loop().Add(server->listener, EPOLLIN, *server);
    if (ports_ == PortPlan::kShared) {
      server->rtp = BindUdp(WithPort(server->address, first_port_));
      SetBuffers(server->rtp, kReceiveBuffer, kSendBuffer);
      WatchRtcp(BindUdp(WithPort(server->address, first_port_ + 1)));
    }
    servers_.push_back(std::move(server));
  }
}

Farm::~Farm() = default;

void Farm::Server::OnReady(uint32_t) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    const auto own = std::find_if(farm->servers_.begin(), farm->servers_.end(),
                                  [this](const auto& server) { return server.get() == this; });
    auto connection = std::make_unique<FarmConnection>(*farm, fd, static_cast<int>(own - farm->servers_.begin()));
    farm->connections_.emplace(connection.get(), std::move(connection));
  }
}

void Farm::RtcpSocket::OnReady(uint32_t) {
  uint8_t packet[kMaxPacket];
  while (::recv(fd, packet, sizeof(packet), MSG_DONTWAIT) >= 0) ++farm->rtcp_packets_;
}

void Farm::WatchRtcp(int fd) {
  auto socket = std::make_unique<RtcpSocket>();
  socket->farm = this;
  socket->fd = fd;
  program_.loop().Add(fd, EPOLLIN, *socket);
  rtcp_.push_back(std::move(socket));
}

void Farm::Answer(FarmConnection& connection, const Message& request) {
  ++requests_;
  const std::string_view method = request.Word(0);
  if (method == "OPTIONS") {
    connection.Send(Reply(request, "200 OK",
                          "Public: OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN\r\n"));
    return;
  }
  if (method == "DESCRIBE") {
    connection.Send(Describe(request));
    return;
  }
  std::string id = SessionIdOf(request);
  if (method == "SETUP") {
    connection.Send(SetUp(connection, request, id));
    return;
  }
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) {
    connection.Send(Reply(request, "454 Session Not Found", ""));
    return;
  }
  if (method == "PLAY") {
    connection.Send(Play(request, session->second));
    return;
  }
  if (method == "TEARDOWN") End(id);
  connection.Send(Reply(request, "200 OK", "Session: " + id + "\r\n"));
}

std::string Farm::Describe(const Message& request) const {
  const std::string base(request.Word(1));
  const std::string body =
      "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=bench\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n"
      "m=video 0 RTP/AVP 96\r\nb=AS:4000\r\na=rtpmap:96 H264/90000\r\n"
      "a=fmtp:96 packetization-mode=1;profile-level-id=42C01E;sprop-parameter-sets=Z0LAHtoCgL/lwFqAgICgAAADACAAAAZR4sXU,aM48gA==\r\n"
      "a=control:trackID=0\r\n"
      "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/48000/1\r\n"
      "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1188\r\n"
      "a=control:trackID=1\r\n";
  return Reply(request, "200 OK",
               "Content-Base: " + base + "/\r\nContent-Type: application/sdp\r\nContent-Length: " +
                   std::to_string(body.size()) + "\r\n") +
         body;
}

std::string Farm::SetUp(FarmConnection& connection, const Message& request, std::string& id) {
  const std::string_view transport = request.Field("Transport");
  const int channel = NumberAfter(transport, "interleaved=");
  const int client_port = NumberAfter(transport, "client_port=");
  if (channel < 0 && client_port < 0) return Reply(request, "461 Unsupported Transport", "");
  if (id.empty()) {
    id = MakeSessionId(sessions_opened_++);
    sessions_.emplace(id, FarmSession{});
    if (channel >= 0) connection.interleaved_sessions.push_back(id);
  }
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) return Reply(request, "454 Session Not Found", "");
  FarmStream& stream = NewStream();
  session->second.streams.push_back(stream.index);
  std::string answer = channel >= 0 ? "RTP/AVP/TCP;unicast;interleaved=" + std::to_string(channel) + "-" +
                                          std::to_string(channel + 1)
                                    : "RTP/AVP;unicast;";
  if (channel >= 0) {
    stream.carrier = &connection;
    stream.channel = channel;
  } else {
    sockaddr_in peer{};
    socklen_t size = sizeof(peer);
    ::getpeername(connection.fd(), reinterpret_cast<sockaddr*>(&peer), &size);
    stream.to = WithPort(peer, client_port);
    const int port = ServerPort(stream, *servers_[static_cast<size_t>(connection.server())]);
    answer.append(TextAfter(transport, "unicast;")).append(";server_port=");
    answer += std::to_string(port) + "-" + std::to_string(port + 1);
  }
  char ssrc[32];
  std::snprintf(ssrc, sizeof(ssrc), ";ssrc=%08X", kSsrcBase + stream.index);
  return Reply(request, "200 OK",
               "Session: " + id + ";timeout=60\r\nTransport: " + answer + ssrc + ";mode=\"PLAY\"\r\n");
}

std::string Farm::Play(const Message& request, FarmSession& session) {
  std::string info;
  for (const uint32_t index : session.streams) {
    streams_[index].playing = true;
    info.append(info.empty() ? "url=" : ",url=").append(request.Word(1));
    info += "/trackID=" + std::to_string(index % 2) + ";seq=" + std::to_string(streams_[index].sequence & 0xffff);
  }
  return Reply(request, "200 OK",
               "Session: " + SessionIdOf(request) + "\r\nRange: npt=now-\r\nRTP-Info: " + info + "\r\n");
}

void Farm::End(const std::string& id) {
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  for (const uint32_t index : session->second.streams) FreeStream(streams_[index]);
  sessions_.erase(session);
}

void Farm::Lost(FarmConnection& connection) {
  for (const std::string& id : connection.interleaved_sessions) End(id);
  const auto entry = connections_.find(&connection);
  if (entry == connections_.end()) return;
  program_.loop().Dispose(std::move(entry->second));
  connections_.erase(entry);
}

FarmStream& Farm::NewStream() {
  if (free_streams_.empty()) {
    streams_.push_back({.index = static_cast<uint32_t>(streams_.size())});
    streams_.back().used = true;
    return streams_.back();
  }
  FarmStream& stream = streams_[free_streams_.back()];
  free_streams_.pop_back();
  stream.used = true;
  return stream;
}

void Farm::FreeStream(FarmStream& stream) {
  for (const int fd : stream.own_fds) ::close(fd);
  stream = {.index = stream.index};
  free_streams_.push_back(stream.index);
}

int Farm::ServerPort(FarmStream& stream, const Server& server) {
  if (ports_ == PortPlan::kOwn) return BindOwnPair(stream, server);
  stream.fd = server.rtp;
  if (ports_ == PortPlan::kShared) return first_port_;
  next_pair_ = (next_pair_ + 1) % port_pairs_;
  return first_port_ + 2 * next_pair_;
}

int Farm::BindOwnPair(FarmStream& stream, const Server& server) {
  for (int tried = 0; tried < port_pairs_; ++tried) {
    next_pair_ = (next_pair_ + 1) % port_pairs_;
    const int port = first_port_ + 2 * next_pair_;
    try {
      stream.fd = BindUdp(WithPort(server.address, port));
    } catch (const std::system_error& error) {
      if (error.code().value() != EADDRINUSE) throw;
      continue;
    }
    SetBuffers(stream.fd, kReceiveBuffer, kSendBuffer);
    stream.own_fds = {stream.fd, BindUdp(WithPort(server.address, port + 1))};
    return port;
  }
  throw std::runtime_error("no server port is free");
}

std::vector<FarmStream*> Farm::PlayingStreams() {
  std::vector<FarmStream*> playing;
  for (FarmStream& stream : streams_) {
    if (stream.used && stream.playing && (stream.fd >= 0 || stream.carrier != nullptr)) playing.push_back(&stream);
  }
  return playing;
}

Json Farm::Obey(const Settings& command) {
  if (command.word() == "send") return SendMedia(*this, command);
  if (command.word() == "aim") return Aim(command);
  if (command.word() == "stats") return Stats();
  throw std::invalid_argument("unknown command: " + command.word());
}

// Streams without RTSP, to each of `ports=` at `to=IP`: for relays that know no RTSP.
Json Farm::Aim(const Settings& command) {
  const sockaddr_in to = ParseAddress(command.Text("to"));
  size_t count = 0;
  for (const std::string& port : SplitList(command.Text("ports"))) {
    FarmStream& stream = NewStream();
    stream.playing = true;
    stream.to = WithPort(to, std::stoi(port));
    if (ServerPort(stream, *servers_[count++ % servers_.size()]) < 0 || stream.fd < 0) {
      throw std::invalid_argument("aim needs ports=shared or own");
    }
  }
  return Json().Put("streams", count);
}

Json Farm::Stats() const {
  size_t playing = 0;
  for (const FarmStream& stream : streams_) playing += stream.playing ? 1 : 0;
  Json json;
  json.Put("sessions", sessions_.size()).Put("playing", playing).Put("sessionsOpened", sessions_opened_);
  json.Put("requests", requests_).Put("rtcp", rtcp_packets_).Put("connections", connections_.size());
  return json;
}

}  // namespace penstock::bench

#include "connection.h"

#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "sockets.h"

namespace penstock::bench {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kMaxBacklog = 1 << 20;
constexpr size_t kFrameHeader = 4;

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::string_view Message::Word(int index) const {
  std::string_view line = head.substr(0, head.find('\r'));
  for (; index > 0; --index) line.remove_prefix(std::min(line.size(), line.find(' ') + 1));
  return line.substr(0, line.find(' '));
}

std::string_view Message::Field(std::string_view name) const {
  for (size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at)) {
    at += 2;
    const std::string_view line = head.substr(at, head.find("\r\n", at) - at);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !SameName(line.substr(0, colon), name)) continue;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  }
  return {};
}

int Message::status() const {
  int status = 0;
  const std::string_view word = Word(1);
  std::from_chars(word.data(), word.data() + word.size(), status);
  return status;
}

std::string_view TextAfter(std::string_view field, std::string_view name) {
  const size_t at = field.find(name);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = field.substr(at + name.size());
  return rest.substr(0, rest.find_first_of(";,"));
}

int NumberAfter(std::string_view field, std::string_view name) {
  const std::string_view text = TextAfter(field, name);
  int number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Connection::Connection(EventLoop& loop, int fd) : loop_(loop), fd_(fd) { loop_.Add(fd, EPOLLIN | EPOLLOUT, *this); }

Connection::~Connection() { Close(); }

void Connection::Close() {
  if (fd_ < 0) return;
  loop_.Remove(fd_);
  ::close(fd_);
  fd_ = -1;
}

void Connection::Lose() {
  if (fd_ < 0) return;
  Close();
  OnClosed();
}

void Connection::OnReady(uint32_t events) {
  if (closed()) return;
  if (!connected_ && (events & (EPOLLOUT | EPOLLERR)) != 0) {
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Lose();
    connected_ = true;
    OnConnected();
  }
  if ((events & EPOLLOUT) != 0) Flush();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read();
}

void Connection::Send(std::string_view bytes) {
  if (closed()) return;
  out_.append(bytes);
  Flush();
}

bool Connection::SendFrame(int channel, std::string_view head, std::string_view rest) {
  if (closed() || out_.size() > kMaxBacklog) return false;
  const size_t size = head.size() + rest.size();
  const char frame[kFrameHeader] = {'$', static_cast<char>(channel), static_cast<char>(size >> 8),
                                    static_cast<char>(size)};
  out_.append(frame, kFrameHeader).append(head).append(rest);
  Flush();
  return true;
}

void Connection::Flush() {
  if (closed()) return;
  while (!out_.empty()) {
    const ssize_t sent = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (sent < 0) break;  // what is wrong, other than a full buffer, the next read tells
    out_.erase(0, static_cast<size_t>(sent));
  }
  if (!out_.empty() == watching_write_) return;
  watching_write_ = !out_.empty();
  Watch();
}

void Connection::Watch() {
  loop_.Change(fd_, (watching_read_ ? EPOLLIN : 0u) | (watching_write_ ? EPOLLOUT : 0u), *this);
}

void Connection::Read() {
  while (!closed() && watching_read_ && ReadOnce(kReadBytes)) {
  }
}

void Connection::ReadOnDemand(int receive_buffer) {
  if (closed()) return;
  SetOption(fd_, SOL_SOCKET, SO_RCVBUF, receive_buffer);
  watching_read_ = false;
  Watch();
}

void Connection::ReadSome(size_t most) {
  if (!closed()) ReadOnce(std::min(most, kReadBytes));
}

// False where there is no more to read at once.
bool Connection::ReadOnce(size_t most) {
  static char buffer[kReadBytes];
  const ssize_t got = ::recv(fd_, buffer, most, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    Lose();
    return false;
  }
  in_.append(buffer, static_cast<size_t>(got));
  in_.erase(0, Parse());
  return static_cast<size_t>(got) == most;
}

// Gives how many bytes were understood.
size_t Connection::Parse() {
  const std::string_view all = in_;
  size_t at = 0;
  while (!closed() && at < all.size()) {
    const std::string_view rest = all.substr(at);
    if (rest[0] == '$') {
      if (rest.size() < kFrameHeader) break;
      const auto* bytes = reinterpret_cast<const uint8_t*>(rest.data());
      const size_t size = size_t{bytes[2]} << 8 | bytes[3];
      if (rest.size() < kFrameHeader + size) break;
      OnFrame(bytes[1], {bytes + kFrameHeader, size});
      at += kFrameHeader + size;
      continue;
    }
    const size_t end = rest.find("\r\n\r\n");
    if (end == std::string_view::npos) break;
    Message message{rest.substr(0, end), {}};
    const std::string_view length = message.Field("Content-Length");
    size_t body = 0;
    std::from_chars(length.data(), length.data() + length.size(), body);
    if (rest.size() < end + 4 + body) break;
    message.body = rest.substr(end + 4, body);
    OnMessage(message);
    at += end + 4 + body;
  }
  return at;
}

}  // namespace penstock::bench

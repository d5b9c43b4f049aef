#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "binding/args.h"
#include "binding/functions.h"
#include "memory/file_limit.h"
#include "memory/system_error.h"
#include "net/tcp_listener.h"
#include "net/udp_socket.h"
#include "net/unix_datagram.h"

namespace penstock::binding {
namespace {

constexpr uint32_t kMaxBacklog = 65535;
constexpr uint32_t kMaxReceiveBuffer = 1u << 30;

net::ListenOptions ReadListenOptions(const Napi::Value& value) {
  const Napi::Object options = args::Object(value, "options");
  net::ListenOptions read;
  read.reuse_port = args::Bool(options.Get("reusePort"), "options.reusePort");
  read.v6_only = args::OptionalBool(options.Get("v6Only"), "options.v6Only", false);
  const Napi::Value backlog = options.Get("backlog");
  if (!backlog.IsUndefined()) read.backlog = static_cast<int>(args::Uint32(backlog, "options.backlog", 1, kMaxBacklog));
  return read;
}

Napi::Value Pair(Napi::Env env, int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) throw memory::SystemError("socketpair");
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(0u, fds[0]);
  pair.Set(1u, fds[1]);
  return pair;
}

}  // namespace

Napi::Value RaiseFileLimit(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(memory::RaiseFileLimit().soft));
}

Napi::Value ListenTcp(const Napi::CallbackInfo& info) {
  const std::string address = args::Text(info[0], "address");
  const uint16_t port = args::Port(info[1], "port");
  net::BoundSocket socket = net::ListenTcp(address, port, ReadListenOptions(info[2]));
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("port", socket.port);
  result.Set("fd", socket.fd.Release());
  return result;
}

Napi::Value BindUdp(const Napi::CallbackInfo& info) {
  const std::string address = args::Text(info[0], "address");
  const uint16_t port = args::Port(info[1], "port");
  const Napi::Object options = args::Object(info[2], "options");
  const uint32_t buffer =
      args::Uint32(options.Get("receiveBuffer"), "options.receiveBuffer", 0, kMaxReceiveBuffer);
  net::UdpSocket socket = net::BindUdp(address, port, buffer);
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("port", socket.port);
  result.Set("receiveBuffer", socket.receive_buffer);
  result.Set("fd", socket.fd.Release());
  return result;
}

Napi::Value CloseFd(const Napi::CallbackInfo& info) {
  if (::close(args::Fd(info[0], "fd")) != 0) throw memory::SystemError("close");
  return info.Env().Undefined();
}

Napi::Value DupFd(const Napi::CallbackInfo& info) {
  const int fd = ::fcntl(args::Fd(info[0], "fd"), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) throw memory::SystemError("fcntl");
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value SocketPair(const Napi::CallbackInfo& info) { return Pair(info.Env(), SOCK_SEQPACKET); }

Napi::Value StreamPair(const Napi::CallbackInfo& info) { return Pair(info.Env(), SOCK_STREAM); }

Napi::Value EventFd(const Napi::CallbackInfo& info) {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw memory::SystemError("eventfd");
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value Wake(const Napi::CallbackInfo& info) {
  // EAGAIN: the counter is full, so the thread has a wake-up waiting as it is.
  if (::eventfd_write(args::Fd(info[0], "eventFd"), 1) != 0 && errno != EAGAIN) throw memory::SystemError("write");
  return info.Env().Undefined();
}

Napi::Value SendUnixDatagram(const Napi::CallbackInfo& info) {
  net::SendUnixDatagram(args::Text(info[0], "path"), args::Text(info[1], "text"));
  return info.Env().Undefined();
}

}  // namespace penstock::binding

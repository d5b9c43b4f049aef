#include "wire/wire_io.h"

#include <sys/socket.h>

#include <cerrno>

namespace penstock::wire {
namespace {

constexpr size_t kDrainAtOnce = 1 << 20;
constexpr int kDrains = 4;  // in one turn

template <typename Call>
IoResult Retried(Call call) {
  ssize_t bytes;
  do {
    bytes = call();
  } while (bytes < 0 && errno == EINTR);
  if (bytes >= 0) return {static_cast<size_t>(bytes), 0};
  return {0, errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM ? EAGAIN : errno};
}

}  // namespace

IoResult WireIo::Peek(const Wire& wire, std::span<uint8_t>& bytes) {
  const IoResult result =
      Retried([&] { return ::recv(wire.fd.get(), scratch_.get(), kScratch, MSG_PEEK | MSG_DONTWAIT); });
  bytes = {scratch_.get(), result.bytes};
  return result;
}

IoResult WireIo::Send(const Wire& wire, std::span<const uint8_t> bytes) {
  return Retried([&] { return ::send(wire.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL); });
}

bool WireIo::Discard(Wire& wire) {
  while (wire.discarded != wire.ledger.now.taken) {
    const size_t size = static_cast<size_t>(wire.ledger.now.taken - wire.discarded);
    const IoResult result = Retried([&] { return ::recv(wire.fd.get(), nullptr, size, MSG_TRUNC | MSG_DONTWAIT); });
    if (result.bytes == 0) return false;
    wire.discarded += result.bytes;
  }
  At(Step::kDiscarded);
  return true;
}

IoResult WireIo::Drain(const Wire& wire) {
  IoResult result{};
  for (int i = 0; i < kDrains; ++i) {
    result = Retried([&] { return ::recv(wire.fd.get(), nullptr, kDrainAtOnce, MSG_TRUNC | MSG_DONTWAIT); });
    if (result.bytes == 0) break;
  }
  return result;
}

}  // namespace penstock::wire

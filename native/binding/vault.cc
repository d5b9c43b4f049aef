#include "net/vault.h"

#include <poll.h>
#include <sys/socket.h>

#include <bit>
#include <chrono>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "binding/args.h"
#include "binding/functions.h"
#include "memory/system_error.h"
#include "table/region_layout.h"

namespace penstock::binding {
namespace {

using memory::SystemError;
using memory::UniqueFd;

// The vault reads without pause; a socket that stays full this long has nobody behind it.
constexpr std::chrono::milliseconds kHandOverTime{1000};

struct ProcessVault {
  std::mutex mutex;
  std::optional<net::Vault> vault;
};

// Leaked on purpose: its thread may still run while the process exits.
ProcessVault& State() {
  static ProcessVault* const state = new ProcessVault;
  return *state;
}

net::Vault& Started(ProcessVault& state) {
  if (!state.vault) throw std::runtime_error("the vault is not started: call vaultStart first");
  return *state.vault;
}

// Checked here, in the caller's hands, since the vault's thread has nobody to tell.
UniqueFd SeqpacketSocket(const Napi::Value& value) {
  const int fd = args::Fd(value, "fd");
  int type = 0;
  socklen_t length = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) throw SystemError("getsockopt", "SO_TYPE");
  if (type != SOCK_SEQPACKET) throw std::invalid_argument("fd must be an end of a socketPair()");
  return UniqueFd(fd);
}

void SendOrThrow(int socket, const net::VaultMessage& message, const std::vector<int>& fds) {
  const auto deadline = std::chrono::steady_clock::now() + kHandOverTime;
  while (std::chrono::steady_clock::now() < deadline) {
    switch (net::SendMessage(socket, message, fds)) {
      case net::PassResult::kDone:
        return;
      case net::PassResult::kWouldBlock: {
        pollfd writable{socket, POLLOUT, 0};
        ::poll(&writable, 1, static_cast<int>(kHandOverTime.count()));
        break;
      }
      default:
        throw SystemError("sendmsg", "to the vault", EPIPE);
    }
  }
  throw SystemError("sendmsg", "to the vault", ETIMEDOUT);
}

}  // namespace

Napi::Value VaultStart(const Napi::CallbackInfo& info) {
  ProcessVault& state = State();
  const std::lock_guard lock(state.mutex);
  if (state.vault) throw std::runtime_error("the vault is started already");
  state.vault.emplace();
  try {
    state.vault->Start();
  } catch (...) {
    state.vault.reset();
    throw;
  }
  return info.Env().Undefined();
}

Napi::Value VaultAttachWorker(const Napi::CallbackInfo& info) {
  ProcessVault& state = State();
  const std::lock_guard lock(state.mutex);
  net::Vault& vault = Started(state);
  const uint32_t index = args::Uint32(info[0], "index", 0, table::kMaxWorkers - 1);
  vault.AttachWorker(index, SeqpacketSocket(info[1]));
  return info.Env().Undefined();
}

Napi::Value VaultAttachEngine(const Napi::CallbackInfo& info) {
  ProcessVault& state = State();
  const std::lock_guard lock(state.mutex);
  Started(state).AttachEngine(SeqpacketSocket(info[0]));
  return info.Env().Undefined();
}

Napi::Value VaultStats(const Napi::CallbackInfo& info) {
  ProcessVault& state = State();
  const std::lock_guard lock(state.mutex);
  const net::VaultStats stats = Started(state).Stats();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("streams", stats.streams);
  result.Set("wires", stats.wires);
  result.Set("descriptors", stats.descriptors);
  result.Set("forwarded", static_cast<double>(stats.forwarded));
  result.Set("dropped", static_cast<double>(stats.dropped));
  return result;
}

Napi::Value VaultStop(const Napi::CallbackInfo& info) {
  ProcessVault& state = State();
  const std::lock_guard lock(state.mutex);
  state.vault.reset();
  return info.Env().Undefined();
}

Napi::Value HandOver(const Napi::CallbackInfo& info) {
  const int socket = args::Fd(info[0], "vaultFd");
  const uint32_t stream = args::Uint32(info[1], "stream");
  const uint32_t generation = args::Uint32(info[2], "generation");
  const uint32_t legs = args::Uint32(info[3], "legs", 1, net::kLegMask);
  const std::vector<int> fds = args::Fds(info[4], "fds", net::kMaxPassedFds);
  if (fds.size() != static_cast<size_t>(std::popcount(legs))) {
    throw std::out_of_range("fds must hold one descriptor per leg: " + std::to_string(std::popcount(legs)) + ", got " +
                            std::to_string(fds.size()));
  }
  SendOrThrow(socket, {net::kVaultAdd, stream, generation, legs}, fds);
  for (const int fd : fds) ::close(fd);
  return info.Env().Undefined();
}

Napi::Value HandOverWire(const Napi::CallbackInfo& info) {
  const int socket = args::Fd(info[0], "vaultFd");
  const uint32_t wire = args::Uint32(info[1], "wire");
  const uint32_t generation = args::Uint32(info[2], "generation");
  const int fd = args::Fd(info[3], "fd");
  SendOrThrow(socket, {net::kVaultAddWire, wire, generation, net::kWireMask}, {fd});
  ::close(fd);
  return info.Env().Undefined();
}

}  // namespace penstock::binding

#include "net/vault.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "check.h"
#include "memory/memfd.h"
#include "net/udp_socket.h"

namespace {

using namespace penstock;
using memory::UniqueFd;
using net::PassedMessage;
using net::PassResult;
using net::Vault;
using net::VaultMessage;

struct Pair {
  Pair() {
    int fds[2];
    CHECK_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    ours = UniqueFd(fds[0]);
    theirs = UniqueFd(fds[1]);
  }
  UniqueFd ours;
  UniqueFd theirs;
};

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

ino_t Inode(int fd) {
  struct stat info {};
  CHECK_EQ(::fstat(fd, &info), 0);
  return info.st_ino;
}

template <typename Condition>
void Eventually(const char* what, Condition condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  check::Fail(__FILE__, __LINE__, std::string("never came true: ") + what);
}

PassedMessage Receive(const UniqueFd& socket) {
  PassedMessage message;
  pollfd ready{socket.get(), POLLIN, 0};
  CHECK_EQ(::poll(&ready, 1, 5000), 1);
  CHECK_EQ(net::ReceiveMessage(socket.get(), message), PassResult::kDone);
  return message;
}

void SendAll(const UniqueFd& socket, const VaultMessage& message, std::span<const int> fds) {
  Eventually("the message was taken",
             [&] { return net::SendMessage(socket.get(), message, fds) == PassResult::kDone; });
}

// A stream's sockets as a worker would hand them over; gives the inode of the first.
ino_t AddStream(const UniqueFd& worker, uint32_t stream, uint32_t generation, uint32_t legs = 0b1111) {
  std::vector<UniqueFd> sockets;
  std::vector<int> fds;
  for (uint32_t leg = 0; leg < 4; ++leg) {
    if (((legs >> leg) & 1) == 0) continue;
    sockets.push_back(net::BindUdp("127.0.0.1", 0, 0).fd);
    fds.push_back(sockets.back().get());
  }
  SendAll(worker, {net::kVaultAdd, stream, generation, legs}, fds);
  return Inode(fds.front());
}

struct Attached {
  Attached() {
    vault.Start();
    vault.AttachWorker(0, std::move(worker.theirs));
  }
  void AttachEngine(Pair& pair) { vault.AttachEngine(std::move(pair.theirs)); }
  void WaitForStreams(uint32_t count) {
    Eventually("the vault holds the streams", [&] { return vault.Stats().streams == count; });
  }
  Vault vault;
  Pair worker;
};

}  // namespace

TEST(VaultForwardsToTheEngineByLeg) {
  Attached attached;
  Pair engine;
  attached.AttachEngine(engine);
  const ino_t inode = AddStream(attached.worker.ours, 7, 3, 0b0110);
  const PassedMessage got = Receive(engine.ours);
  CHECK_EQ(got.message.op, net::kVaultAdd);
  CHECK_EQ(got.message.stream, 7u);
  CHECK_EQ(got.message.generation, 3u);
  CHECK(!got.fds[0] && got.fds[1] && got.fds[2] && !got.fds[3]);
  CHECK_EQ(Inode(got.fds[1].get()), inode);
  CHECK((::fcntl(got.fds[1].get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST(VaultGivesEverythingToALaterEngine) {
  Attached attached;
  constexpr uint32_t kStreams = 300;  // more than a socket buffer takes at once
  for (uint32_t stream = 0; stream < kStreams; ++stream) AddStream(attached.worker.ours, stream, 1, 0b0001);
  attached.WaitForStreams(kStreams);
  for (int attempt = 0; attempt < 2; ++attempt) {
    Pair engine;
    attached.AttachEngine(engine);
    std::vector<bool> seen(kStreams);
    for (uint32_t i = 0; i < kStreams; ++i) seen.at(Receive(engine.ours).message.stream) = true;
    for (uint32_t stream = 0; stream < kStreams; ++stream) CHECK(seen[stream]);
  }
  CHECK_EQ(attached.vault.Stats().descriptors, kStreams);
}

TEST(VaultKeepsOrderWhenTheEngineIsSlow) {
  Attached attached;
  Pair engine;
  attached.AttachEngine(engine);
  constexpr uint32_t kStreams = 600;
  for (uint32_t stream = 0; stream < kStreams; ++stream) AddStream(attached.worker.ours, stream, 1, 0b0001);
  attached.WaitForStreams(kStreams);
  CHECK(attached.vault.Stats().forwarded < kStreams);  // the socket was full in between
  for (uint32_t stream = 0; stream < kStreams; ++stream) CHECK_EQ(Receive(engine.ours).message.stream, stream);
}

TEST(VaultReleaseClosesTheDescriptors) {
  const size_t before = OpenDescriptors();
  {
    Attached attached;
    Pair engine;
    attached.AttachEngine(engine);
    const size_t idle = OpenDescriptors();
    AddStream(attached.worker.ours, 1, 1);
    AddStream(attached.worker.ours, 2, 1);
    attached.WaitForStreams(2);
    Receive(engine.ours);
    Receive(engine.ours);
    CHECK_EQ(OpenDescriptors(), idle + 8);
    SendAll(engine.ours, {net::kVaultRelease, 1, 9, 0}, {});  // another generation: not meant
    SendAll(engine.ours, {net::kVaultRelease, 2, 1, 0}, {});
    attached.WaitForStreams(1);
    CHECK_EQ(attached.vault.Stats().descriptors, 4u);
    Eventually("they are closed", [&] { return OpenDescriptors() == idle + 4; });
  }
  CHECK_EQ(OpenDescriptors(), before);
}

TEST(VaultNewGenerationClosesTheOlder) {
  Attached attached;
  AddStream(attached.worker.ours, 5, 1);
  attached.WaitForStreams(1);
  const size_t with_one = OpenDescriptors();
  const ino_t second = AddStream(attached.worker.ours, 5, 2);
  AddStream(attached.worker.ours, 5, 1);  // late: refused
  Eventually("the late one was refused", [&] { return attached.vault.Stats().dropped == 1; });
  Eventually("they are closed", [&] { return OpenDescriptors() == with_one; });
  Pair engine;
  attached.AttachEngine(engine);
  const PassedMessage got = Receive(engine.ours);
  CHECK_EQ(got.message.generation, 2u);
  CHECK_EQ(Inode(got.fds[0].get()), second);
}

TEST(VaultKeepsSocketsOfADeadWorkerAndTakesItsSuccessor) {
  Attached attached;
  AddStream(attached.worker.ours, 1, 1);
  attached.worker.ours.Reset();
  attached.WaitForStreams(1);
  Pair successor;
  attached.vault.AttachWorker(0, std::move(successor.theirs));
  AddStream(successor.ours, 2, 1);
  attached.WaitForStreams(2);
  CHECK_EQ(attached.vault.Stats().descriptors, 8u);
}

TEST(VaultReadsWhatADeadWorkerHadSent) {
  Attached attached;
  Pair former;
  for (uint32_t stream = 10; stream < 20; ++stream) AddStream(former.ours, stream, 1, 0b0001);
  attached.vault.AttachWorker(1, std::move(former.theirs));
  Pair successor;
  AddStream(successor.ours, 10, 2, 0b0001);
  attached.vault.AttachWorker(1, std::move(successor.theirs));
  attached.WaitForStreams(10);
  Pair engine;
  attached.AttachEngine(engine);
  // Generation 1 may be seen first, where the engine came before the successor's message was read.
  for (bool newest = false; !newest;) {
    const PassedMessage got = Receive(engine.ours);
    newest = got.message.stream == 10 && got.message.generation == 2;
  }
  CHECK_EQ(attached.vault.Stats().dropped, 0u);
}

TEST(VaultRefusesDamagedMessages) {
  Attached attached;
  const size_t before = OpenDescriptors();
  const UniqueFd socket = net::BindUdp("127.0.0.1", 0, 0).fd;
  const int two[] = {socket.get(), socket.get()};
  SendAll(attached.worker.ours, {net::kVaultAdd, 1, 1, 0b0001}, two);       // one leg, two descriptors
  SendAll(attached.worker.ours, {net::kVaultAdd, 1, 1, 0b0001}, {});        // none
  SendAll(attached.worker.ours, {net::kVaultAdd, 1, 1, 0b110000}, two);     // no such legs
  SendAll(attached.worker.ours, {net::kVaultRelease, 1, 1, 0}, two);        // nothing to carry
  SendAll(attached.worker.ours, {77, 1, 1, 0}, {});                         // no such message
  CHECK_EQ(::send(attached.worker.ours.get(), "short", 5, 0), 5);
  Eventually("all were refused", [&] { return attached.vault.Stats().dropped == 6; });
  CHECK_EQ(attached.vault.Stats().streams, 0u);
  CHECK_EQ(OpenDescriptors(), before + 1);
}

TEST(VaultSurvivesTheDeathOfItsEngine) {
  Attached attached;
  Pair first;
  attached.AttachEngine(first);
  AddStream(attached.worker.ours, 1, 1);
  Receive(first.ours);
  first.ours.Reset();
  AddStream(attached.worker.ours, 2, 1);
  attached.WaitForStreams(2);
  Pair second;
  attached.AttachEngine(second);
  const uint32_t sum = Receive(second.ours).message.stream + Receive(second.ours).message.stream;
  CHECK_EQ(sum, 3u);
}

TEST(VaultStopIsIdempotentAndClosesEverything) {
  const size_t before = OpenDescriptors();
  {
    Vault vault;
    vault.Stop();
    vault.Start();
    Pair worker;
    vault.AttachWorker(0, std::move(worker.theirs));
    AddStream(worker.ours, 1, 1);
    Eventually("held", [&] { return vault.Stats().streams == 1; });
    vault.Stop();
    vault.Stop();
    CHECK_EQ(vault.Stats().descriptors, 0u);
  }
  CHECK_EQ(OpenDescriptors(), before);
}

// main() for a fuzz target where the compiler brings no libFuzzer: runs the files named, then mutations of
// them for -max_total_time=SECONDS. An input that kills the process is written to ./crash-input.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "mutator.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using penstock::fuzz::Mutator;

constexpr char kTimeFlag[] = "-max_total_time=";

Mutator::Bytes current;

// Sanitizers must end by SIGABRT: abort_on_error=1.
void OnDeath(int signal) {
  const int fd = ::open("crash-input", O_CREAT | O_TRUNC | O_WRONLY, 0644);
  [[maybe_unused]] const ssize_t written = ::write(fd, current.data(), current.size());
  ::_exit(128 + signal);
}

void Read(const std::filesystem::path& path, std::vector<Mutator::Bytes>& corpus) {
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) Read(entry.path(), corpus);
    return;
  }
  std::ifstream file(path, std::ios::binary);
  corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void Run(Mutator::Bytes input) {
  current = std::move(input);
  LLVMFuzzerTestOneInput(current.data(), current.size());
}

}  // namespace

int main(int argc, char** argv) {
  int seconds = 0;
  std::vector<Mutator::Bytes> corpus = {{}};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with(kTimeFlag)) {
      seconds = std::atoi(word.c_str() + sizeof(kTimeFlag) - 1);
    } else if (!word.starts_with("-")) {
      Read(word, corpus);
    }
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, OnDeath);
  Mutator mutator(std::random_device{}());
  uint64_t executions = 0;
  for (const auto& input : corpus) Run(input), ++executions;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  for (; std::chrono::steady_clock::now() < end; ++executions) {
    Run(mutator.Mutate(corpus[mutator.Below(corpus.size())], corpus[mutator.Below(corpus.size())]));
  }
  std::fprintf(stderr, "stat::number_of_executed_units: %llu\n", static_cast<unsigned long long>(executions));
}

#include "program.h"

#include <unistd.h>

#include <cstdio>
#include <exception>

namespace penstock::bench {
namespace {

constexpr int kPollMs = 2;

}  // namespace

void Print(const Json& json) {
  std::printf("%s\n", json.Text().c_str());
  std::fflush(stdout);
}

Program::Program() { loop_.Add(STDIN_FILENO, EPOLLIN, *this); }

void Program::Run(const std::function<Json(const Settings&)>& obey, const std::function<void()>& turn) {
  while (!stopping_ || !lines_.empty()) {
    if (lines_.empty()) {
      loop_.Poll(kPollMs);
      turn();
      continue;
    }
    const std::string line = lines_.front();
    lines_.pop_front();
    try {
      Print(obey(Settings::Parse(line)));
    } catch (const std::exception& error) {
      Print(Json().Put("error", error.what()));
    }
  }
}

void Program::OnReady(uint32_t) {
  char buffer[4096];
  const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof(buffer));
  if (got <= 0) {
    loop_.Remove(STDIN_FILENO);
    stopping_ = true;
    return;
  }
  input_.append(buffer, static_cast<size_t>(got));
  for (size_t end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
    lines_.push_back(input_.substr(0, end));
    input_.erase(0, end + 1);
  }
}

}  // namespace penstock::bench

#pragma once

#include <deque>
#include <functional>
#include <string>

#include "event_loop.h"
#include "json.h"
#include "settings.h"

namespace penstock::bench {

// Commands come in lines on stdin, each is answered by one JSON object in a line on stdout.
// A command may take its time: it then calls `loop` itself.
class Program : private Handler {
 public:
  Program();

  EventLoop& loop() { return loop_; }
  // The end of stdin: long commands should give up.
  bool stopping() const { return stopping_; }
  // Works off commands until stdin ends; `turn` is called now and then between them.
  void Run(const std::function<Json(const Settings&)>& obey, const std::function<void()>& turn);

 private:
  void OnReady(uint32_t events) override;

  EventLoop loop_;
  std::string input_;
  std::deque<std::string> lines_;
  bool stopping_ = false;
};

void Print(const Json& json);

}  // namespace penstock::bench

// The load generator of `npm run bench`. Three programs in one, each commanded by lines on stdin (see program.h):
//
//   penstock_bench farm  listen=IP:PORT[,…] [ports=shared|own|announced] [first-port=6970]
//     send pattern=frames|merged|singly|replay [size=1200 rate=50000 | file=…] seconds=2 [quantum-us=100]
//     aim to=IP ports=PORT,… · stats
//   penstock_bench crowd local=IP target=IP:PORT [pairs=16] [first-port=40000] [report-seconds=5]
//     open sessions=N [streams=1] [concurrency=50] [transport=udp|tcp] · close · churn seconds=T [concurrency=32] [streams=1]
//     slow clients=N bytes-per-second=R · reset · wait seconds=T · report
//   penstock_bench sink device=NAME
//     reset · report
//
// The first line on stdout says that it is ready; the end of stdin ends it.
#include <sys/resource.h>

#include <cstdio>
#include <exception>

#include "crowd.h"
#include "farm.h"
#include "sink.h"

namespace penstock::bench {
namespace {

void RaiseFileLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(int argc, char** argv) {
  const Settings settings = Settings::Parse(argc, argv);
  RaiseFileLimit();
  Program program;
  if (settings.word() == "farm") {
    Farm farm(program, settings);
    Print(Json().Put("ready", "farm"));
    program.Run([&](const Settings& command) { return farm.Obey(command); }, [] {});
    return 0;
  }
  if (settings.word() == "crowd") {
    Crowd crowd(program, settings);
    Print(Json().Put("ready", "crowd"));
    program.Run([&](const Settings& command) { return crowd.Obey(command); }, [&] { crowd.Tend(); });
    return 0;
  }
  if (settings.word() == "sink") {
    Sink sink(settings.Text("device"));
    Print(Json().Put("ready", "sink"));
    program.Run([&](const Settings& command) { return sink.Obey(command); }, [] {});
    return 0;
  }
  std::fprintf(stderr, "usage: penstock_bench farm|crowd|sink key=value …\n");
  return 2;
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  try {
    return penstock::bench::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "penstock_bench: %s\n", error.what());
    return 1;
  }
}

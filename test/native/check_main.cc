#include <cstdio>
#include <cstring>
#include <exception>

#include "check.h"

namespace {

bool Selected(const char* name, int argc, char** argv) {
  if (argc < 2) return true;
  for (int i = 1; i < argc; ++i) {
    if (std::strstr(name, argv[i]) != nullptr) return true;
  }
  return false;
}

bool Passes(const penstock::check::Case& test) {
  try {
    test.run();
    return true;
  } catch (const std::exception& failure) {
    std::printf("FAILED %s\n  %s\n", test.name, failure.what());
    return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  int passed = 0;
  int failed = 0;
  for (const auto& test : penstock::check::Cases()) {
    if (!Selected(test.name, argc, argv)) continue;
    ++(Passes(test) ? passed : failed);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  // A selection that matches nothing is a mistake, not a success.
  return failed == 0 && passed > 0 ? 0 : 1;
}

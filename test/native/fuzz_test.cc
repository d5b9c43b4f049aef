// The fuzz targets for a moment: what was found once, the seeds, and some thousand mutations of them.
#include <filesystem>
#include <fstream>
#include <iterator>

#include "../fuzz/native/mutator.h"
#include "../fuzz/native/target.h"
#include "check.h"

using namespace penstock;
using fuzz::Mutator;

namespace {

constexpr int kMutations = 20'000;
constexpr uint32_t kSeed = 1;  // the same run every time; campaigns are for the others

std::vector<Mutator::Bytes> Seeds(const std::string& target) {
  std::vector<Mutator::Bytes> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(PENSTOCK_FUZZ_SEEDS) + "/" + target)) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return seeds;
}

}  // namespace

TEST(fuzz_targets_stand_their_seeds_and_mutations_of_them) {
  CHECK(!fuzz::Targets().empty());
  for (const fuzz::Target& target : fuzz::Targets()) {
    const auto seeds = Seeds(target.name);
    CHECK(!seeds.empty());
    for (const auto& seed : seeds) target.run(seed);
    Mutator mutator(kSeed);
    for (int i = 0; i < kMutations; ++i) {
      target.run(mutator.Mutate(seeds[mutator.Below(seeds.size())], seeds[mutator.Below(seeds.size())]));
    }
  }
}

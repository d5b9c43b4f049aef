#pragma once

#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace penstock::bench {

// `word key=value key=value …`: how programs are called and commanded.
class Settings {
 public:
  static Settings Parse(const std::string& line) {
    std::istringstream words(line);
    Settings settings;
    words >> settings.word_;
    for (std::string part; words >> part;) settings.Add(part);
    return settings;
  }

  static Settings Parse(int argc, char** argv) {
    std::string line;
    for (int i = 1; i < argc; ++i) line.append(argv[i]).append(" ");
    return Parse(line);
  }

  const std::string& word() const { return word_; }

  std::string Text(const std::string& key, const std::string& standard) const {
    const auto found = values_.find(key);
    return found == values_.end() ? standard : found->second;
  }

  std::string Text(const std::string& key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) throw std::invalid_argument(word_ + " needs " + key + "=");
    return found->second;
  }

  double Number(const std::string& key, double standard) const {
    const auto found = values_.find(key);
    if (found == values_.end()) return standard;
    size_t used = 0;
    const double value = std::stod(found->second, &used);
    if (used != found->second.size()) throw std::invalid_argument(key + " is no number: " + found->second);
    return value;
  }

  int Whole(const std::string& key, int standard) const { return static_cast<int>(Number(key, standard)); }

 private:
  void Add(const std::string& part) {
    const size_t cut = part.find('=');
    if (cut == std::string::npos) throw std::invalid_argument("expected key=value, got " + part);
    values_[part.substr(0, cut)] = part.substr(cut + 1);
  }

  std::string word_;
  std::map<std::string, std::string> values_;
};

inline std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

}  // namespace penstock::bench

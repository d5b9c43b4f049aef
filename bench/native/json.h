#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

namespace penstock::bench {

// An object, written as it is put together. Keys and texts are ours and hold nothing that must be escaped
// but quotes and backslashes.
class Json {
 public:
  template <typename T>
    requires std::is_arithmetic_v<T>
  Json& Put(std::string_view key, T value) {
    char text[32];
    if constexpr (std::is_floating_point_v<T>) {
      std::snprintf(text, sizeof(text), "%.3f", std::isfinite(value) ? static_cast<double>(value) : 0.0);
    } else {
      std::snprintf(text, sizeof(text), "%lld", static_cast<long long>(value));
    }
    return PutRaw(key, text);
  }

  Json& Put(std::string_view key, std::string_view value) {
    std::string quoted = "\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') quoted += '\\';
      if (static_cast<unsigned char>(c) >= ' ') quoted += c;
    }
    return PutRaw(key, quoted + '"');
  }

  Json& Put(std::string_view key, const char* value) { return Put(key, std::string_view(value)); }

  Json& Put(std::string_view key, const Json& value) { return PutRaw(key, value.Text()); }

  std::string Text() const { return '{' + text_ + '}'; }

 private:
  Json& PutRaw(std::string_view key, std::string_view value) {
    if (!text_.empty()) text_ += ',';
    text_.append("\"").append(key).append("\":").append(value);
    return *this;
  }

  std::string text_;
};

}  // namespace penstock::bench

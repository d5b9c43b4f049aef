// A test harness in one header: TEST(name) { … } registers itself, CHECK and CHECK_EQ
// report the line and end the test, main (check_main.cc) runs everything.
// Arguments of the executable select tests by substring.
#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace penstock::check {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

struct Registrar {
  Registrar(const char* name, void (*run)()) { Cases().push_back({name, run}); }
};

template <typename T>
std::string Show(const T& value) {
  std::ostringstream out;
  if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else if constexpr (std::is_same_v<T, uint8_t> || std::is_same_v<T, int8_t>) {
    out << static_cast<int>(value);
  } else {
    out << value;
  }
  return out.str();
}

[[noreturn]] inline void Fail(const char* file, int line, const std::string& what) {
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <typename T>
inline constexpr bool kIsNumber = std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>;

// True where both are the same number, whatever their types and signs.
template <typename A, typename B>
bool Equal(const A& a, const B& b) {
  if constexpr (kIsNumber<A> && kIsNumber<B>) {
    return std::cmp_equal(a, b);
  } else {
    return a == b;
  }
}

template <typename A, typename B>
void CheckEqual(const A& a, const B& b, const char* expression, const char* file, int line) {
  if (!Equal(a, b)) Fail(file, line, std::string(expression) + ": " + Show(a) + " is not " + Show(b));
}

}  // namespace penstock::check

#define TEST(name)                                                                   \
  static void Test_##name();                                                         \
  static const ::penstock::check::Registrar registrar_##name(#name, &Test_##name);   \
  static void Test_##name()

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) ::penstock::check::Fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (false)

#define CHECK_EQ(a, b) ::penstock::check::CheckEqual((a), (b), #a " == " #b, __FILE__, __LINE__)

// The expression must throw `Exception`.
#define CHECK_THROWS(Exception, expression)                                          \
  do {                                                                               \
    bool thrown_ = false;                                                            \
    try {                                                                            \
      (void)(expression);                                                            \
    } catch (const Exception&) {                                                     \
      thrown_ = true;                                                                \
    }                                                                                \
    if (!thrown_) ::penstock::check::Fail(__FILE__, __LINE__, #expression " did not throw " #Exception); \
  } while (false)

#include "wire/splitter.h"

#include <optional>
#include <string_view>

namespace penstock::wire {
namespace {

constexpr uint8_t kCr = '\r';
constexpr uint8_t kLf = '\n';
constexpr uint8_t kSpace = ' ';
constexpr uint8_t kDel = 0x7f;
constexpr size_t kMaxDigits = 15;
constexpr std::string_view kContentLength = "content-length";

constexpr Piece kUnreadable{PieceKind::kFault, 0, table::kFaultMessage};
constexpr Piece kTooLarge{PieceKind::kFault, 0, table::kFaultTooLarge};

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsSpace(char c) { return IsBlank(c) || c == '\r' || c == '\n'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  return text;
}

size_t LineEnds(std::span<const uint8_t> bytes) {
  size_t size = 0;
  while (size < bytes.size() && (bytes[size] == kCr || bytes[size] == kLf)) ++size;
  return size;
}

// Where the blank line ends; 0 where it has not come. Nothing where the bytes can be no head: some
// programs end a line at a lone CR, or a string at NUL, and would read other fields than we do.
std::optional<size_t> HeadSize(std::span<const uint8_t> bytes) {
  bool empty = true;  // the line so far
  bool after_cr = false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint8_t byte = bytes[i];
    if (byte == kLf) {
      if (empty) return i + 1;
      empty = true;
      after_cr = false;
    } else if (after_cr || byte == 0) {
      return std::nullopt;
    } else if (byte == kCr) {
      after_cr = true;
    } else {
      empty = false;
    }
  }
  return 0;
}

// One field with its continuation lines.
std::string_view TakeField(std::string_view& rest) {
  size_t end = rest.find('\n') + 1;
  while (end < rest.size() && IsBlank(rest[end])) end = rest.find('\n', end) + 1;
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end);
  return field;
}

bool IsContentLength(std::string_view name) {
  while (!name.empty() && IsBlank(name.back())) name.remove_suffix(1);
  if (name.size() != kContentLength.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    if (Lower(name[i]) != kContentLength[i]) return false;
  }
  return true;
}

std::optional<uint64_t> Number(std::string_view digits) {
  if (digits.empty() || digits.size() > kMaxDigits) return std::nullopt;
  uint64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

// Nothing where two readers could take the head for different lengths.
std::optional<uint64_t> BodySize(std::string_view head) {
  std::optional<uint64_t> length;
  head.remove_prefix(head.find('\n') + 1);
  if (IsBlank(head.front())) return std::nullopt;  // continues no field
  while (head.front() != '\n' && head.front() != '\r') {
    const std::string_view field = TakeField(head);
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos || !IsContentLength(field.substr(0, colon))) continue;
    const auto value = Number(Trimmed(field.substr(colon + 1)));
    if (!value || (length && *length != *value)) return std::nullopt;
    length = value;
  }
  return length.value_or(0);
}

}  // namespace

Piece NextMessage(std::span<const uint8_t> bytes, size_t max_message) {
  if (const size_t blank = LineEnds(bytes); blank != 0) return {PieceKind::kBlank, blank};
  if (bytes[0] <= kSpace || bytes[0] >= kDel) return kUnreadable;
  const auto head = HeadSize(bytes.first(bytes.size() < max_message ? bytes.size() : max_message));
  if (!head) return kUnreadable;
  if (*head == 0) return bytes.size() < max_message ? Piece{PieceKind::kPartial, bytes.size() + 1} : kTooLarge;
  const auto body = BodySize({reinterpret_cast<const char*>(bytes.data()), *head});
  if (!body) return kUnreadable;
  if (*body > max_message - *head) return kTooLarge;
  const size_t size = *head + static_cast<size_t>(*body);
  return {size <= bytes.size() ? PieceKind::kMessage : PieceKind::kPartial, size};
}

}  // namespace penstock::wire

#include "wire/splitter.h"

#include <cctype>
#include <random>
#include <string>
#include <vector>

#include "check.h"

namespace {

using namespace penstock;
using wire::NextPiece;
using wire::Piece;
using wire::PieceKind;

constexpr size_t kMax = 4096;

Piece Next(const std::string& text, size_t max = kMax) {
  return NextPiece({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, max);
}

void Expect(const std::string& text, PieceKind kind, size_t size) {
  const Piece piece = Next(text);
  CHECK_EQ(piece.kind, kind);
  CHECK_EQ(piece.size, size);
}
void ExpectFault(const std::string& text, table::WireFault fault = table::kFaultMessage, size_t max = kMax) {
  const Piece piece = Next(text, max);
  CHECK_EQ(piece.kind, PieceKind::kFault);
  CHECK_EQ(piece.fault, fault);
}

// Every prefix is a partial piece that asks for more than there is and not for more than the whole.
void ExpectWhole(const std::string& text, PieceKind kind) {
  for (size_t size = 1; size < text.size(); ++size) {
    const Piece piece = Next(text.substr(0, size));
    CHECK_EQ(piece.kind, PieceKind::kPartial);
    CHECK(piece.size > size && piece.size <= text.size());
  }
  Expect(text, kind, text.size());
  Expect(text + "$", kind, text.size());
  Expect(text + "OPTIONS", kind, text.size());
}

}  // namespace

TEST(SplitterFindsFrames) {
  ExpectWhole(std::string("$\0\0\0", 4), PieceKind::kFrame);
  ExpectWhole(std::string("$\7\0\3abc", 7), PieceKind::kFrame);
  ExpectWhole("$$" + std::string("\1\0", 2) + std::string(256, '$'), PieceKind::kFrame);
}

TEST(SplitterFindsMessagesWithAndWithoutBodies) {
  ExpectWhole("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", PieceKind::kMessage);
  ExpectWhole("OPTIONS * RTSP/1.0\nCSeq: 1\n\n", PieceKind::kMessage);
  ExpectWhole("RTSP/1.0 200 OK\r\n\r\n", PieceKind::kMessage);
  ExpectWhole("RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n$\1\r\n$", PieceKind::kMessage);
  ExpectWhole("A b C\r\ncontent-LENGTH \t: \t3 \r\n\r\n\r\n\r", PieceKind::kMessage);
  ExpectWhole("A b C\nContent-Length:3\nX: y\nContent-Length: 3\n\nabc", PieceKind::kMessage);
  ExpectWhole("A b C\r\nContent-Length:\r\n 3\r\n\r\nabc", PieceKind::kMessage);
  ExpectWhole("A b C\r\nContent-Length: 0\r\n\r\n", PieceKind::kMessage);
}

TEST(SplitterTakesNoOtherFieldForTheLength) {
  ExpectWhole("A b C\r\nX-Content-Length: 9\r\n\r\n", PieceKind::kMessage);
  ExpectWhole("A b C\r\nContent-Length2: 9\r\n\r\n", PieceKind::kMessage);
  ExpectWhole("A b C\r\nX: y\r\n Content-Length: 9\r\n\r\n", PieceKind::kMessage);  // continues X
  ExpectWhole("A b C\r\nContent-Length\r\n : 9\r\n\r\n", PieceKind::kMessage);      // a field without a name
  ExpectWhole("Content-Length: 9\r\n\r\n", PieceKind::kMessage);                      // the start line
}

TEST(SplitterSkipsLineEndsBetweenMessages) {
  Expect("\r\n\r\nOPTIONS", PieceKind::kBlank, 4);
  Expect("\n", PieceKind::kBlank, 1);
  Expect("\r$", PieceKind::kBlank, 1);
}

TEST(SplitterRefusesWhatCouldBeReadInTwoWays) {
  ExpectFault(std::string(1, '\0'));
  ExpectFault("\x16\x03\x01");  // TLS
  ExpectFault(" OPTIONS");
  ExpectFault("\x7f");
  ExpectFault("\xff");
  ExpectFault("OPTIONS\r*");
  ExpectFault(std::string("OPTIONS\0", 8));
  ExpectFault("A b C\r\n X: y\r\n\r\n");
  ExpectFault("A b C\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab");
  ExpectFault("A b C\r\nContent-Length: +1\r\n\r\na");
  ExpectFault("A b C\r\nContent-Length: 1, 1\r\n\r\na");
  ExpectFault("A b C\r\nContent-Length: 1\r\n 2\r\n\r\na");
  ExpectFault("A b C\r\nContent-Length:\r\n\r\n");
  ExpectFault("A b C\r\nContent-Length: 0000000000000001\r\n\r\na");
}

TEST(SplitterHoldsItsLimit) {
  const std::string head = "A b C\r\nContent-Length: 60\r\n\r\n";
  const Piece fits = Next(head, head.size() + 60);
  CHECK_EQ(fits.kind, PieceKind::kPartial);
  CHECK_EQ(fits.size, head.size() + 60);
  ExpectFault(head, table::kFaultTooLarge, head.size() + 59);
  ExpectFault("A b C\r\nContent-Length: 999999999999999\r\n\r\n", table::kFaultTooLarge);
  ExpectFault(std::string(100, 'x'), table::kFaultTooLarge, 100);
  CHECK_EQ(Next(std::string(99, 'x'), 100).kind, PieceKind::kPartial);
}

// Against a reader that is as plain as can be: one that goes line by line.
namespace {

std::string Lowered(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}
std::string Stripped(const std::string& text) {
  const char* const kSpaces = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

// The size of the message at the head of `text`; 0 = not whole, -1 = fault.
long ReferenceMessage(const std::string& text) {
  std::vector<std::string> lines;
  size_t at = 0;
  for (;;) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end == std::string::npos ? end : end - at);
    const size_t cr = line.find('\r');
    const bool lone = cr != std::string::npos && cr + 1 != line.size();
    if (lone || line.find('\0') != std::string::npos) return -1;
    if (end == std::string::npos) return 0;
    at = end + 1;
    const std::string content = cr == std::string::npos ? line : line.substr(0, cr);
    if (content.empty()) break;
    const bool continues = content[0] == ' ' || content[0] == '\t';
    if (continues && lines.size() == 1) {
      lines.push_back("\1");  // the first line after the start line continues no field
    } else if (continues && lines.size() > 1) {
      lines.back() += "\n" + content;
    } else {
      lines.push_back(content);
    }
  }
  long length = -1;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i] == "\1" || lines[i][0] == '\1') return -1;
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    const std::string name = lines[i].substr(0, colon);
    if (name.find('\n') != std::string::npos || Lowered(Stripped(name)) != "content-length") continue;
    const std::string value = Stripped(lines[i].substr(colon + 1));
    if (value.empty() || value.size() > 15 || value.find_first_not_of("0123456789") != std::string::npos) return -1;
    const long number = std::stol(value);
    if (length >= 0 && length != number) return -1;
    length = number;
  }
  const size_t total = at + static_cast<size_t>(length < 0 ? 0 : length);
  return total <= text.size() ? static_cast<long>(total) : 0;
}

}  // namespace

TEST(SplitterAgreesWithAPlainReader) {
  std::mt19937 random(1);
  const std::vector<std::string> parts = {"A",  "Content-Length", ":", " ",    "\t",  "\r\n", "\n", "\r\n\r\n",
                                          "3",  "12",             "$", "\r\n", "X: y", "\r",  std::string(1, '\0'),
                                          "\n", "content-length: 2\r\n"};
  int messages = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text = "A b C";
    for (uint32_t i = random() % 14; i > 0; --i) text += parts[random() % parts.size()];
    const long expected = ReferenceMessage(text);
    const Piece piece = Next(text);
    messages += piece.kind == PieceKind::kMessage;
    if (expected < 0) CHECK_EQ(piece.kind, PieceKind::kFault);
    if (expected == 0) CHECK_EQ(piece.kind, PieceKind::kPartial);
    if (expected > 0) {
      CHECK_EQ(piece.kind, PieceKind::kMessage);
      CHECK_EQ(piece.size, expected);
    }
  }
  CHECK(messages > 1000);
}

// A failed system call: which one, and its errno. Becomes a JavaScript Error with
// `.code` ('EADDRINUSE') and `.syscall` at the border.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace penstock::memory {

class SystemError : public std::runtime_error {
 public:
  // Takes `error` from errno unless told otherwise. `about`: what was tried, e.g. "127.0.0.1 port 554".
  explicit SystemError(const char* syscall, const std::string& about = "", int error = errno)
      : std::runtime_error(std::string(Name(error)) + ": " + ::strerror(error) + ", " + syscall +
                           (about.empty() ? "" : " " + about)),
        syscall_(syscall),
        error_(error) {}

  const char* syscall() const { return syscall_; }
  int error() const { return error_; }
  const char* code() const { return Name(error_); }

 private:
  static const char* Name(int error) {
    const char* name = ::strerrorname_np(error);
    return name != nullptr ? name : "EUNKNOWN";
  }

  const char* syscall_;
  int error_;
};

}  // namespace penstock::memory

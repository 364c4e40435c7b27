// Errors as values. The core throws nothing: every call that can fail returns Result<T>, whose Error
// carries the stable code users see as ERR_MILLRACE_<NAME>, the failing system call and the cure.
#pragma once

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace millrace {

enum class Code {
  invalid_argument,
  invalid_name,
  name_too_long,
  exists,
  not_found,
  permission,
  not_ours,
  geometry,
  schema,
  layout,
  corrupt,
  role_taken,
  no_lane,
  peer_gone,
  peer_failed,
  closed,
  busy,
  too_large,
  too_many_held,
  no_space,
  timeout,
  unsupported_platform,
  unsupported_runtime,
  system,
};

// The suffix of the public code: "EXISTS" becomes ERR_MILLRACE_EXISTS.
[[nodiscard]] constexpr const char* code_name(Code code) noexcept {
  switch (code) {
    case Code::invalid_argument:
      return "INVALID_ARGUMENT";
    case Code::invalid_name:
      return "INVALID_NAME";
    case Code::name_too_long:
      return "NAME_TOO_LONG";
    case Code::exists:
      return "EXISTS";
    case Code::not_found:
      return "NOT_FOUND";
    case Code::permission:
      return "PERMISSION";
    case Code::not_ours:
      return "NOT_OURS";
    case Code::geometry:
      return "GEOMETRY";
    case Code::schema:
      return "SCHEMA";
    case Code::layout:
      return "LAYOUT";
    case Code::corrupt:
      return "CORRUPT";
    case Code::role_taken:
      return "ROLE_TAKEN";
    case Code::no_lane:
      return "NO_LANE";
    case Code::peer_gone:
      return "PEER_GONE";
    case Code::peer_failed:
      return "PEER_FAILED";
    case Code::closed:
      return "CLOSED";
    case Code::busy:
      return "BUSY";
    case Code::too_large:
      return "TOO_LARGE";
    case Code::too_many_held:
      return "TOO_MANY_HELD";
    case Code::no_space:
      return "NO_SPACE";
    case Code::timeout:
      return "TIMEOUT";
    case Code::unsupported_platform:
      return "UNSUPPORTED_PLATFORM";
    case Code::unsupported_runtime:
      return "UNSUPPORTED_RUNTIME";
    case Code::system:
      return "SYSTEM";
  }
  return "SYSTEM";
}

struct Error {
  Code code = Code::system;
  std::string message;
  const char* syscall = nullptr;  // nullptr: no system call was involved
  int number = 0;                 // errno of that call
  std::string path;               // the object it was about, empty if none
};

// Which public code an errno deserves when the caller knows nothing more special.
[[nodiscard]] inline Code code_of_errno(int number) noexcept {
  switch (number) {
    case EEXIST:
      return Code::exists;
    case ENOENT:
      return Code::not_found;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::permission;
    case ENOSPC:
    case ENOMEM:
    case EDQUOT:
    case EFBIG:
      return Code::no_space;
    case ENAMETOOLONG:
      return Code::name_too_long;
    default:
      return Code::system;
  }
}

[[nodiscard]] inline const char* cure_of_errno(int number) noexcept {
  switch (number) {
    case EACCES:
    case EPERM:
      return "run both processes as the same user, or create the object with mode 0660 and share a "
             "group";
    case EROFS:
      return "mount it for writing (mount -o remount,rw), or use a NamelessSegment, which needs no "
             "name";
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "ask for less, remove stale objects, or enlarge shared memory (Docker: --shm-size)";
    case ENOMEM:
      return "ask for less, or raise the memory limit of this process or container";
    case EMFILE:
    case ENFILE:
      return "close channels you no longer use, or raise the limit of open files (ulimit -n)";
    default:
      return nullptr;
  }
}

// A failed system call: "shm_open '/x': Permission denied; <cure>".
[[nodiscard]] inline Error system_error(const char* syscall, int number,
                                        const std::string& path = {}) {
  std::string message = syscall;
  if (!path.empty()) message.append(" '").append(path).append("'");
  message.append(": ").append(
      std::strerror(number));  // NOLINT(concurrency-mt-unsafe): glibc and musl are thread-safe
  if (const char* cure = cure_of_errno(number)) message.append("; ").append(cure);
  return Error{code_of_errno(number), std::move(message), syscall, number, path};
}

[[nodiscard]] inline Error make_error(Code code, const std::string& message,
                                      const std::string& path = {}) {
  return Error{code, message, nullptr, 0, path};
}
// Not inline into those who only have a text: that is most of them, and binaries are to be small.
[[nodiscard, gnu::noinline]] inline Error make_error(Code code, const char* message) {
  return Error{code, message, nullptr, 0, {}};
}

namespace detail {

// Never inline: they stand wherever a result is made, and run only when something has failed.
[[nodiscard, gnu::noinline]] inline std::unique_ptr<Error> boxed(Error&& error) {
  return std::make_unique<Error>(std::move(error));
}
[[nodiscard, gnu::noinline]] inline std::unique_ptr<Error> boxed(const Error& error) {
  return std::make_unique<Error>(error);
}

}  // namespace detail

// Either a value or an Error. Test with ok(); value() only after that. The error lies elsewhere, so that
// results that have none are small and move cheaply.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error&& error)                          // NOLINT(google-explicit-constructor)
      : error_(detail::boxed(std::move(error))) {}
  Result(const Error& error)  // NOLINT(google-explicit-constructor)
      : error_(detail::boxed(error)) {}

  [[nodiscard]] bool ok() const noexcept { return value_.has_value(); }
  [[nodiscard]] T& value() noexcept { return *value_; }
  [[nodiscard]] const T& value() const noexcept { return *value_; }
  [[nodiscard]] T take() { return std::move(*value_); }
  [[nodiscard]] Error& error() noexcept { return *error_; }
  [[nodiscard]] const Error& error() const noexcept { return *error_; }

 private:
  std::optional<T> value_;
  std::unique_ptr<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error&& error)  // NOLINT(google-explicit-constructor)
      : error_(detail::boxed(std::move(error))) {}
  Result(const Error& error)  // NOLINT(google-explicit-constructor)
      : error_(detail::boxed(error)) {}

  [[nodiscard]] bool ok() const noexcept { return error_ == nullptr; }
  [[nodiscard]] Error& error() noexcept { return *error_; }
  [[nodiscard]] const Error& error() const noexcept { return *error_; }

 private:
  std::unique_ptr<Error> error_;
};

}  // namespace millrace

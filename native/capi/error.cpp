#include "error.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace millrace::capi {

namespace {

// Of plain arrays, so that nothing is to be destroyed when a thread ends, in whatever order that happens.
struct Noted {
  millrace_error error{MILLRACE_OK, 0, "", nullptr, nullptr};
  std::array<char, 1024> message{};
  std::array<char, 64> syscall{};
  std::array<char, 512> path{};
};
thread_local Noted noted;

template <std::size_t Size>
const char* keep(std::array<char, Size>& to, std::string_view text) noexcept {
  const std::size_t length = std::min(text.size(), Size - 1);
  std::memcpy(to.data(), text.data(), length);
  to[length] = '\0';
  return to.data();
}

struct Name {
  std::int32_t code;
  const char* name;
};
constexpr std::array<Name, 38> kNames{{
    {MILLRACE_INVALID_ARGUMENT, "INVALID_ARGUMENT"},
    {MILLRACE_INVALID_NAME, "INVALID_NAME"},
    {MILLRACE_NAME_TOO_LONG, "NAME_TOO_LONG"},
    {MILLRACE_EXISTS, "EXISTS"},
    {MILLRACE_NOT_FOUND, "NOT_FOUND"},
    {MILLRACE_PERMISSION, "PERMISSION"},
    {MILLRACE_NOT_OURS, "NOT_OURS"},
    {MILLRACE_GEOMETRY, "GEOMETRY"},
    {MILLRACE_SCHEMA, "SCHEMA"},
    {MILLRACE_LAYOUT, "LAYOUT"},
    {MILLRACE_CORRUPT, "CORRUPT"},
    {MILLRACE_ROLE_TAKEN, "ROLE_TAKEN"},
    {MILLRACE_NO_LANE, "NO_LANE"},
    {MILLRACE_PEER_GONE, "PEER_GONE"},
    {MILLRACE_PEER_FAILED, "PEER_FAILED"},
    {MILLRACE_NO_RESPONDER, "NO_RESPONDER"},
    {MILLRACE_UNREACHABLE, "UNREACHABLE"},
    {MILLRACE_PROTOCOL, "PROTOCOL"},
    {MILLRACE_CLOSED, "CLOSED"},
    {MILLRACE_BUSY, "BUSY"},
    {MILLRACE_TOO_LARGE, "TOO_LARGE"},
    {MILLRACE_INCOMPLETE, "INCOMPLETE"},
    {MILLRACE_NO_SPACE, "NO_SPACE"},
    {MILLRACE_ABORTED, "ABORTED"},
    {MILLRACE_TIMEOUT, "TIMEOUT"},
    {MILLRACE_RELEASED, "RELEASED"},
    {MILLRACE_TOO_MANY_HELD, "TOO_MANY_HELD"},
    {MILLRACE_LEASE_LOST, "LEASE_LOST"},
    {MILLRACE_CIRCUIT_OPEN, "CIRCUIT_OPEN"},
    {MILLRACE_MISSING_PEER, "MISSING_PEER"},
    {MILLRACE_UNSUPPORTED, "UNSUPPORTED"},
    {MILLRACE_UNSUPPORTED_PLATFORM, "UNSUPPORTED_PLATFORM"},
    {MILLRACE_UNSUPPORTED_RUNTIME, "UNSUPPORTED_RUNTIME"},
    {MILLRACE_SYSTEM, "SYSTEM"},
    {MILLRACE_FORKED, "FORKED"},
    {MILLRACE_WOULD_BLOCK, "WOULD_BLOCK"},
    {MILLRACE_END, "END"},
    {MILLRACE_INTERRUPTED, "INTERRUPTED"},
}};

}  // namespace

// By name: there is one list of codes that a program sees.
std::int32_t number_of(Code code) noexcept {
  const std::string_view name = millrace::code_name(code);
  for (const Name& known : kNames) {
    if (name == known.name) return known.code;
  }
  return MILLRACE_SYSTEM;
}

std::int32_t fail(const Error& error) noexcept {
  noted.error.code = number_of(error.code);
  noted.error.number = error.number;
  noted.error.message = keep(noted.message, error.message);
  noted.error.syscall = error.syscall == nullptr ? nullptr : keep(noted.syscall, error.syscall);
  noted.error.path = error.path.empty() ? nullptr : keep(noted.path, error.path);
  return noted.error.code;
}

std::int32_t fail_as(std::int32_t code, const char* message) noexcept {
  noted.error = {code, 0, keep(noted.message, message), nullptr, nullptr};
  return code;
}

std::int32_t no_handle() noexcept {
  return fail_as(MILLRACE_INVALID_ARGUMENT,
                 "the handle is NULL; open it first, and look at what that returned");
}
std::int32_t no_argument(const char* what) noexcept {
  std::array<char, 128> message{};
  (void)std::snprintf(message.data(), message.size(), "%s is NULL; it must point to something",
                      what);
  return fail_as(MILLRACE_INVALID_ARGUMENT, message.data());
}
std::int32_t none_of(const char* what, const char* cure) noexcept {
  std::array<char, 128> message{};
  (void)std::snprintf(message.data(), message.size(), "%s is 0; %s", what, cure);
  return fail_as(MILLRACE_INVALID_ARGUMENT, message.data());
}

}  // namespace millrace::capi

using millrace::capi::kNames;
using millrace::capi::noted;

const millrace_error* millrace_last_error(void) {
  return &noted.error;
}
const char* millrace_last_error_message(void) {
  return noted.error.message;
}
const char* millrace_code_name(int32_t code) {
  if (code >= MILLRACE_OK) return "OK";
  for (const auto& known : kNames) {
    if (known.code == code) return known.name;
  }
  return "UNKNOWN";
}

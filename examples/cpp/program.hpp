// What the four programs share: arguments, the end with an error, pauses, and a checksum by which both
// sides can tell that the same bytes arrived.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "millrace/os/clock.hpp"
#include "millrace/result.hpp"

class Arguments {
 public:
  Arguments(int count, char** values, const char* usage)
      : given_(values, static_cast<std::size_t>(count)), usage_(usage) {
    if (count < 2) refuse();
  }
  [[nodiscard]] std::string text(std::size_t index, const char* otherwise = nullptr) const {
    if (index < given_.size()) return given_[index];
    if (otherwise == nullptr) refuse();
    return otherwise;
  }
  [[nodiscard]] std::uint64_t number(std::size_t index, std::uint64_t otherwise) const {
    if (index >= given_.size()) return otherwise;
    char* end = nullptr;
    const std::uint64_t value = std::strtoull(given_[index], &end, 10);
    if (end == given_[index] || *end != '\0') refuse();
    return value;
  }
  [[noreturn]] void refuse() const {
    (void)std::fprintf(stderr, "usage: %s %s\n", given_.empty() ? "program" : given_[0], usage_);
    std::exit(2);
  }

 private:
  std::span<char*> given_;
  const char* usage_;
};

// "PEER_GONE: the producer of queue 'ticks' (process 4711) died; …". The code is stable, the text is not.
inline int failed(const millrace::Error& error) {
  (void)std::fprintf(stderr, "%s: %s\n", millrace::code_name(error.code), error.message.c_str());
  return 1;
}

inline void pause_us(std::uint64_t microseconds) {
  if (microseconds != 0) millrace::os::sleep_ns(microseconds * 1000);
}

// FNV-1a, 32 bits.
class Checksum {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes)
      value_ = (value_ ^ std::to_integer<std::uint32_t>(byte)) * 16'777'619U;
  }
  // Where one message ends and the next begins counts, too.
  void add_length(std::size_t length) {
    value_ = (value_ ^ static_cast<std::uint32_t>(length)) * 16'777'619U;
  }
  [[nodiscard]] std::uint32_t value() const { return value_; }

 private:
  std::uint32_t value_ = 2'166'136'261U;
};

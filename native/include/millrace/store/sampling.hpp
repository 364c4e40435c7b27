// Which jobs, calls and messages are measured by a handle that counts how long they take.
#pragma once

#include <cstdint>

namespace millrace {

// Of so many jobs, calls or messages one is measured.
inline constexpr std::uint32_t kMeasuredEvery = 64;

// Which of those that come are measured, and for how many each stands.
class Sampling {
 public:
  // Is this one? If so, and if it cannot be, put_off() is called: then the next one is, for one more.
  [[nodiscard]] bool next() noexcept {
    // One instruction that counts and one that asks: this is in the way of every one.
    if (--left_ != 0) [[likely]]
      return false;
    left_ = kMeasuredEvery;
    return true;
  }
  // For how many does it stand? Once for each.
  [[nodiscard]] std::uint32_t stands_for() noexcept {
    const std::uint32_t all = since_;
    since_ = kMeasuredEvery;
    return all;
  }
  void put_off() noexcept {
    left_ = 1;
    if (since_ < kMost) ++since_;
  }

  static constexpr std::uint32_t kMost = 255;

 private:
  std::uint32_t left_ = 1;  // until the next one
  std::uint32_t since_ = 1;
};

}  // namespace millrace

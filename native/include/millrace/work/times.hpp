// How long jobs took, and calls, as those on the queue count it who were asked to.
//
// The handles of a side are many, and a histogram of each would take a megabyte a queue: so they share one, and each adds with a relaxed
// read-modify-write. That is an instruction with the bus to itself for one of 64 jobs, no lock and nothing that orders anything: a reader
// sees each number at some instant. Who dies between the two has counted the sum alone, of one of thousands.
#pragma once

#include <atomic>
#include <cstdint>

#include "../layout/work.hpp"

namespace millrace {

// Of so many jobs, calls or messages one is measured.
inline constexpr std::uint32_t kMeasuredEvery = 64;

// `stands_for`: that one, and those since the one before that were not measured.
inline void count_work_time(layout::WorkControl& control, layout::WorkTime what,
                            std::uint64_t nanoseconds, std::uint32_t stands_for) noexcept {
  const std::size_t bucket = layout::WorkTimes::of(nanoseconds);
  layout::work_time(control, what, 0)
      .fetch_add(nanoseconds * stands_for, std::memory_order_relaxed);
  layout::work_time(control, what, bucket + 1).fetch_add(stands_for, std::memory_order_relaxed);
}

// Which of those that come are measured, and for how many each stands.
class Sampling {
 public:
  // Is this one? If so, and if it cannot be, put_off() is called: then the next one is, for one more.
  [[nodiscard]] bool next() noexcept {
    if (left_ != 0) {
      --left_;
      return false;
    }
    left_ = kMeasuredEvery - 1;
    return true;
  }
  // For how many does it stand? Once for each.
  [[nodiscard]] std::uint32_t stands_for() noexcept {
    const std::uint32_t all = since_;
    since_ = kMeasuredEvery;
    return all;
  }
  void put_off() noexcept {
    left_ = 0;
    if (since_ < kMost) ++since_;
  }

  static constexpr std::uint32_t kMost = 255;

 private:
  std::uint32_t left_ = 0;
  std::uint32_t since_ = 1;
};

}  // namespace millrace

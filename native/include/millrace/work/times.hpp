// How long jobs took, and calls, as those on the queue count it who were asked to.
//
// The handles of a side are many, and a histogram of each would take a megabyte a queue: so they share one, and each adds with a relaxed
// read-modify-write. That is an instruction with the bus to itself for one of 64 jobs, no lock and nothing that orders anything: a reader
// sees each number at some instant. Who dies between the two has counted the sum alone, of one of thousands.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../layout/work.hpp"
#include "../os/clock.hpp"
#include "../store/sampling.hpp"

namespace millrace {

// `stands_for`: that one, and those since the one before that were not measured.
inline void count_work_time(layout::WorkControl& control, layout::WorkTime what,
                            std::uint64_t nanoseconds, std::uint32_t stands_for) noexcept {
  const std::size_t bucket = layout::WorkTimes::of(nanoseconds);
  layout::work_time(control, what, 0)
      .fetch_add(nanoseconds * stands_for, std::memory_order_relaxed);
  layout::work_time(control, what, bucket + 1).fetch_add(stands_for, std::memory_order_relaxed);
}

// What a handle that counts has in hand of what it measures, each in a slot of its own, and since when.
class Stopwatches {
 public:
  // `id` is not 0, and tells it from all that are in that slot before and after it. False: the place is taken by another one, of which
  // still(id) says that it is in hand.
  template <typename Still>
  [[nodiscard]] bool start(std::uint32_t slot, std::uint64_t id, std::uint64_t now,
                           Sampling& sampling, Still&& still) noexcept {
    Watch& its = watches_[slot % kMost];
    if (its.id != 0 && still(its.id)) {
      sampling.put_off();
      return false;
    }
    running_ += its.id == 0 ? 1 : 0;
    its = {id, now, sampling.stands_for()};
    return true;
  }
  [[nodiscard]] bool any() const noexcept { return running_ != 0; }
  // It is over. Counted only if it ended as it should.
  void stop(std::uint32_t slot, std::uint64_t id, layout::WorkControl& control,
            layout::WorkTime what, bool counts = true) noexcept {
    Watch& its = watches_[slot % kMost];
    if (its.id != id) return;
    its.id = 0;
    --running_;
    if (counts) count_work_time(control, what, os::monotonic_ns() - its.since, its.stands_for);
  }

 private:
  static constexpr std::size_t kMost = 64;
  struct Watch {
    std::uint64_t id = 0;  // 0: none
    std::uint64_t since = 0;
    std::uint32_t stands_for = 0;
  };

  std::array<Watch, kMost> watches_{};
  std::uint32_t running_ = 0;
};

}  // namespace millrace

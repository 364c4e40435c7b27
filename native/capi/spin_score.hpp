// Whether a handle looks for a while before its thread sleeps: it learns whether that pays, as lib/base/adaptive-backoff.ts does for
// event loops. A spin never pays where the peer needs the same processor, or takes longer to answer than the spin lasts.
//
// Of a handle. Threads that share one and write at once lose an entry: no matter.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace::capi {

class SpinScore {
 public:
  // Is it worth a try this time?
  [[nodiscard]] bool worth_it() noexcept {
    if (score_.load(std::memory_order_relaxed) > 0) return true;
    const std::uint32_t skipped = (skipped_.load(std::memory_order_relaxed) + 1) % kSeldom;
    skipped_.store(skipped, std::memory_order_relaxed);
    return skipped == 0;
  }
  // Did the spin find what it looked for?
  void learn(bool paid) noexcept {
    const std::uint32_t score = score_.load(std::memory_order_relaxed);
    if (paid && score < kBest) score_.store(score + 1, std::memory_order_relaxed);
    if (!paid && score > 0) score_.store(score - 1, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kBest = 8;
  // At a score of 0 only one time in so many is tried.
  static constexpr std::uint32_t kSeldom = 16;

  std::atomic<std::uint32_t> score_{kBest / 2};
  std::atomic<std::uint32_t> skipped_{0};
};

}  // namespace millrace::capi

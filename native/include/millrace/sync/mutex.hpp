// A named mutex between processes and threads that survives the death of its holder.
//
//   PartyOptions options;
//   options.place = Place("ledger");
//   auto mutex = Mutex::open(options, os::Deadline::after(1'000'000'000)).take();
//   if (mutex->lock() == LockStatus::abandoned) repair();   // the previous holder died inside
//   …
//   mutex->unlock();
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "lock.hpp"

namespace millrace {

inline constexpr std::uint64_t kForeverNs = std::numeric_limits<std::uint64_t>::max();
inline constexpr std::uint64_t kLockSpinNs = 50'000;

// One handle; used by one thread at a time. See detail::Lock for what the calls return.
class Mutex {
 public:
  static Result<std::unique_ptr<Mutex>> open(const PartyOptions& options,
                                             const os::Deadline& deadline) {
    std::unique_ptr<Mutex> self(new Mutex);
    auto opened = self->lock_.open(options, layout::Kind::mutex, deadline);
    if (!opened.ok()) return opened.error();
    return self;
  }
  [[nodiscard]] LockStatus try_lock() { return lock_.try_lock(LockMode::exclusive); }
  // busy: the time is over.
  [[nodiscard]] LockStatus lock(std::uint64_t timeout_ns = kForeverNs,
                                std::uint64_t spin_ns = kLockSpinNs) {
    return lock_.lock(LockMode::exclusive, spin_ns, timeout_ns);
  }
  LockStatus unlock(LockEnding ending = LockEnding::finished) { return lock_.unlock(ending); }
  [[nodiscard]] std::uint32_t holder() const { return lock_.holder(); }
  [[nodiscard]] detail::Lock& base() noexcept { return lock_; }

 private:
  Mutex() = default;
  detail::Lock lock_;
};

}  // namespace millrace

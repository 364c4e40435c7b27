// A named lock for many readers or one writer, between processes and threads, that survives the death of
// its holders. In line it is first come, first served: a reader does not overtake a waiting writer, and
// readers that stand together in line go in together.
#pragma once

#include <cstdint>
#include <memory>

#include "lock.hpp"
#include "mutex.hpp"

namespace millrace {

// One handle; used by one thread at a time. See detail::Lock for what the calls return.
class RwLock {
 public:
  static Result<std::unique_ptr<RwLock>> open(const PartyOptions& options,
                                              const os::Deadline& deadline) {
    std::unique_ptr<RwLock> self(new RwLock);
    auto opened = self->lock_.open(options, layout::Kind::rwlock, deadline);
    if (!opened.ok()) return opened.error();
    return self;
  }
  [[nodiscard]] LockStatus try_read() { return lock_.try_lock(LockMode::shared); }
  [[nodiscard]] LockStatus try_write() { return lock_.try_lock(LockMode::exclusive); }
  // busy: the time is over.
  [[nodiscard]] LockStatus read(std::uint64_t timeout_ns = kForeverNs,
                                std::uint64_t spin_ns = kLockSpinNs) {
    return lock_.lock(LockMode::shared, spin_ns, timeout_ns);
  }
  [[nodiscard]] LockStatus write(std::uint64_t timeout_ns = kForeverNs,
                                 std::uint64_t spin_ns = kLockSpinNs) {
    return lock_.lock(LockMode::exclusive, spin_ns, timeout_ns);
  }
  LockStatus unlock(LockEnding ending = LockEnding::finished) { return lock_.unlock(ending); }
  // Process id of the writer inside, 0 if there is none.
  [[nodiscard]] std::uint32_t writer() const { return lock_.holder(); }
  [[nodiscard]] int readers() const { return lock_.readers(); }
  [[nodiscard]] detail::Lock& base() noexcept { return lock_; }

 private:
  RwLock() = default;
  detail::Lock lock_;
};

}  // namespace millrace

// Mutexes and readers-writer locks: one kind of handle, whose calls differ by their mode.
#include <algorithm>
#include <string>

#include "handle.hpp"
#include "millrace/sync/mutex.hpp"
#include "millrace/sync/rw_lock.hpp"

using millrace::LockMode;
using millrace::Mutex;
using millrace::PartyOptions;
using millrace::RwLock;
namespace capi = millrace::capi;

struct millrace_mutex : capi::Handle<Mutex> {
  using Handle::Handle;
};
struct millrace_rwlock : capi::Handle<RwLock> {
  using Handle::Handle;
};

namespace millrace::capi {

namespace {

using Lock = millrace::detail::Lock;

template <typename Object>
[[nodiscard]] std::string title(Object& handle) {
  return std::string(handle.what()) + " '" + handle.core->base().parties().segment().name() + "'";
}
// `busy` is what somebody else's lock is called.
template <typename Object>
[[nodiscard]] std::int32_t outcome(Object& handle, LockStatus status) {
  switch (status) {
    case LockStatus::held:
      return MILLRACE_OK;
    case LockStatus::abandoned:
      return MILLRACE_ABANDONED;
    case LockStatus::busy:
      return MILLRACE_WOULD_BLOCK;
    case LockStatus::misused:
      return fail(make_error(Code::busy, "this handle of " + title(handle) +
                                             " holds it or waits for it already; unlock it first, "
                                             "or open a handle for each thread"));
    case LockStatus::corrupt:
      break;
  }
  return fail(
      make_error(Code::corrupt,
                 title(handle) + " holds impossible values; close it everywhere, and unlink it"));
}

template <typename Core, typename Object>
[[nodiscard]] std::int32_t open_lock(const char* what, const char* name,
                                     const millrace_options* given, Object** handle) {
  if (handle == nullptr) return no_argument(what);
  auto options = options_of(given, MILLRACE_HAS_OWNER);
  if (!options.ok()) return fail(options.error());
  PartyOptions spec;
  return open_handle(what, name, options.value(), handle, spec,
                     [](const PartyOptions& wanted) { return Core::open(wanted, soon()); });
}
template <typename Object>
[[nodiscard]] std::int32_t try_lock(Object* handle, LockMode mode) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  return outcome(*handle, handle->core->base().try_lock(mode));
}
template <typename Object>
[[nodiscard]] std::int32_t begin(Object* handle, LockMode mode) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  return outcome(*handle, handle->core->base().begin(mode));
}
template <typename Object>
[[nodiscard]] std::int32_t poll_lock(Object* handle) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  Lock& lock = handle->core->base();
  if (!lock.waits()) {
    return fail(make_error(Code::invalid_argument,
                           "this handle of " + title(*handle) + " does not wait; begin first"));
  }
  return outcome(*handle, lock.look(true));
}
template <typename Object>
[[nodiscard]] std::int32_t withdraw(Object* handle) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  if (handle->core->base().withdraw()) return MILLRACE_OK;
  return fail(make_error(Code::busy, title(*handle) +
                                         " is being handed to this handle; poll until it is, and "
                                         "unlock it"));
}
// As Lock::lock(), with an eye on who closes and interrupts.
template <typename Object>
[[nodiscard]] std::int32_t lock_now(Object* handle, LockMode mode, std::int64_t timeout) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  Lock& lock = handle->core->base();
  LockStatus status = lock.begin(mode);
  if (status != LockStatus::busy) return outcome(*handle, status);
  constexpr std::uint64_t grant_ns =
      1'000'000;  // from the moment in which it is too late to withdraw
  const std::uint64_t interrupts = interrupt_count();
  const os::Deadline end = os::Deadline::after(nanoseconds(timeout));
  std::uint64_t spin = handle->spin_ns;
  while (status == LockStatus::busy) {
    const std::uint64_t left = end.left_ns();
    const bool closing = handle->is_closing();
    const bool interrupted = interrupt_count() != interrupts;
    if ((closing || interrupted || left == 0) && lock.withdraw()) {
      if (closing) return handle->closed();
      if (interrupted) return MILLRACE_INTERRUPTED;
      return late("getting " + title(*handle), timeout);
    }
    const bool stirred = lock.wait(spin, std::max<std::uint64_t>(left, grant_ns));
    status = lock.look(!stirred);
    if (!stirred) spin = 0;
  }
  // Whoever closes unlocks it.
  return handle->is_closing() ? handle->closed() : outcome(*handle, status);
}
template <typename Object>
[[nodiscard]] std::int32_t unlock(Object* handle, std::int32_t abandoned) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  Lock& lock = handle->core->base();
  if (!lock.holds()) {
    return fail(make_error(Code::invalid_argument, "this handle of " + title(*handle) +
                                                       " does not hold it; lock it first"));
  }
  const auto how = abandoned == 0 ? millrace::LockEnding::finished : millrace::LockEnding::cut;
  const LockStatus status = lock.unlock(how);
  return status == LockStatus::corrupt ? outcome(*handle, status)
                                       : static_cast<std::int32_t>(MILLRACE_OK);
}
template <typename Object>
[[nodiscard]] std::int32_t arm(Object* handle) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  Lock& lock = handle->core->base();
  if (!lock.waits()) {
    return fail(make_error(Code::invalid_argument,
                           "this handle of " + title(*handle) + " does not wait; begin first"));
  }
  if (const std::int32_t code = prepare_to_park(*handle); code != MILLRACE_OK) return code;
  auto& parties = lock.parties();
  parties.sleeper().park_on_bell(handle->bell.address());
  handle->bell.begin_watching();
  millrace::detail::for_each_bit(
      lock.obstacles(), [&](std::uint32_t seat) { handle->bell.watch(parties.doorbell(seat)); });
  handle->bell.end_watching();
  handle->bell.alarm(Bell::kSafetyNs);
  if (!lock.stirred() && parties.vacant_of(lock.obstacles()) == 0) return MILLRACE_OK;
  parties.sleeper().unpark();
  return MILLRACE_READY;
}
template <typename Object>
[[nodiscard]] std::int32_t close_lock(Object* handle) {
  return close_handle(handle, [](auto& core) { core.base().close(); });
}
template <typename Object>
void free_lock(Object* handle) {
  free_handle(handle, [](auto& core) { core.base().close(); });
}

}  // namespace

}  // namespace millrace::capi

int32_t millrace_mutex_open(const char* name, const millrace_options* options,
                            millrace_mutex** mutex) {
  return capi::open_lock<Mutex>("mutex", name, options, mutex);
}
int32_t millrace_mutex_lock(millrace_mutex* mutex, int64_t timeout_ns) {
  return capi::lock_now(mutex, LockMode::exclusive, timeout_ns);
}
int32_t millrace_mutex_try_lock(millrace_mutex* mutex) {
  return capi::try_lock(mutex, LockMode::exclusive);
}
int32_t millrace_mutex_unlock(millrace_mutex* mutex, int32_t abandoned) {
  return capi::unlock(mutex, abandoned);
}
int32_t millrace_mutex_holder(millrace_mutex* mutex) {
  const capi::Rarely inside(mutex);
  return inside ? static_cast<int32_t>(mutex->core->holder()) : inside.code();
}
int32_t millrace_mutex_begin(millrace_mutex* mutex) {
  return capi::begin(mutex, LockMode::exclusive);
}
int32_t millrace_mutex_poll(millrace_mutex* mutex) {
  return capi::poll_lock(mutex);
}
int32_t millrace_mutex_withdraw(millrace_mutex* mutex) {
  return capi::withdraw(mutex);
}
int32_t millrace_mutex_fd(millrace_mutex* mutex) {
  return capi::fd_of(mutex);
}
int32_t millrace_mutex_arm(millrace_mutex* mutex) {
  return capi::arm(mutex);
}
int32_t millrace_mutex_disarm(millrace_mutex* mutex) {
  return capi::disarm(mutex);
}
int32_t millrace_mutex_close(millrace_mutex* mutex) {
  return capi::close_lock(mutex);
}
void millrace_mutex_free(millrace_mutex* mutex) {
  capi::free_lock(mutex);
}

int32_t millrace_rwlock_open(const char* name, const millrace_options* options,
                             millrace_rwlock** rwlock) {
  return capi::open_lock<RwLock>("rwlock", name, options, rwlock);
}
int32_t millrace_rwlock_read(millrace_rwlock* rwlock, int64_t timeout_ns) {
  return capi::lock_now(rwlock, LockMode::shared, timeout_ns);
}
int32_t millrace_rwlock_try_read(millrace_rwlock* rwlock) {
  return capi::try_lock(rwlock, LockMode::shared);
}
int32_t millrace_rwlock_write(millrace_rwlock* rwlock, int64_t timeout_ns) {
  return capi::lock_now(rwlock, LockMode::exclusive, timeout_ns);
}
int32_t millrace_rwlock_try_write(millrace_rwlock* rwlock) {
  return capi::try_lock(rwlock, LockMode::exclusive);
}
int32_t millrace_rwlock_unlock(millrace_rwlock* rwlock, int32_t abandoned) {
  return capi::unlock(rwlock, abandoned);
}
int32_t millrace_rwlock_writer(millrace_rwlock* rwlock) {
  const capi::Rarely inside(rwlock);
  return inside ? static_cast<int32_t>(rwlock->core->writer()) : inside.code();
}
int32_t millrace_rwlock_readers(millrace_rwlock* rwlock) {
  const capi::Rarely inside(rwlock);
  return inside ? rwlock->core->readers() : inside.code();
}
int32_t millrace_rwlock_begin_read(millrace_rwlock* rwlock) {
  return capi::begin(rwlock, LockMode::shared);
}
int32_t millrace_rwlock_begin_write(millrace_rwlock* rwlock) {
  return capi::begin(rwlock, LockMode::exclusive);
}
int32_t millrace_rwlock_poll(millrace_rwlock* rwlock) {
  return capi::poll_lock(rwlock);
}
int32_t millrace_rwlock_withdraw(millrace_rwlock* rwlock) {
  return capi::withdraw(rwlock);
}
int32_t millrace_rwlock_fd(millrace_rwlock* rwlock) {
  return capi::fd_of(rwlock);
}
int32_t millrace_rwlock_arm(millrace_rwlock* rwlock) {
  return capi::arm(rwlock);
}
int32_t millrace_rwlock_disarm(millrace_rwlock* rwlock) {
  return capi::disarm(rwlock);
}
int32_t millrace_rwlock_close(millrace_rwlock* rwlock) {
  return capi::close_lock(rwlock);
}
void millrace_rwlock_free(millrace_rwlock* rwlock) {
  capi::free_lock(rwlock);
}

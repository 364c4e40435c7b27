// Semaphores. Their calls may be made by several threads at once; a mutex is around what serves the descriptor.
#include "millrace/sync/semaphore.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "handle.hpp"
#include "millrace/sync/permit_taker.hpp"

using millrace::Code;
using millrace::make_error;
using millrace::Semaphore;
using millrace::SemaphoreSpec;
namespace capi = millrace::capi;

namespace millrace::capi {

namespace {

// The semaphore, and the thread that waits in it for the descriptor's sake.
struct Permits {
  explicit Permits(std::shared_ptr<Semaphore> given)
      : semaphore(std::move(given)), taker(semaphore) {}
  std::shared_ptr<Semaphore> semaphore;
  std::mutex mutex;  // guards the taker, and the bell of the handle
  PermitTaker taker;
  std::atomic<bool> armed{false};
  std::optional<std::uint32_t> bell_of;  // Bell::renewals() when the taker learned where to ring
  bool in_hand = false;                  // a permit that arm() found, for the next who takes one
};

}  // namespace

}  // namespace millrace::capi

struct millrace_semaphore : capi::Handle<capi::Permits> {
  using Handle::Handle;
};

namespace millrace::capi {

namespace {

[[nodiscard]] bool take(millrace_semaphore& semaphore) {
  Permits& permits = *semaphore.core;
  if (!permits.armed.load(std::memory_order_relaxed)) return permits.semaphore->try_wait();
  const std::lock_guard<std::mutex> lock(permits.mutex);
  if (!permits.in_hand && !permits.taker.take()) return permits.semaphore->try_wait();
  permits.in_hand = false;
  permits.taker.unwant();
  permits.armed.store(false, std::memory_order_relaxed);
  return true;
}
// What was wanted and not taken goes back. Under the mutex.
void give_back(Permits& permits) {
  permits.taker.unwant();
  permits.armed.store(false, std::memory_order_relaxed);
  if (std::exchange(permits.in_hand, false)) (void)permits.semaphore->post();
}
void finish(Permits& permits) {
  give_back(permits);
  permits.taker.finish();
}
// Under the mutex.
[[nodiscard]] std::int32_t ready_bell(millrace_semaphore& semaphore) {
  Bell& bell = semaphore.bell;
  const os::BellTrust trust{::geteuid(), 0, false};
  if (!bell.is_open()) {
    if (auto made = bell.open(trust); !made.ok()) return fail(made.error());
    semaphore.core->bell_of.reset();
  }
  if (semaphore.core->bell_of == bell.renewals()) return MILLRACE_OK;
  os::Descriptor line = os::open_bell(bell.id(), trust);
  if (!line) return fail(system_error("open", errno, os::doorbell_path(bell.id())));
  semaphore.core->taker.ring_at(std::move(line), bell.address().token);
  semaphore.core->bell_of = bell.renewals();
  return MILLRACE_OK;
}

}  // namespace

}  // namespace millrace::capi

using capi::fail;
using capi::no_argument;
using capi::Shared;

int32_t millrace_semaphore_open(const char* name, const millrace_semaphore_options* options,
                                millrace_semaphore** semaphore) {
  if (semaphore == nullptr) return no_argument("semaphore");
  auto read =
      capi::options_of(options, MILLRACE_HAS_OWNER | MILLRACE_OPEN_ONLY | MILLRACE_CREATE_ONLY);
  if (!read.ok()) return fail(read.error());
  auto named = capi::name_of(name);
  if (!named.ok()) return fail(named.error());
  SemaphoreSpec spec;
  spec.name = named.take();
  spec.initial = read.value().initial;
  const std::uint32_t flags = read.value().flags;
  return capi::open_handle(
      "semaphore", name, read.value(), semaphore, spec,
      [flags](const SemaphoreSpec& wanted) -> millrace::Result<std::unique_ptr<capi::Permits>> {
        auto opened = (flags & MILLRACE_CREATE_ONLY) != 0 ? Semaphore::create(wanted)
                      : (flags & MILLRACE_OPEN_ONLY) != 0 ? Semaphore::open(wanted)
                                                          : Semaphore::open_or_create(wanted);
        if (!opened.ok()) return opened.error();
        return std::make_unique<capi::Permits>(std::shared_ptr<Semaphore>(opened.take()));
      });
}
int32_t millrace_semaphore_wait(millrace_semaphore* semaphore, int64_t timeout_ns) {
  const Shared inside(semaphore);
  if (!inside) return inside.code();
  Semaphore& core = *semaphore->core->semaphore;
  bool got = false;
  return capi::block(
      *semaphore, timeout_ns,
      [&](bool) -> std::int32_t {
        return got || capi::take(*semaphore) ? MILLRACE_OK : MILLRACE_WOULD_BLOCK;
      },
      [&](std::uint64_t spin, std::uint64_t left) {
        return got = core.wait_for(spin, std::min(left, millrace::kSliceNs));
      },
      [&] { return capi::late("a permit of semaphore '" + core.name() + "'", timeout_ns); });
}
int32_t millrace_semaphore_try_wait(millrace_semaphore* semaphore) {
  const Shared inside(semaphore);
  if (!inside) return inside.code();
  return capi::take(*semaphore) ? MILLRACE_OK : MILLRACE_WOULD_BLOCK;
}
int32_t millrace_semaphore_post(millrace_semaphore* semaphore, uint32_t count) {
  const Shared inside(semaphore);
  if (!inside) return inside.code();
  if (count > millrace::os::kSemaphoreMax) {
    return fail(make_error(Code::too_large, "a semaphore holds at most " +
                                                std::to_string(millrace::os::kSemaphoreMax) +
                                                " permits; it has no room for " +
                                                std::to_string(count) + " more"));
  }
  auto posted = semaphore->core->semaphore->post(count);
  return posted.ok() ? MILLRACE_OK : fail(posted.error());
}
int64_t millrace_semaphore_value(millrace_semaphore* semaphore) {
  const Shared inside(semaphore);
  if (!inside) return inside.code();
  if (millrace::os::kSemaphoreHasValue) return semaphore->core->semaphore->value();
  return fail(
      make_error(Code::unsupported_platform, "this system does not tell the value of a semaphore"));
}
int32_t millrace_semaphore_fd(millrace_semaphore* semaphore) {
  const Shared inside(semaphore);
  if (!inside) return inside.code();
  const std::lock_guard<std::mutex> lock(semaphore->core->mutex);
  const std::int32_t code = capi::ready_bell(*semaphore);
  return code == MILLRACE_OK ? semaphore->bell.fd() : code;
}
int32_t millrace_semaphore_arm(millrace_semaphore* semaphore) {
  const Shared inside(semaphore);
  if (!inside) return inside.code();
  capi::Permits& permits = *semaphore->core;
  const std::lock_guard<std::mutex> lock(permits.mutex);
  if (semaphore->bell.is_open()) (void)semaphore->bell.drain();
  if (const std::int32_t code = capi::ready_bell(*semaphore); code != MILLRACE_OK) return code;
  permits.armed.store(true, std::memory_order_relaxed);
  // One that was granted rang before: it would not ring again.
  if (!permits.in_hand) permits.in_hand = permits.taker.take();
  if (permits.in_hand) return MILLRACE_READY;
  if (auto wanted = permits.taker.want(); !wanted.ok()) return fail(wanted.error());
  return MILLRACE_OK;
}
int32_t millrace_semaphore_disarm(millrace_semaphore* semaphore) {
  const Shared inside(semaphore);
  if (!inside) return inside.code();
  capi::Permits& permits = *semaphore->core;
  const std::lock_guard<std::mutex> lock(permits.mutex);
  capi::give_back(permits);
  if (semaphore->bell.is_open()) (void)semaphore->bell.drain();
  return MILLRACE_OK;
}
int32_t millrace_semaphore_close(millrace_semaphore* semaphore) {
  return capi::close_handle(semaphore, capi::finish);
}
void millrace_semaphore_free(millrace_semaphore* semaphore) {
  capi::free_handle(semaphore, capi::finish);
}

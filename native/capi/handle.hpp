// What all handles of the C interface have in common: the core object, who is in it, the end, and the bell.
//
// A handle is entered by one thread at a time: `inside` says that somebody is. It is left before it is closed: whoever closes sets
// `closing`, and then waits until nobody is inside; whoever enters sets `inside`, and then looks at `closing`. One of the two sees the
// other (the store-buffering argument of waiting.hpp): the light fence is here, the heavy one with who closes. A call that blocks looks
// at `closing` after every slice.
//
// The calls of every message (Entering::often) set `inside` by a plain store: two threads that break the rule at the same instant are
// not told apart. All others exchange it, and so do these after millrace_careful(1).
//
// `kept` keeps what pointers that were given out point to mapped from the close until the free.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bell.hpp"
#include "error.hpp"
#include "millrace.h"
#include "millrace/blocking.hpp"
#include "millrace/failure.hpp"
#include "millrace/os/clock.hpp"
#include "millrace/os/fence.hpp"
#include "millrace/os/mapping.hpp"
#include "millrace/place.hpp"
#include "millrace/segment_spec.hpp"
#include "process.hpp"
#include "spin_score.hpp"

namespace millrace::capi {

inline constexpr std::uint64_t kDoorNs = 2'000'000'000;

// Creating or joining a channel takes microseconds; this bounds the wait for a process that is stopped in the middle of it.
[[nodiscard]] inline os::Deadline soon() noexcept {
  return os::Deadline::after(kDoorNs);
}
[[nodiscard]] inline std::uint64_t nanoseconds(std::int64_t timeout) noexcept {
  return timeout < 0 ? std::numeric_limits<std::uint64_t>::max()
                     : static_cast<std::uint64_t>(timeout);
}

class HandleBase {
 public:
  explicit HandleBase(const char* what) noexcept : what_(what), generation_(fork_generation()) {}
  HandleBase(const HandleBase&) = delete;
  HandleBase& operator=(const HandleBase&) = delete;

  [[nodiscard]] bool ours() const noexcept { return generation_ == fork_generation(); }
  [[nodiscard]] bool is_closing() const noexcept {
    return closing_.load(std::memory_order_relaxed) != 0;
  }
  // "queue producer", for messages.
  [[nodiscard]] const char* what() const noexcept { return what_; }

  // 0, or why not.
  [[nodiscard, gnu::always_inline]] std::int32_t enter_often() noexcept {
    // Neither the parent's, nor of a process that is careful, nor in use.
    if (process_word() != 2 * generation_ || inside_.load(std::memory_order_relaxed) != 0)
        [[unlikely]]
      return enter();
    inside_.store(1, std::memory_order_relaxed);
    os::light_fence();  // pairs with the heavy fence in begin_to_close()
    if (!is_closing()) [[likely]]
      return MILLRACE_OK;
    return leave_closed();
  }
  [[nodiscard, gnu::cold]] std::int32_t leave_closed() noexcept {
    leave();
    return closed();
  }
  [[nodiscard]] std::int32_t enter() noexcept {
    if (!ours()) return forked();
    std::uint32_t nobody = 0;
    if (!inside_.compare_exchange_strong(nobody, 1, std::memory_order_seq_cst)) return in_use();
    if (!is_closing()) return MILLRACE_OK;
    leave();
    return closed();
  }
  // Of handles that several threads use at once: `inside` counts them.
  [[nodiscard]] std::int32_t enter_shared() noexcept {
    if (!ours()) return forked();
    inside_.fetch_add(1, std::memory_order_seq_cst);
    if (!is_closing()) return MILLRACE_OK;
    leave_shared();
    return closed();
  }
  void leave_shared() noexcept { inside_.fetch_sub(1, std::memory_order_release); }
  // release: pairs with the acquire in begin_to_close(): what was done inside is over.
  void leave() noexcept { inside_.store(0, std::memory_order_release); }

  // 0: the caller alone may end the core object now. Waits for whoever is inside.
  [[nodiscard]] std::int32_t begin_to_close() noexcept {
    if (!ours()) return forked();
    if (closing_.exchange(1, std::memory_order_seq_cst) != 0) return closed();
    if (!os::heavy_fence()) os::sleep_ns(1'000'000);  // as sleeper_fence() in waiting.hpp
    while (inside_.load(std::memory_order_acquire) != 0)
      os::sleep_ns(100'000);
    return MILLRACE_OK;
  }

  [[nodiscard, gnu::cold]] std::int32_t closed() const noexcept;
  [[nodiscard, gnu::cold]] std::int32_t forked() const noexcept;
  [[nodiscard, gnu::cold]] std::int32_t in_use() const noexcept;

  std::uint64_t spin_ns = 50'000;
  SpinScore spin_score;
  // When somebody has asked the kernel last how the peer is doing, on the coarse clock.
  std::uint64_t looked_ms = 0;

  // Is it time to ask again? A call that finds nothing comes here: most of them cost no system call.
  [[nodiscard]] bool thorough() noexcept {
    const std::uint64_t now = os::coarse_ms();
    if (now - looked_ms < kLookMs) return false;
    looked_ms = now;
    return true;
  }
  void look_soon() noexcept { looked_ms = 0; }

 private:
  static constexpr std::uint64_t kLookMs = 20;

  const char* what_;
  std::uint32_t generation_;
  std::atomic<std::uint32_t> inside_{0};
  std::atomic<std::uint32_t> closing_{0};
};

// Core is what the handle stands for.
template <typename Core>
class Handle : public HandleBase {
 public:
  using HandleBase::HandleBase;

  std::unique_ptr<Core> core;
  Bell bell;
  os::MappingPtr kept;
};

enum class Entering { often, rarely, shared };

// In a handle, as long as this lives.
template <Entering how = Entering::rarely>
class Inside {
 public:
  [[gnu::always_inline]] explicit Inside(HandleBase* handle) noexcept : handle_(handle) {
    if (handle == nullptr) [[unlikely]] {
      code_ = no_handle();
      return;
    }
    if constexpr (how == Entering::often) code_ = handle->enter_often();
    if constexpr (how == Entering::shared) code_ = handle->enter_shared();
    if constexpr (how == Entering::rarely) code_ = handle->enter();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  [[gnu::always_inline]] ~Inside() {
    if (code_ != MILLRACE_OK) [[unlikely]]
      return;
    if constexpr (how == Entering::shared) {
      handle_->leave_shared();
    } else {
      handle_->leave();
    }
  }
  [[nodiscard]] explicit operator bool() const noexcept { return code_ == MILLRACE_OK; }
  [[nodiscard]] std::int32_t code() const noexcept { return code_; }

 private:
  HandleBase* handle_;
  std::int32_t code_ = MILLRACE_OK;
};
using Often = Inside<Entering::often>;
using Rarely = Inside<Entering::rarely>;
using Shared = Inside<Entering::shared>;

// Looks, and waits in between, until there is an answer: look(thorough) gives one, or WOULD_BLOCK. wait(spin_ns, timeout_ns) blocks for a
// slice at most, and says whether something stirred. `late` makes the error of a wait that was too long. Whoever has no more time than a
// spin takes wants a spin and no sleep, and nothing is learned from it.
template <typename Look, typename Wait, typename Late>
[[nodiscard]] std::int32_t block(HandleBase& handle, std::int64_t timeout, Look&& look, Wait&& wait,
                                 Late&& late) {
  std::int32_t found = look(false);
  if (found != MILLRACE_WOULD_BLOCK) return found;
  const std::uint64_t interrupts = interrupt_count();
  const os::Deadline end = os::Deadline::after(nanoseconds(timeout));
  const bool learns = nanoseconds(timeout) > handle.spin_ns;
  const bool spins = learns && handle.spin_score.worth_it();
  const os::Deadline spin = os::Deadline::after(spins ? handle.spin_ns : 0);
  const auto learn = [&] {
    if (spins) handle.spin_score.learn(!spin.passed());
  };
  for (;;) {
    if (handle.is_closing()) return handle.closed();
    if (interrupt_count() != interrupts) return MILLRACE_INTERRUPTED;
    const std::uint64_t left = end.left_ns();
    if (left == 0) {
      learn();
      found = look(true);
      return found == MILLRACE_WOULD_BLOCK ? late() : found;
    }
    const bool stirred = wait(learns ? spin.left_ns() : left, left);
    found = look(!stirred);
    if (found == MILLRACE_WOULD_BLOCK && stirred) found = look(true);
    if (found != MILLRACE_WOULD_BLOCK) {
      learn();
      return found;
    }
  }
}

// "… did not happen within 100 ms; see who is there …", as the core says it.
[[nodiscard]] inline std::int32_t late(const std::string& what, std::int64_t timeout) {
  BlockingOptions options;
  options.timeout_ns = nanoseconds(timeout);
  return fail(millrace::detail::late(what, options));
}

// --- options ---

// A copy of what was given, as long as this library knows it. What is longer must say nothing more.
template <typename Options>
[[nodiscard]] Result<Options> options_of(const Options* given, std::uint32_t allowed = ~0U) {
  Options own{};
  own.size = sizeof own;
  if (given == nullptr) return own;
  const std::uint64_t size = given->size;
  if (size < sizeof given->size || size > kMostOptions) {
    return make_error(Code::invalid_argument, "options.size is " + std::to_string(size) +
                                                  "; set it to the sizeof of the struct");
  }
  std::memcpy(&own, given, std::min<std::uint64_t>(size, sizeof own));
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::uint64_t i = sizeof own; i < size; ++i) {
    if (bytes[i] != 0) {
      return make_error(Code::unsupported_runtime,
                        "the options say something that this version of the library does not know; "
                        "install the one that the program was built with, or a later one");
    }
  }
  own.size = sizeof own;
  if constexpr (requires { own.flags; }) {
    if ((own.flags & ~allowed) != 0) {
      return make_error(Code::invalid_argument, "options.flags has bits that mean nothing here: " +
                                                    std::to_string(own.flags & ~allowed));
    }
  }
  return own;
}

[[nodiscard]] Result<Place> place_of(const char* text);
[[nodiscard]] Result<std::string> name_of(const char* text);
inline constexpr std::uint32_t kMemoryFlags =
    MILLRACE_HUGE_PAGES | MILLRACE_LOCK_MEMORY | MILLRACE_PREFAULT | MILLRACE_ZERO_ON_CLOSE;
[[nodiscard]] os::MemoryOptions memory_of(std::uint32_t flags);
[[nodiscard]] Result<mode_t> mode_of(std::uint32_t mode);
[[nodiscard]] inline std::uint64_t spin_of(std::int32_t us) noexcept {
  if (us < 0) return 0;
  return us == 0 ? 50'000 : static_cast<std::uint64_t>(us) * 1000;
}

// The fields that specs of all kinds share, as far as this one has them.
template <typename Spec, typename Options>
[[nodiscard]] Result<void> read_common(Spec& spec, const char* place, const Options& options) {
  if constexpr (requires { spec.place; }) {
    auto at = place_of(place);
    if (!at.ok()) return at.error();
    spec.place = at.take();
  }
  auto mode = mode_of(options.mode);
  if (!mode.ok()) return mode.error();
  spec.mode = mode.value();
  if constexpr (requires { spec.memory; }) spec.memory = memory_of(options.flags);
  if constexpr (requires { spec.owner; }) {
    if ((options.flags & MILLRACE_HAS_OWNER) != 0) spec.owner = options.owner;
  }
  if constexpr (requires { spec.keep; }) spec.keep = (options.flags & MILLRACE_KEEP) != 0;
  if constexpr (requires { spec.schema; }) {
    spec.schema = options.schema;
  } else if (options.schema != 0) {
    return make_error(Code::invalid_argument, "options.schema means nothing here; leave it 0");
  }
  // Of a channel that is open to a group only the segment tells which group: its handles have a bell of their own when they ask for it.
  if constexpr (requires { spec.doorbell; }) {
    if ((spec.mode & 0060) != 0060) spec.doorbell = process_bell();
  }
  return {};
}

// Opens a handle: `Object` is the struct of millrace.h. `open_core(spec)` gives the core object.
template <typename Object, typename Spec, typename Options, typename OpenCore>
[[nodiscard]] std::int32_t open_handle(const char* what, const char* place, const Options& options,
                                       Object** handle, Spec& spec, OpenCore&& open_core) {
  if (auto read = read_common(spec, place, options); !read.ok()) return fail(read.error());
  auto opened = open_core(spec);
  if (!opened.ok()) return fail(opened.error());
  auto made = std::make_unique<Object>(what);
  made->core = opened.take();
  made->spin_ns = spin_of(options.spin_us);
  if constexpr (requires { made->kept = made->core->pool(); }) {
    made->kept = made->core->pool();
  } else if constexpr (requires { made->kept = made->core->memory(); }) {
    made->kept = made->core->memory();
  } else if constexpr (requires { made->kept = made->core->data(); }) {
    made->kept = made->core->data();
  }
  *handle = made.release();
  return MILLRACE_OK;
}

// `leave(core)` leaves the channel, in the way that was asked for.
template <typename Object, typename Leave>
[[nodiscard]] std::int32_t close_handle(Object* handle, Leave&& leave) {
  if (handle == nullptr) return no_handle();
  if (const std::int32_t code = handle->begin_to_close(); code != MILLRACE_OK) return code;
  leave(*handle->core);
  handle->bell.close();
  handle->core.reset();
  return MILLRACE_OK;
}
template <typename Object, typename Leave>
void free_handle(Object* handle, Leave&& leave) {
  if (handle == nullptr) return;
  if (!handle->ours()) return;  // what it has is the parent's as well: nothing is touched
  if (!handle->is_closing()) (void)close_handle(handle, leave);
  delete handle;
}

// The part of a core object that has the segment.
template <typename Core>
[[nodiscard]] auto& channel_of(Core& core) noexcept {
  if constexpr (requires { core.side(); }) {
    return core.side();
  } else if constexpr (requires { core.parties(); }) {
    return core.parties();
  } else if constexpr (requires { core.base(); }) {
    return core.base().parties();
  } else {
    return core;
  }
}
// The bell of a handle, made when it is first asked for. Others know it from then on.
template <typename Object>
[[nodiscard]] std::int32_t own_bell(Object& handle) {
  if (handle.bell.is_open()) return MILLRACE_OK;
  auto& channel = channel_of(*handle.core);
  if (auto made = handle.bell.open(channel.segment().trust()); !made.ok()) {
    return fail(made.error());
  }
  channel.announce_doorbell(handle.bell.id());
  return MILLRACE_OK;
}
template <typename Object>
[[nodiscard]] std::int32_t fd_of(Object* handle) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  if (const std::int32_t code = own_bell(*handle); code != MILLRACE_OK) return code;
  return handle->bell.fd();
}

// How a handle finds the memory that it is about to sleep over.
template <typename Object>
[[nodiscard]] std::int32_t damage(Object& handle) {
  const auto& segment = channel_of(*handle.core).segment();
  return segment.intact() ? MILLRACE_OK : fail(segment.shortened());
}
// Before a handle is parked: what rang before is forgotten, for whoever parks looks itself. An error if the memory was cut short.
template <typename Object>
[[nodiscard]] std::int32_t prepare_to_park(Object& handle) {
  if (const std::int32_t code = own_bell(handle); code != MILLRACE_OK) return code;
  if (const std::int32_t code = damage(handle); code != MILLRACE_OK) return code;
  if (handle.bell.drain()) handle.look_soon();
  return MILLRACE_OK;
}
// `unpark(core)` takes the wish to be woken back.
template <typename Object, typename Unpark>
[[nodiscard]] std::int32_t disarm(Object* handle, Unpark&& unpark) {
  const Rarely inside(handle);
  if (!inside) return inside.code();
  if (!handle->bell.is_open()) return MILLRACE_OK;
  unpark(*handle->core);
  handle->bell.no_alarm();
  (void)handle->bell.drain();
  return MILLRACE_OK;
}
template <typename Object>
[[nodiscard]] std::int32_t disarm(Object* handle) {
  return disarm(handle, [](auto& core) { channel_of(core).sleeper().unpark(); });
}

// Of two sides that know each other.
void tell_peer(millrace_peer& to, Peer state, std::uint32_t pid, std::string_view reason) noexcept;
[[nodiscard]] Result<void> check_out(std::uint64_t size, std::uint64_t known, const char* what);
// Fills a struct of the caller's, which may be shorter or longer than ours.
template <typename Struct>
[[nodiscard]] std::int32_t give(Struct* to, Struct& from) {
  if (auto fit = check_out(to->size, sizeof from, "size"); !fit.ok()) return fail(fit.error());
  const std::uint64_t size = to->size;
  from.size = size;
  std::memcpy(to, &from, std::min<std::uint64_t>(size, sizeof from));
  return MILLRACE_OK;
}

}  // namespace millrace::capi

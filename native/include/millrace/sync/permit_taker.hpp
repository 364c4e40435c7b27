// Waits for permits on behalf of an event loop: one thread for all pending waits of a handle, which takes
// one permit at a time and rings the doorbell.
//
// A semaphore offers nothing else: only a thread that sleeps in it hears of a permit, and it hears by
// getting it. A wait that is given up meanwhile has therefore to be taken out of the semaphore before it
// counts as over, or a permit could vanish for a moment where nobody waits any more. POSIX can interrupt
// such a thread only by a signal, which a library has no right to; so it sleeps in slices, and says when
// it is out.
//
//            want()                  got a permit: granted, ring
//   resting ────────► in the semaphore ─────────────────────────► resting
//      ▲                   │ unwant()                                │ a second without work
//      │                   ▼                                         ▼
//      └── ring ◄── leaving: until the end of the slice;            ended
//                   a permit it gets there is posted back
//
// The thread shares the state with its owner and touches nothing else, so it may outlive the owner, the
// environment and the JavaScript heap; the code that it runs must stay loaded.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "../crash_point.hpp"
#include "../os/clock.hpp"
#include "../os/doorbell.hpp"
#include "../result.hpp"
#include "semaphore.hpp"

namespace millrace {

// All calls come from one thread, the owner's.
class PermitTaker {
 public:
  explicit PermitTaker(std::shared_ptr<Semaphore> semaphore)
      : state_(std::make_shared<State>(std::move(semaphore))) {}
  PermitTaker(const PermitTaker&) = delete;
  PermitTaker& operator=(const PermitTaker&) = delete;
  ~PermitTaker() { finish(); }

  // Where to ring: a descriptor of os::open_bell() and the token that tells of a permit or of having left.
  void ring_at(os::Descriptor bell, std::uint64_t token) {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->bell = std::move(bell);
    state_->token = token;
  }

  // Takes one permit as soon as there is one. Fails if the system gives no thread.
  Result<void> want() {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (state_->finished) return {};
    state_->wanted = true;
    if (!state_->running) {
      if (const int number = start(); number != 0) {
        state_->wanted = false;
        return system_error("pthread_create", number);
      }
      state_->running = true;
    }
    state_->changed.notify_all();
    return {};
  }

  // No longer: what was granted and not taken goes back.
  void unwant() {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->wanted = false;
    give_back();
  }

  // One permit for a pending wait: one that was granted, or, while the thread is not about to get it, one
  // that is just there.
  [[nodiscard]] bool take() {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    if (state_->granted > 0) {
      --state_->granted;
      return true;
    }
    return !state_->wanted && !state_->inside && state_->semaphore->try_wait();
  }

  // Is the thread in the semaphore still, although nobody wants it to be?
  [[nodiscard]] bool leaving() const {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    return state_->inside && !state_->wanted;
  }

  // The end of a slice worth having: somebody may give up then.
  void expect_leaving_in(std::uint64_t ns) {
    const std::uint64_t now = os::monotonic_ns();
    const std::lock_guard<std::mutex> lock(state_->mutex);
    const std::uint64_t at = now + ns < now ? UINT64_MAX : now + ns;
    if (state_->leave_at <= now || at < state_->leave_at) state_->leave_at = at;
  }

  // The thread is to leave and to end; what it has goes back. Does not wait for it.
  void begin_to_finish() {
    const std::lock_guard<std::mutex> lock(state_->mutex);
    state_->finished = true;
    state_->wanted = false;
    give_back();
    state_->changed.notify_all();
  }
  // The same, and waits until the thread is out of the semaphore: for a process that ends now and would
  // take a permit with it. At most a slice and what the scheduler takes; not for ever if that is stopped.
  void finish() {
    begin_to_finish();
    const os::Deadline patience = os::Deadline::after(kPatienceNs);
    std::unique_lock<std::mutex> lock(state_->mutex);
    while (state_->inside && !patience.passed()) {
      state_->changed.wait_for(lock, kSlice);
    }
  }

 private:
  static constexpr std::chrono::milliseconds kSlice{20};
  static constexpr std::uint64_t kSliceNs = 20'000'000;
  static constexpr std::uint64_t kPatienceNs = 500'000'000;
  // Starting a thread costs as much as ten wake-ups; one that has nothing to do costs only its stack.
  static constexpr std::chrono::seconds kLinger{1};
  static constexpr std::size_t kStackBytes = std::size_t{256} * 1024;

  struct State {
    explicit State(std::shared_ptr<Semaphore> given) : semaphore(std::move(given)) {}

    const std::shared_ptr<Semaphore> semaphore;
    std::mutex mutex;  // guards everything below
    std::condition_variable changed;
    bool wanted = false;    // by the owner: a pending wait has no permit yet
    bool inside = false;    // the thread is in the semaphore, or about to be
    bool running = false;   // there is a thread
    bool finished = false;  // the owner is gone
    std::uint32_t granted = 0;
    std::uint64_t leave_at = 0;  // monotonic; in the past: nobody said
    os::Descriptor bell;
    std::uint64_t token = 0;
  };

  void give_back() {
    const std::uint32_t granted = std::exchange(state_->granted, 0);
    if (granted > 0) (void)state_->semaphore->post(granted);
  }

  // An errno, 0 if it runs.
  int start() {
    auto* shared = new std::shared_ptr<State>(state_);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    // Signals are for the threads of the program.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread{};
    const int number = pthread_create(
        &thread, &attributes,
        [](void* given) -> void* {
          const std::unique_ptr<std::shared_ptr<State>> mine(
              static_cast<std::shared_ptr<State>*>(given));
          run(**mine);
          return nullptr;
        },
        shared);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (number != 0) delete shared;
    return number;
  }

  static void run(State& state) {
    std::unique_lock<std::mutex> lock(state.mutex);
    for (;;) {
      if (state.wanted) {
        state.inside = true;
        const std::uint64_t slice = next_slice(state);
        lock.unlock();
        const bool got = state.semaphore->wait_for(0, slice);
        lock.lock();
        if (got) settle(state);
        if (state.wanted) continue;
        state.inside = false;
        state.changed.notify_all();
        MILLRACE_CRASH_POINT("permit.settle.out");
        if (state.bell) (void)os::ring_bell(state.bell.get(), state.token);
      }
      if (state.finished) break;
      const auto work = [&] { return state.wanted || state.finished; };
      if (!state.changed.wait_for(lock, kLinger, work)) break;
    }
    state.running = false;
  }

  static std::uint64_t next_slice(const State& state) noexcept {
    const std::uint64_t now = os::monotonic_ns();
    return state.leave_at > now ? std::min(state.leave_at - now, kSliceNs) : kSliceNs;
  }

  // The thread has a permit in its hands.
  static void settle(State& state) {
    MILLRACE_CRASH_POINT("permit.settle.taken");
    if (state.wanted) {
      ++state.granted;
      state.wanted = false;
    } else {
      (void)state.semaphore->post();
    }
  }

  std::shared_ptr<State> state_;
};

}  // namespace millrace

#include "process.hpp"

#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <optional>

#include "millrace.h"
#include "millrace/os/clock.hpp"
#include "millrace/os/doorbell.hpp"

namespace millrace::capi {

namespace detail {
std::atomic<std::uint32_t> process_word{0};
std::atomic<std::uint64_t> interrupts{0};
}  // namespace detail

namespace {

constexpr int kBellsSwept = 64;

// Guards the bell. A fork takes it, so that the child does not find it held by a thread that it has not.
std::mutex bell_mutex;
os::Doorbell bell;  // removed when the process ends in good order; else by whoever finds it
std::uint32_t bell_generation = 0;
pthread_once_t forks_once = PTHREAD_ONCE_INIT;

void watch_forks() {
  (void)::pthread_atfork([] { bell_mutex.lock(); }, [] { bell_mutex.unlock(); },
                         [] {
                           detail::process_word.fetch_add(2, std::memory_order_relaxed);
                           bell_mutex.unlock();
                         });
}

}  // namespace

std::uint64_t process_bell() {
  (void)::pthread_once(&forks_once, watch_forks);
  const std::lock_guard<std::mutex> lock(bell_mutex);
  if (bell && bell_generation == fork_generation()) return bell.id();
  os::sweep_dead_bells(kBellsSwept);
  auto made = os::Doorbell::create(os::BellTrust{::geteuid(), 0, false});
  if (!made.ok()) return 0;
  bell = made.take();
  bell_generation = fork_generation();
  return bell.id();
}

}  // namespace millrace::capi

const char* millrace_version(void) {
  return MILLRACE_VERSION;
}
void millrace_interrupt(void) {
  millrace::capi::detail::interrupts.fetch_add(1, std::memory_order_relaxed);
}
void millrace_careful(int32_t on) {
  auto& word = millrace::capi::detail::process_word;
  if (on != 0) {
    word.fetch_or(1, std::memory_order_relaxed);
  } else {
    word.fetch_and(~1U, std::memory_order_relaxed);
  }
}
uint64_t millrace_now(void) {
  return millrace::os::monotonic_ns();
}

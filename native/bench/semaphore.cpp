// A named semaphore as a C program uses it, without millrace: what the semaphore rows of the suite are
// compared with.
//
//   millrace_bench_semaphore pair COUNT     sem_post and sem_trywait, uncontended
//   millrace_bench_semaphore rtt COUNT      round trips of two processes over two semaphores, asleep
//
// One JSON object on stdout; times in nanoseconds.
#include <fcntl.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "measuring.hpp"
#include "millrace/os/clock.hpp"

namespace {

using millrace::os::monotonic_ns;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}

sem_t* create(const std::string& name) {
  sem_t* made = ::sem_open(name.c_str(), O_CREAT | O_EXCL, 0600, 0U);
  if (made == SEM_FAILED) fail("sem_open");
  ::sem_unlink(name.c_str());  // the child inherits it
  return made;
}
void wait(sem_t* semaphore) {
  while (::sem_wait(semaphore) != 0) {
    if (errno != EINTR) fail("sem_wait");
  }
}

void pair(sem_t* semaphore, std::uint64_t count) {
  const std::uint64_t start = monotonic_ns();
  for (std::uint64_t i = 0; i < count; ++i) {
    ::sem_post(semaphore);
    if (::sem_trywait(semaphore) != 0) fail("sem_trywait");
  }
  const std::uint64_t elapsed = monotonic_ns() - start;
  (void)std::printf("{\"perMessage\":%.2f}\n",
                    static_cast<double>(elapsed) / static_cast<double>(count));
}

void round_trips(sem_t* there, sem_t* back, std::uint64_t count) {
  const std::uint64_t warm_up = count / 10 + 1;
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    for (std::uint64_t i = 0; i < count + warm_up; ++i) {
      wait(there);
      ::sem_post(back);
    }
    std::_Exit(0);
  }
  std::vector<std::uint64_t> times;
  times.reserve(count);
  for (std::uint64_t i = 0; i < count + warm_up; ++i) {
    const std::uint64_t start = monotonic_ns();
    ::sem_post(there);
    wait(back);
    if (i >= warm_up) times.push_back(monotonic_ns() - start);
  }
  ::waitpid(child, nullptr, 0);
  millrace::bench::print_times(times, 1, 0, "");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 3 ? argv[1] : "";
  const std::uint64_t count = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if ((what != "pair" && what != "rtt") || count == 0) {
    (void)std::fputs("usage: millrace_bench_semaphore pair|rtt COUNT\n", stderr);
    return 1;
  }
  const std::string name = "/bench.semaphore." + std::to_string(::getpid());
  sem_t* first = create(name);
  if (what == "pair") {
    pair(first, count);
  } else {
    round_trips(first, create(name + ".back"), count);
  }
  return 0;
}

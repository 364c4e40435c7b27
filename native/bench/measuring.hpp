// What the benchmark programs have in common: two processes, a warm-up, a stretch that counts, and one JSON object on
// stdout with times in nanoseconds: p50, p99, p999, p9999, how many samples, the mean of a stream, and the processor time
// per unit of this process and of the other.
//
// If FOLLOWER_CORE is set, the second process runs on that core.
#pragma once

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#endif

#include "millrace/os/clock.hpp"

namespace millrace::bench {

[[noreturn]] inline void fail(const std::string& what) {
  (void)std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
}

inline void move_to_follower_core() {
#if defined(__linux__)
  const char* core = std::getenv("FOLLOWER_CORE");  // NOLINT(concurrency-mt-unsafe): one thread
  if (core == nullptr) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(std::strtoul(core, nullptr, 10), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
#endif
}

// Starts the second process, which runs `follow` and ends. Returns its id.
template <typename Follow>
pid_t start_follower(Follow&& follow) {
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child > 0) return child;
#if defined(__linux__)
  // The suite ends a first process that takes too long; the second must not spin, or wait, for ever.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  move_to_follower_core();
  follow();
  std::_Exit(0);
}
inline void end_follower(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) fail("the second process failed");
}

// Warm-up and stretch, from the last two arguments.
struct Times {
  std::uint64_t warm_up_ns;
  std::uint64_t stretch_ns;
};
inline Times times_of(int argc, char** argv) {
  const auto milliseconds = [&](int index) {
    return std::strtoull(argv[index], nullptr, 10) * 1'000'000U;
  };
  return {milliseconds(argc - 2), milliseconds(argc - 1)};
}

// Processor time of a process so far, all threads; 0 where nobody can tell.
inline std::uint64_t cpu_ns(pid_t process) {
  clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
#if defined(__linux__)
  if (process != 0 && ::clock_getcpuclockid(process, &clock) != 0) return 0;
#else
  if (process != 0) return 0;
#endif
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) return 0;
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// Counts from its construction on.
class CpuTime {
 public:
  explicit CpuTime(pid_t follower) : follower_(follower), own_(cpu_ns(0)) {
    if (follower_ != 0) others_ = cpu_ns(follower_);
  }
  [[nodiscard]] std::string per(std::uint64_t units) const {
    const auto share = [&](std::uint64_t ns) {
      return std::to_string(static_cast<double>(ns) / static_cast<double>(units));
    };
    const std::uint64_t others = follower_ == 0 ? 0 : cpu_ns(follower_) - others_;
    return "[" + share(cpu_ns(0) - own_) + "," + share(others) + "]";
  }

 private:
  pid_t follower_;
  std::uint64_t own_;
  std::uint64_t others_ = 0;
};

// The percentiles of times that hold `per` of what is measured each; the mean, too, if it is not 0.
inline void print_times(std::vector<std::uint64_t>& times, std::uint64_t per, double mean,
                        const std::string& cpu) {
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    const auto index = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1));
    return static_cast<double>(times[index]) / static_cast<double>(per);
  };
  (void)std::printf("{\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"p9999\":%.3f,\"samples\":%zu",
                    at(0.5), at(0.99), at(0.999), at(0.9999), times.size());
  if (mean > 0) (void)std::printf(",\"mean\":%.3f", mean);
  if (!cpu.empty()) (void)std::printf(",\"cpu\":%s", cpu.c_str());
  (void)std::printf("}\n");
}

// Times `some`, which does `per` of what is measured, again and again, and prints the percentiles of one.
template <typename Some>
void measure_turns(const Times& times, pid_t follower, std::uint64_t per, Some&& some) {
  const auto warm = os::Deadline::after(times.warm_up_ns);
  do {
    some();
  } while (!warm.passed());
  std::vector<std::uint64_t> measured;
  measured.reserve(1 << 20);
  const CpuTime cpu(follower);
  const std::uint64_t end = os::monotonic_ns() + times.stretch_ns;
  std::uint64_t before = os::monotonic_ns();
  while (before < end || measured.size() < 5) {
    some();
    const std::uint64_t now = os::monotonic_ns();
    measured.push_back(now - before);
    before = now;
  }
  print_times(measured, per, 0, cpu.per(measured.size() * per));
}

// Of spinning round trips so many are timed together: one is hardly longer than two looks at the clock.
constexpr std::uint64_t kTripsPerSample = 100;

}  // namespace millrace::bench

// The storm: processes that create, open, use, leave, die over and sweep the same few names all at once.
//
//   storm [--seconds N] [--processes N] [--seed N]
//
// A bystander is a process that holds an object in proper use. It is harmed if the name is taken away from
// under it, if what it reads was not written by a user of that name, or if it is refused for no good reason.
// Every process is a bystander in turn, and looks for itself. Ends with 1 and the reason if one was
// harmed, if one hung, or if anything is left in the end that sweeping does not remove.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "../testing/random.hpp"
#include "millrace/upkeep.hpp"
#include "process.hpp"

using namespace storm;

namespace {

class Crowd {
 public:
  explicit Crowd(const Storm& storm) : storm_(storm), random_(storm.seed) {}

  // True: nobody was harmed.
  bool rage() {
    const os::Deadline end = os::Deadline::after(storm_.seconds * 1000 * kMillisecond);
    while (!end.passed() && well_) {
      while (pids_.size() < storm_.processes)
        start();
      // At any instruction.
      ::kill(pids_[random_.below(pids_.size())], SIGKILL);
      os::sleep_ns(random_.below(10 * kMillisecond));
      reap(WNOHANG);
    }
    // Half of them end in good order, the rest as if the machine had no more patience.
    storm_.arena->over.store(true);
    for (std::size_t i = 0; i < pids_.size(); i += 2)
      ::kill(pids_[i], SIGKILL);
    while (!pids_.empty())
      reap(0);
    return well_;
  }
  [[nodiscard]] std::uint64_t killed() const noexcept { return killed_; }

 private:
  void start() {
    const std::uint64_t seed = storm_.seed * 1'000'003 + ++started_;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      Process process(storm_, seed);
      const int code = process.run();
      ::_exit(code);
    }
    if (pid > 0) pids_.push_back(pid);
  }
  void reap(int flags) {
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, flags)) > 0) {
      std::erase(pids_, pid);
      if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        ++killed_;
      } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        well_ = false;
        if (WIFSIGNALED(status)) {
          (void)std::fprintf(stderr, "storm: a process was ended by signal %d%s\n",
                             WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
        }
      }
      if (flags == 0) return;
    }
  }

  const Storm& storm_;
  Random random_;
  std::vector<pid_t> pids_;
  std::uint64_t started_ = 0;
  std::uint64_t killed_ = 0;
  bool well_ = true;
};

// What sweeping does not remove although everybody is gone.
std::vector<std::string> left_after_sweeping(const Storm& storm) {
  SweepSpec all;
  all.prefix = storm.tag;
  all.kept = true;
  all.semaphores = true;
  std::vector<std::string> left;
  // What was begun within the last moment is spared at first.
  const os::Deadline patience = os::Deadline::after(10'000 * kMillisecond);
  do {
    left.clear();
    (void)sweep_objects(all);
    os::Directory directory(os::object_path(""));
    while (const char* file = directory.next()) {
      if (std::string_view(file).find(storm.tag) != std::string_view::npos) left.emplace_back(file);
    }
    const std::size_t bells = std::min(storm.arena->bell_count.load(), kMostBells);
    for (std::size_t i = 0; i < bells; ++i) {
      for (const bool finished : {true, false}) {
        const os::BellName bell{storm.arena->bells[i], finished};
        (void)os::sweep_bell(bell);
        if (os::look_at_bell(bell) != os::BellState::gone)
          left.push_back(os::doorbell_path(bell.id));
      }
    }
    if (!left.empty()) os::sleep_ns(100 * kMillisecond);
  } while (!left.empty() && !patience.passed());
  return left;
}

// glibc makes a semaphore under another name, sem.XXXXXX, first. Whoever is killed over that leaves it; only
// sweeping semaphores without a prefix finds it. Here: those that came while the storm was on.
std::vector<std::string> unnamed_semaphores_left(std::int64_t since_ms) {
  constexpr std::size_t length = std::string_view("sem.XXXXXX").size();
  std::vector<std::string> left;
  for (const std::string& file : os::semaphore_files()) {
    struct stat status {};
    if (file.size() != length || file.find('-') != std::string::npos) continue;
    if (::lstat(os::object_path(file).c_str(), &status) != 0) continue;
    if (os::modified_ms(status) < since_ms) continue;
    const auto swept = detail::inspect_semaphore(file, true);
    if (swept && !swept->removed) left.push_back(file);
  }
  return left;
}

bool parse(int count, char** arguments, Storm& storm) {
  for (int i = 1; i < count; i += 2) {
    const std::string_view option = arguments[i];
    if (i + 1 == count) return false;
    const std::uint64_t value = std::strtoull(arguments[i + 1], nullptr, 10);
    if (value == 0) return false;
    if (option == "--seconds") {
      storm.seconds = value;
    } else if (option == "--processes") {
      storm.processes = value;
    } else if (option == "--seed") {
      storm.seed = value;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  Storm storm;
  storm.seed = os::random_u64() >> 32U;
  if (!parse(count, arguments, storm)) {
    (void)std::fprintf(stderr, "usage: storm [--seconds N] [--processes N] [--seed N]\n");
    return 2;
  }
  storm.tag = "storm-" + std::to_string(::getpid()) + "-";
  void* at = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    std::perror("storm: mmap");
    return 1;
  }
  storm.arena = new (at) Shared;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  Crowd crowd(storm);
  const bool unharmed = crowd.rage();
  std::vector<std::string> left = left_after_sweeping(storm);
  std::ranges::move(unnamed_semaphores_left(std::int64_t{now.tv_sec} * 1000),
                    std::back_inserter(left));
  for (const std::string& file : left)
    (void)std::fprintf(stderr, "storm: left behind: %s\n", file.c_str());
  const Shared& arena = *storm.arena;
  std::printf(
      "seed %llu: %llu visits (%llu refused for good reasons), %llu checks, %llu sweeps removed "
      "%llu "
      "objects, %llu processes killed: %s\n",
      static_cast<unsigned long long>(storm.seed),
      static_cast<unsigned long long>(arena.visits.load()),
      static_cast<unsigned long long>(arena.refusals.load()),
      static_cast<unsigned long long>(arena.checks.load()),
      static_cast<unsigned long long>(arena.sweeps.load()),
      static_cast<unsigned long long>(arena.removed.load()),
      static_cast<unsigned long long>(crowd.killed()),
      unharmed && left.empty() ? "nobody harmed, nothing left" : "FAILED");
  return unharmed && left.empty() ? 0 : 1;
}

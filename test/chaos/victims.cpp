// Makes victims for `npm run chaos`: a process that forks others, lets them work, and kills them at an
// instant of its own choice. A fork costs a tenth of a millisecond, so that thousands can die.
//
//   victims LEDGER SEED        then, a line at a time, on standard input:
//     kill KIND SIDE NAME US     one that is killed after so many microseconds
//     point KIND SIDE NAME US    one that dies at a crash point, or after 20 ms if it does not come there
//     stop KIND SIDE NAME US     one that is stopped then; `go` lets it go on, and it is killed after that time
//   and on standard output, a line for each:
//     stopped PID
//     dead PID NS HOW            monotonic nanoseconds; a crash point, `killed`, or `exit CODE` (`exit by signal SIGNAL`)
//
// What a victim does and has done is in the ledger, shared memory of that name; see ledger.ts.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <millrace/crash_point.hpp>
#include <millrace/millrace.hpp>

#include "channel_victims.hpp"
#include "pipeline_victims.hpp"
#include "rpc_victims.hpp"
#include "sync_victims.hpp"
#include "topics_victims.hpp"
#include "victim.hpp"
#include "work_victims.hpp"

namespace {

using namespace victims;

// How long a victim may take to come to its crash point.
constexpr std::uint64_t kPointPatience = 20'000'000;

// As leaseMsOf() in work-party.ts.
void use_work_queue(Part& part, std::uint64_t lease_ns) {
  auto queue = opened([&] { return WorkQueue::open(work_of(part), part.patience()); });
  // Each side has numbers of its own: those of survivors end in 3.
  const std::uint64_t side = part.side == "producer" ? 0 : part.side == "worker" ? 1 : 2;
  const std::uint64_t who = (ledger->base.fetch_add(1) + 1) * 4 + side;
  ledger->holding.store(who);
  if (side == 0) return push_jobs(part, *ledger, *queue, who);
  Taker<Part, Ledger>(part, *ledger, *queue, who, lease_ns).work(side == 1 ? 1 : 4);
}

void use_pipeline(Part& part) {
  const WorkSpec spec = staged(work_of(part));
  auto queue = opened([&] { return WorkQueue::open(spec, part.patience()); });
  use_stage(part, *ledger, *queue);
}

void work(const std::string& kind, Part& part) {
  using layout::Kind;
  using layout::Policy;
  if (kind == "queue") return part.side == "producer" ? produce(part) : consume(part);
  if (kind == "both") return be_both(part);
  if (kind == "frames") {
    if (part.side == "writer") return write_frames(part);
    return read_frames(part, part.side == "reader-wait"   ? Policy::wait
                             : part.side == "reader-drop" ? Policy::drop_newest
                                                          : Policy::overwrite_oldest);
  }
  if (kind == "cell") return part.side == "writer" ? write_cell(part) : read_cell(part);
  if (kind == "mutex") return lock_and_unlock(part, Kind::mutex);
  if (kind == "rwlock") return lock_and_unlock(part, Kind::rwlock);
  if (kind == "event") return set_and_wait(part);
  if (kind == "barrier") return arrive(part);
  if (kind == "counter") return count(part);
  if (kind == "semaphore") return take_permits(part);
  if (kind == "memory") return part.side == "owner" ? make_memory(part) : open_memory(part);
  if (kind == "handover") return offer(part);
  if (kind.rfind("work", 0) == 0)
    return use_work_queue(part, kind == "work-lease" ? 50 * kMillisecond : 0);
  if (kind == "pipeline") return use_pipeline(part);
  if (kind == "topics") {
    if (part.side == "publisher") return publish_numbers(part);
    return follow_numbers(part, part.side == "subscriber-wait" ? layout::TopicPolicy::wait
                                                               : layout::TopicPolicy::overwrite);
  }
  if (kind == "rpc") return part.side == "server" ? answer_calls(part) : make_calls(part);
  ::_exit(2);
}

template <typename T>
T* shared(int fd) {
  const int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  void* at = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) std::exit(2);
  return static_cast<T*>(at);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ledger = shared<Ledger>(::shm_open((std::string("/") + argv[1]).c_str(), O_RDWR, 0));
  auto* log = shared<crash::Log>(-1);
  Random random(std::strtoull(argv[2], nullptr, 10));
  const pid_t me = ::getpid();
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string how;
    std::string kind;
    Part part;
    std::uint64_t microseconds = 0;
    words >> how >> kind >> part.side >> part.name >> microseconds;
    if (!words) return 2;
    // One of the points that were passed by now, so that most of these deaths happen.
    std::vector<std::string_view> passed;
    for (std::size_t i = 0; i < crash::points().size() && i < crash::kMaxPoints; ++i) {
      if (log->passed[i].exchange(0) != 0) passed.push_back(crash::points()[i]);
    }
    const bool at_point = how == "point" && !passed.empty();
    const std::string_view point = at_point ? passed[random.below(passed.size())] : "";
    const std::uint64_t nth = 1 + random.below(random.below(2) == 0 ? 1 : 20);
    const bool heard = random.below(4) != 0;
    part.random = Random(random.below(~std::uint64_t{0}));
    log->died_at.store(0);
    const pid_t victim = ::fork();
    if (victim == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != me) ::_exit(0);
      crash::log_to(log);
      if (at_point) (void)crash::arm(point, nth);
      os::Doorbell bell;
      if (heard) {
        os::sweep_dead_bells(64);  // as each new environment of Node does
        if (auto made = os::Doorbell::create({::geteuid(), ::getegid(), false}); made.ok()) {
          bell = made.take();
          part.bell = bell.id();
        }
      }
      for (;;)
        work(kind, part);
    }
    const std::uint64_t lives = at_point ? kPointPatience : microseconds * 1000;
    const os::Deadline end = os::Deadline::after(lives);
    int status = 0;
    bool ended = false;
    while (!ended && !end.passed()) {
      os::sleep_ns(std::min<std::uint64_t>(end.left_ns(), at_point ? 100'000 : 50 * kMillisecond));
      ended = ::waitpid(victim, &status, WNOHANG) == victim;
    }
    if (how == "stop") {
      ::kill(victim, SIGSTOP);
      int ignored = 0;
      (void)::waitpid(victim, &ignored, WUNTRACED);
      std::cout << "stopped " << victim << std::endl;
      if (!std::getline(std::cin, line)) return 2;
      ::kill(victim, SIGCONT);
      os::sleep_ns(microseconds * 1000);
    }
    std::uint64_t died = os::monotonic_ns();
    if (!ended) {
      ::kill(victim, SIGKILL);
      (void)::waitpid(victim, &status, 0);
    }
    const std::uint64_t of_itself = log->died_at.load();
    if (of_itself != 0) died = of_itself;
    std::cout << "dead " << victim << ' ' << died << ' ';
    if (WIFEXITED(status)) {
      std::cout << "exit " << WEXITSTATUS(status) << std::endl;
    } else if (WTERMSIG(status) != SIGKILL) {
      std::cout << "exit by signal " << WTERMSIG(status) << std::endl;
    } else {
      std::cout << (of_itself != 0 ? point : "killed") << std::endl;
    }
  }
  return 0;
}

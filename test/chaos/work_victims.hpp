// The victims of `npm run chaos` that work on a work queue. What they do is in a journal outside the queue, a line for each
// event; work-journal.ts says what the lines mean, and judges them.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <millrace/millrace.hpp>

#include "content.hpp"

namespace victims {

using namespace millrace;

// One write(2) a line, at the end of the file, so that lines of many processes do not mix. The same as in work-journal.ts.
class Journal {
 public:
  Journal(const std::string& name, std::uint64_t who) : who_(who) {
    const char* directory = std::getenv("TMPDIR");
    const std::string path =
        (name.front() == '/' ? std::string()
                             : std::string(directory != nullptr ? directory : "/tmp") + "/") +
        name + ".journal";
    fd_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd_ < 0) ::_exit(5);
  }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal() { ::close(fd_); }

  void tell(char event, std::uint64_t number, const std::string& more = {},
            std::uint64_t at = os::monotonic_ns()) const {
    const std::string line = std::string("\n") + event + ' ' + std::to_string(at) + ' ' +
                             std::to_string(who_) + ' ' + std::to_string(number) +
                             (more.empty() ? "" : " " + more) + " .";
    if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(5);
  }

 private:
  int fd_;
  std::uint64_t who_;
};

// A job is a number: who pushed it, and its how many-th. All else follows from it, as in work-content.ts.
constexpr std::uint64_t kEach = 1U << 16U;
struct WorkJob {
  explicit WorkJob(std::uint64_t which, std::uint8_t levels = 3)
      : number(which), nth(which % kEach) {
    length = static_cast<std::uint32_t>(nth % 16 == 3 ? 128 + nth % 900 : 1 + nth % 24) * 8;
    options.level = static_cast<std::uint8_t>(nth % levels);
    if (nth % 7 == 2) options.delay_ns = nth % 10 * 1'000'000;
    if (nth % 5 == 1) group = "g" + std::to_string(nth % 4);
    if (nth % 5 == 3) options.ttl_ns = (1 + nth % 16) * 1'000'000;
    if (nth % 3 == 0) id = "job-" + std::to_string(number);
    options.id = id;
    options.group = group;
  }
  WorkJob(const WorkJob&) = delete;
  WorkJob& operator=(const WorkJob&) = delete;

  [[nodiscard]] std::string facts() const {
    return std::to_string(options.level) + ' ' + (group.empty() ? "-" : group) + ' ' +
           std::to_string(options.delay_ns + options.ttl_ns);
  }

  std::uint64_t number;
  std::uint64_t nth;
  std::uint32_t length = 0;
  std::string group;
  std::string id;
  PushOptions options;
};

template <typename Part>
WorkSpec work_of(const Part& part) {
  WorkSpec spec;
  spec.place = part.name.front() == '/' ? Place::file(part.name) : Place(part.name);
  spec.doorbell = part.bell;
  return spec;
}

// What there is to push: the priorities of the queue, and by how much the number in a payload is a multiple of the job's.
struct Pushing {
  std::uint8_t levels = 3;
  std::uint64_t scale = 1;
};

// What the one before it was in the middle of pushing when it died is pushed again, if it has an id.
template <typename Part, typename Ledger>
void push_jobs(Part& part, Ledger& ledger, WorkQueue& queue, std::uint64_t who,
               Pushing pushing = {}) {
  const Journal journal(part.name, who);
  const std::uint64_t unsure = ledger.trying.load();
  bool again = unsure != ledger.done.load() && !WorkJob(unsure).id.empty();
  for (std::uint64_t nth = 0; nth < 2000;) {
    // The survivors want to see everything at rest.
    while (ledger.left.load() != 0) {
      ledger.right.store(1);
      os::sleep_ns(1'000'000);
    }
    ledger.right.store(0);
    const WorkJob job(again ? unsure : who * kEach + nth, pushing.levels);
    if (!again) ++nth;
    again = false;
    std::vector<std::byte> payload(job.length);
    fill(payload.data(), job.number * pushing.scale, job.length);
    ledger.trying.store(job.number);
    journal.tell('p', job.number, job.facts());
    Pushed done = Pushed::full;
    do {
      (void)queue.wait_for_room(0, 20'000'000, [&] {
        done = queue.try_push(payload, job.options);
        return done != Pushed::full && done != Pushed::full_bytes;
      });
    } while (done == Pushed::full || done == Pushed::full_bytes || done == Pushed::busy);
    if (done == Pushed::too_large) ::_exit(6);
    if (queue.confirms_on_disk() && !queue.flush().ok()) ::_exit(9);
    journal.tell('c', job.number);
    ledger.done.store(job.number);
    part.pause();
  }
}

// It is not done: given back, or given up.
template <typename Part>
void settle_otherwise(Part& part, WorkQueue& queue, Lease& lease, std::uint64_t number,
                      const Journal& journal) {
  const std::uint64_t dice = part.random.below(20);
  const std::uint64_t delay = part.random.below(2) * 1'000'000;
  bool done = false;
  if (dice < 11) {
    journal.tell('b', number, "release");
    done = queue.release(lease, delay);
  } else if (dice < 19) {
    journal.tell('b', number, "retry");
    done = queue.retry(lease, delay, "it failed");
  } else {
    journal.tell('b', number, "reject");
    done = queue.reject(lease, "it cannot be done");
  }
  journal.tell(done ? 'd' : 'l', number);
}

template <typename Part>
void settle_job(Part& part, WorkQueue& queue, Lease& lease, std::uint64_t number,
                const Journal& journal) {
  if (part.random.below(100) >= 80) {
    settle_otherwise(part, queue, lease, number, journal);
    return;
  }
  journal.tell('b', number, "complete");
  journal.tell(queue.complete(lease) ? 'd' : 'l', number);
}

// Takes up to `ahead` jobs at a time; with 1, each is begun when it is taken. `lease_ns`: 0, or some are slower than their lease,
// and some make it longer.
template <typename Part, typename Ledger>
class Taker {
 public:
  Taker(Part& part, Ledger& ledger, WorkQueue& queue, std::uint64_t who, std::uint64_t lease_ns)
      : part_(part),
        ledger_(ledger),
        queue_(queue),
        journal_(part.name, who),
        lease_ns_(lease_ns) {}

  void work(std::size_t ahead) {
    for (int i = 0; i < 2000;) {
      std::vector<Held> held;
      while (held.size() < ahead && take(held, ahead == 1)) {
      }
      for (Held& each : held) {
        part_.pause();
        if ((ahead > 1 && !queue_.start(each.lease)) || !keep(each)) {
          journal_.tell('l', each.number);
          continue;
        }
        settle_job(part_, queue_, each.lease, each.number, journal_);
        ledger_.turns.fetch_add(1);
        ++i;
      }
    }
  }

 private:
  struct Held {
    Lease lease;
    std::uint64_t number;
  };

  // False: there is none now.
  bool take(std::vector<Held>& held, bool start) {
    const std::uint64_t since = os::monotonic_ns();
    Held next{
        held.empty() ? queue_.wait_for_job(0, start, 0, 20'000'000) : queue_.try_take(0, start), 0};
    if (!next.lease) return false;
    JobFacts facts;
    const bool found = queue_.facts(next.lease.slot, facts);
    if (found) next.number = number_in(queue_.data()->data() + facts.at, facts.length);
    const std::uint64_t at = os::monotonic_ns();
    if (lease_ns_ != 0 && at - since > lease_ns_ / 2) {
      // It may have been taken away by now, so nothing is said of it.
      (void)queue_.release(next.lease);
      return true;
    }
    if (!found) ::_exit(7);
    if (next.number == 0 || facts.length != WorkJob(next.number).length) ::_exit(8);
    journal_.tell('s', next.number,
                  std::to_string(facts.attempt) + ' ' + std::to_string(facts.acquired) +
                      (lease_ns_ == 0 ? "" : " 0 " + std::to_string(since)),
                  at);
    held.push_back(next);
    return true;
  }
  // Has it in hand for longer than the lease, now and then. False: it was lost.
  bool keep(const Held& held) {
    if (lease_ns_ == 0) return true;
    const std::uint64_t dice = part_.random.below(40);
    if (dice == 0) os::sleep_ns(2 * lease_ns_);
    for (int left = dice == 1 ? 4 : 0; left > 0; --left) {
      os::sleep_ns(lease_ns_ / 2);
      const std::uint64_t since = os::monotonic_ns();
      if (!queue_.extend(held.lease, lease_ns_)) return false;
      journal_.tell('e', held.number, std::to_string(since));
    }
    return true;
  }

  Part& part_;
  Ledger& ledger_;
  WorkQueue& queue_;
  Journal journal_;
  std::uint64_t lease_ns_;
};

}  // namespace victims

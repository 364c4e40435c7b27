// The victims of `npm run chaos` that make calls or answer them. How often each call was executed is in shared memory outside; rpc-party.ts
// says how, and what calls are.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <millrace/millrace.hpp>

#include "content.hpp"
#include "victim.hpp"

namespace victims {

// As in rpc-party.ts: words of it, and what each call is.
constexpr std::uint64_t kRuns = 1U << 20U;
constexpr std::uint32_t kOnce = 1;
inline bool is_once(std::uint64_t number) {
  return number % 2 == kOnce;
}

inline std::atomic<std::uint32_t>* runs_of(const std::string& place) {
  const int fd = ::shm_open(("/" + place + "-runs").c_str(), O_RDWR | O_CLOEXEC, 0);
  void* at =
      fd < 0 ? MAP_FAILED : ::mmap(nullptr, kRuns * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) ::_exit(5);
  ::close(fd);
  return static_cast<std::atomic<std::uint32_t>*>(at);
}

inline std::unique_ptr<CallQueue> calls_of(const Part& part) {
  CallSpec spec;
  spec.place = Place(part.name);
  spec.doorbell = part.bell;
  return opened([&] { return CallQueue::open(spec, part.patience()); });
}

inline std::vector<std::byte> content_of(std::uint64_t number) {
  std::vector<std::byte> content(length_of(number));
  fill(content.data(), number, length_of(number));
  return content;
}

inline void answer_calls(Part& part) {
  const auto calls = calls_of(part);
  auto* const runs = runs_of(part.name);
  calls->serve(true);
  for (int i = 0; i < 2000; ++i) {
    const bool start = part.random.below(2) == 0;
    Lease lease = calls->wait_for_call(start, 0, 20 * kMillisecond);
    if (!lease) continue;
    CallFacts facts;
    EXPECT(calls->facts(lease, facts));
    const std::uint64_t number = number_in(calls->data()->data() + facts.at, facts.length);
    EXPECT(number != 0);
    EXPECT(facts.method == (is_once(number) ? kOnce : 0U));
    if (!start) {
      part.pause();
      if (part.random.below(8) == 0) {
        (void)calls->give_back(lease);
        continue;
      }
      if (!calls->start(lease)) continue;
    }
    runs[number % kRuns].fetch_add(1);
    part.pause();
    const std::vector<std::byte> content = content_of(number + 1);
    Answered done = Answered::no_room;
    while ((done = calls->answer(lease, 0, content)) == Answered::no_room)
      os::sleep_ns(kMillisecond / 10);
    EXPECT(done == Answered::yes || done == Answered::unwanted);
    ledger->turns.fetch_add(1);
  }
}

// One after the other, or some at a time; some are withdrawn.
inline void make_calls(Part& part) {
  const auto calls = calls_of(part);
  const std::uint64_t who = ledger->base.fetch_add(1) + 1;
  std::uint64_t number = who * kRuns + kRuns / 2;
  for (int i = 0; i < 500; ++i) {
    std::vector<Ticket> made;
    const std::uint64_t count = 1 + part.random.below(4);
    while (made.size() < count) {
      CallOptions options;
      ++number;
      options.method = is_once(number) ? kOnce : 0;
      options.idempotent = !is_once(number);
      Ticket ticket;
      const Asked asked = calls->try_call(content_of(number), options, ticket);
      EXPECT(asked != Asked::too_large);
      if (asked != Asked::yes) break;
      made.push_back(ticket);
    }
    std::size_t ended = 0;
    if (!made.empty() && part.random.below(4) == 0) {
      part.pause();
      if (calls->withdraw(made.back()) != Withdrawn::no_longer) ++ended;
    }
    while (ended < made.size()) {
      Answer answer;
      if (calls->wait_for_answer(0, 20 * kMillisecond, answer) == Outcome::none) continue;
      if (answer.outcome == Outcome::answered)
        EXPECT(number_in(calls->data()->data() + answer.at, answer.length) != 0);
      calls->release(answer);
      ++ended;
      ledger->turns.fetch_add(1);
    }
    part.pause();
  }
}

}  // namespace victims

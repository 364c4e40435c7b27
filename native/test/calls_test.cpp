// Calls between handles of one process: what is asked and answered, how many there may be, who serves.
#if defined(__linux__)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <vector>

#include "calls_pair.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

TEST_CASE_FIXTURE(Pair, "calls: asked, answered, released") {
  for (const std::size_t length : {8, 64, 128, 129, 256, 1000, 100'000}) {
    CAPTURE(length);
    CallOptions options;
    options.method = 7;
    options.flags = 0xA55A;
    const Ticket ticket = called(length, options, length);
    CHECK(caller->in_flight() == 1);
    Lease lease = taken();
    CallFacts facts;
    REQUIRE(server->facts(lease, facts));
    CHECK(facts.length == length);
    CHECK(is_content(*server, facts.at, facts.length));
    CHECK(facts.method == 7);
    CHECK(facts.flags == 0xA55A);
    CHECK(!facts.idempotent);
    CHECK(facts.attempt == 1);
    CHECK(facts.ticket == ticket);
    CHECK(facts.caller == caller->parties().seat());
    CHECK(facts.caller_pid == static_cast<std::uint32_t>(::getpid()));
    CHECK(facts.caller_epoch != 0);
    const std::vector<std::byte> reply = content(length + 1, length);
    REQUIRE(server->answer(lease, 5, reply) == Answered::yes);
    CHECK(!lease);
    Answer answer = outcome(Outcome::answered);
    CHECK(answer.ticket == ticket);
    CHECK(answer.status == 5);
    CHECK(answer.executed == Executed::yes);
    CHECK(answer.length == length);
    CHECK(is_content(*caller, answer.at, answer.length));
    CHECK(number_of(*caller, answer.at, answer.length) == length + 1);
    CHECK(caller->in_flight() == 0);
    caller->release(answer);
    CHECK(is_empty(*caller));
    CHECK(caller->poll(answer) == Outcome::none);
  }
}

TEST_CASE_FIXTURE(Pair, "calls: an answer may be empty, and a request, too") {
  Ticket ticket;
  REQUIRE(caller->try_call({}, {}, ticket) == Asked::yes);
  Lease lease = taken();
  REQUIRE(server->answer(lease, 0, {}) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  CHECK(answer.length == 0);
  caller->release(answer);
}

TEST_CASE_FIXTURE(Pair,
                  "calls: each caller gets its own answers, in whatever order they are given") {
  const auto other = open();
  std::vector<Ticket> mine;
  std::vector<Lease> leases;
  for (std::uint64_t i = 0; i < 200; ++i) {
    Ticket ticket;
    REQUIRE(ask(i % 2 == 0 ? *caller : *other, i, ticket) == Asked::yes);
    mine.push_back(ticket);
    leases.push_back(taken());
    CHECK(number_of(*server, leases.back()) == i);
  }
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::uint64_t which = i * 77 % 200;
    const std::vector<std::byte> reply = content(which, 8);
    REQUIRE(server->answer(leases[which], 0, reply) == Answered::yes);
  }
  for (const bool first : {true, false}) {
    CallQueue& queue = first ? *caller : *other;
    std::vector<bool> seen(200);
    Answer answer;
    while (queue.poll(answer) == Outcome::answered) {
      const std::uint64_t number = number_of(queue, answer.at, answer.length);
      CHECK(number % 2 == (first ? 0 : 1));
      CHECK(mine[number] == answer.ticket);
      CHECK(!seen[number]);
      seen[number] = true;
      queue.release(answer);
    }
    CHECK(std::count(seen.begin(), seen.end(), true) == 100);
  }
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "calls: an outcome in hand is given once, whoever is buried meanwhile") {
  called(1);
  called(2);
  Lease one = taken();
  Lease two = taken();
  REQUIRE(server->answer(one, 0, {}) == Answered::yes);
  Answer first = outcome(Outcome::answered);
  {
    Child child([&] {
      auto mine = CallQueue::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      ::kill(::getpid(), SIGKILL);
      return 0;
    });
    CHECK(child.wait() == -SIGKILL);
  }
  CHECK(server->look() == 1);  // sets all bits again
  CHECK(caller->store().any_told());
  Answer none;
  CHECK(caller->poll(none) == Outcome::none);
  caller->release(first);
  REQUIRE(server->answer(two, 0, {}) == Answered::yes);
  Answer second = outcome(Outcome::answered);
  caller->release(second);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Calls,
                  "calls: there is room for as many as was said, and for answers beside requests") {
  CallSpec small = spec();
  small.calls = 3;
  small.bytes = 8 * 1024;
  const auto caller = must(CallQueue::open(small, soon()));
  const auto server = open();
  CHECK(server->parties().shape().jobs == 3);
  server->serve(true);
  CHECK(caller->largest_request() == 4096);
  CHECK(caller->largest_answer() == 4096);
  Ticket ticket;
  CHECK(ask(*caller, 1, ticket, {}, 4097) == Asked::too_large);
  REQUIRE(ask(*caller, 1, ticket, {}, 4096) == Asked::yes);
  CHECK(ask(*caller, 2, ticket, {}, 129) == Asked::busy);
  CHECK(caller->in_flight() == 1);
  REQUIRE(ask(*caller, 2, ticket, {}, 128) == Asked::yes);
  REQUIRE(ask(*caller, 3, ticket) == Asked::yes);
  CHECK(ask(*caller, 4, ticket) == Asked::busy);
  // Requests have all the room that they may, and answers have theirs.
  std::vector<Lease> leases;
  for (int i = 0; i < 3; ++i) {
    leases.push_back(server->try_take());
    REQUIRE(leases.back());
  }
  CHECK(server->answer(leases[0], 0, content(1, 4097)) == Answered::too_large);
  REQUIRE(server->answer(leases[0], 0, content(1, 4096)) == Answered::yes);
  CHECK(server->answer(leases[1], 0, content(2, 129)) == Answered::no_room);
  CHECK(server->holds(leases[1]));
  Answer answer;
  REQUIRE(caller->poll(answer) == Outcome::answered);
  CHECK(is_content(*caller, answer.at, answer.length));
  caller->release(answer);
  for (int i = 1; i < 3; ++i) {
    REQUIRE(server->answer(leases[static_cast<std::size_t>(i)], 0, content(2, 129)) ==
            Answered::yes);
    REQUIRE(caller->poll(answer) == Outcome::answered);
    caller->release(answer);
  }
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Calls,
                  "calls: what is there must be what is stated, and impossible ones are refused") {
  const auto queue = open();
  CHECK(queue->parties().shape().jobs == 256);
  CHECK(queue->parties().shape().seats == 64);
  CallSpec other = spec();
  other.calls = 255;
  auto refused = CallQueue::open(other, soon());
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == Code::geometry);
  CHECK(refused.error().message.find("calls 256, not 255") != std::string::npos);
  for (const auto& wrong : {&CallSpec::calls, &CallSpec::seats}) {
    other = spec();
    other.*wrong = 0;
    CHECK(CallQueue::open(other, soon()).error().code == Code::invalid_argument);
  }
  other = spec();
  other.schema = 17;
  const auto typed = must(CallQueue::open(other, soon()));
  other.schema = 18;
  CHECK(CallQueue::open(other, soon()).error().code == Code::schema);
}

TEST_CASE_FIXTURE(Calls, "calls: the last one takes them away, and a damaged geometry is refused") {
  {
    const auto queue = open();
    layout::Geometry& geometry = queue->parties().segment().header().geometry;
    const layout::Geometry good = geometry;
    geometry.values[layout::kWorkSeats] ^= 1ULL << 39U;  // no answers
    CHECK(CallQueue::open(spec(), soon()).error().code == Code::corrupt);
    geometry = good;
    geometry.values[layout::kWorkSlots] ^= 1;
    CHECK(CallQueue::open(spec(), soon()).error().code == Code::corrupt);
    geometry = good;
    CHECK(CallQueue::open(spec(), soon()).ok());
  }
  CHECK(!unlink_channel('r', name()).value());
}

TEST_CASE_FIXTURE(Calls, "calls: nobody who serves is known before a call is made") {
  const auto caller = open();
  const auto server = open();
  Ticket ticket;
  CHECK(ask(*caller, 1, ticket) == Asked::no_responder);
  CHECK(caller->in_flight() == 0);
  server->serve(true);
  CHECK(caller->servers() == 1);
  REQUIRE(ask(*caller, 1, ticket) == Asked::yes);
  server->serve(false);
  Ticket late;
  CHECK(ask(*caller, 2, late) == Asked::no_responder);
  // What waited for it has that as its outcome.
  Answer answer;
  REQUIRE(caller->poll(answer) == Outcome::no_responder);
  CHECK(answer.ticket == ticket);
  CHECK(answer.executed == Executed::no);
  CHECK(answer.length == 0);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(
    Pair, "calls: what the last server has in hand is answered, also when it serves no longer") {
  called(1);
  Lease lease = taken();
  called(2);
  server->serve(false);
  Answer answer = outcome(Outcome::no_responder);
  caller->release(answer);
  REQUIRE(server->answer(lease, 1, {}) == Answered::yes);
  answer = outcome(Outcome::answered);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "calls: another server takes what one leaves") {
  const auto other = open();
  other->serve(true);
  called(1);
  called(2);
  (void)taken(false);
  server->close();
  for (const std::uint64_t number : {1, 2}) {
    Lease got = other->try_take();
    REQUIRE(got);
    CHECK(number_of(*other, got) == number);
    REQUIRE(other->answer(got, 0, {}) == Answered::yes);
    Answer answer = outcome(Outcome::answered);
    caller->release(answer);
  }
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "calls: a server that closes ends the calls that it has begun") {
  const auto other = open();
  other->serve(true);
  called(1);
  CallOptions again;
  again.idempotent = true;
  called(2, again);
  (void)taken();
  (void)taken();
  server->close();
  Answer answer = outcome(Outcome::died);
  CHECK(answer.executed == Executed::unknown);
  caller->release(answer);
  Lease lease = other->try_take();
  REQUIRE(lease);
  CHECK(number_of(*other, lease) == 2);
  CallFacts facts;
  REQUIRE(other->facts(lease, facts));
  CHECK(facts.attempt == 2);
  REQUIRE(other->answer(lease, 0, {}) == Answered::yes);
  answer = outcome(Outcome::answered);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "calls: a lease that is over is nobody's, and what it writes nowhere") {
  called(1);
  Lease lease = taken();
  Lease old = lease;
  REQUIRE(server->answer(lease, 0, content(5, 64)) == Answered::yes);
  for (const std::size_t length : {64, 700}) {
    Lease again = old;
    CHECK(server->answer(again, 0, content(6, length)) == Answered::unwanted);
    again = old;
    CHECK(!server->start(again));
    again = old;
    CHECK(!server->give_back(again));
  }
  Answer answer = outcome(Outcome::answered);
  CHECK(number_of(*caller, answer.at, answer.length) == 5);
  CHECK(is_content(*caller, answer.at, answer.length));
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "calls: a handle may call itself") {
  caller->serve(true);
  const Ticket ticket = called(1);
  Lease lease = caller->try_take();
  REQUIRE(lease);
  REQUIRE(caller->answer(lease, 0, content(3, 8)) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  CHECK(answer.ticket == ticket);
  caller->release(answer);
  const Ticket next = called(2);
  lease = caller->try_take();
  CHECK(caller->withdraw(next) == Withdrawn::running);
  Answer none;
  CHECK(caller->poll(none) == Outcome::none);
  std::uint32_t slot = 0;
  CHECK(caller->next_cancelled(slot));
  CHECK(caller->answer(lease, 0, {}) == Answered::unwanted);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "calls: nobody waits for ever for an outcome behind others") {
  // One that is answered at once, again and again, and one in a higher slot.
  std::vector<Ticket> tickets;
  for (std::uint64_t i = 0; i < 100; ++i)
    tickets.push_back(called(i));
  std::vector<Lease> leases;
  for (std::uint64_t i = 0; i < 100; ++i)
    leases.push_back(taken());
  for (Lease& lease : leases)
    REQUIRE(server->answer(lease, 0, {}) == Answered::yes);
  Answer answer;
  std::vector<Ticket> seen;
  for (int i = 0; i < 8 * 101; ++i) {
    REQUIRE(caller->poll(answer) == Outcome::answered);
    seen.push_back(answer.ticket);
    caller->release(answer);
    called(1000);
    Lease lease = taken();
    REQUIRE(server->answer(lease, 0, {}) == Answered::yes);
  }
  for (const Ticket& ticket : tickets)
    CHECK(std::find(seen.begin(), seen.end(), ticket) != seen.end());
}

#if defined(__linux__)
// From now on membarrier ends this process.
static bool forbid_membarrier() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

TEST_CASE_FIXTURE(Calls, "calls: whoever goes to sleep interrupts no other processor") {
  // A sanitizer has uses of its own for it.
  if (MILLRACE_SANITIZED != 0) return;
  const os::Doorbell mine = bell();
  Child child([&] {
    auto opened = CallQueue::open(spec(), soon());
    CHILD_EXPECT(opened.ok());
    CallQueue& queue = *opened.value();
    CHILD_EXPECT(forbid_membarrier());
    queue.serve(true);
    queue.sleepers().park_on_bell(1U << layout::kForCalls, {mine.id(), 1});
    queue.unpark();
    Ticket ticket;
    CHILD_EXPECT(ask(queue, 1, ticket) == Asked::yes);
    Lease lease = queue.wait_for_call(true, 0, kSecond);
    CHILD_EXPECT(lease);
    CHILD_EXPECT(queue.answer(lease, 0, {}) == Answered::yes);
    Answer answer;
    CHILD_EXPECT(queue.poll(answer) == Outcome::answered);
    queue.release(answer);
    queue.serve(false);
    queue.close();
    return 0;
  });
  CHECK(child.wait() == 0);
}
#endif

}  // namespace millrace::test::calls_test

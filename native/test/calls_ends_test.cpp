// Calls that end otherwise than by an answer: withdrawn, too late, or by a death at a place of choice.
#include <memory>

#include "calls_pair.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_ends_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

TEST_CASE_FIXTURE(Pair, "calls: withdrawn before anybody took it, it was not executed") {
  const Ticket ticket = called(1, {}, 1000);
  CHECK(caller->withdraw(ticket) == Withdrawn::not_started);
  CHECK(caller->in_flight() == 0);
  CHECK(caller->withdraw(ticket) == Withdrawn::no_longer);
  CHECK(!server->try_take());
  Answer answer;
  CHECK(caller->poll(answer) == Outcome::none);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "calls: withdrawn after it was taken ahead, its handler never begins") {
  const Ticket ticket = called(1, {}, 1000);
  Lease lease = taken(false);
  CHECK(caller->withdraw(ticket) == Withdrawn::not_started);
  CHECK(server->cancelled(lease));
  CHECK(!server->start(lease));
  CHECK(!lease);
  CHECK(is_empty(*caller));
  // The same when it is given back.
  const Ticket next = called(2);
  lease = taken(false);
  CHECK(caller->withdraw(next) == Withdrawn::not_started);
  CHECK(!server->give_back(lease));
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(
    Pair,
    "calls: withdrawn while its handler runs, its server is told, and its answer is nobody's") {
  for (const std::size_t length : {8, 1000}) {
    CAPTURE(length);
    const Ticket ticket = called(1, {}, 1000);
    Lease lease = taken();
    CHECK(!server->cancelled(lease));
    CHECK(caller->withdraw(ticket) == Withdrawn::running);
    CHECK(server->cancelled(lease));
    Answer none;
    CHECK(server->poll(none) == Outcome::none);
    std::uint32_t slot = ~0U;
    REQUIRE(server->next_cancelled(slot));
    CHECK(slot == lease.slot);
    CHECK(!server->next_cancelled(slot));
    CHECK(server->answer(lease, 0, content(1, length)) == Answered::unwanted);
    CHECK(!lease);
    CHECK(caller->poll(none) == Outcome::none);
    CHECK(is_empty(*caller));
  }
}

TEST_CASE_FIXTURE(Pair, "calls: withdrawn after it was answered, the answer is there") {
  const Ticket ticket = called(1);
  Lease lease = taken();
  REQUIRE(server->answer(lease, 0, {}) == Answered::yes);
  CHECK(caller->withdraw(ticket) == Withdrawn::no_longer);
  Answer answer = outcome(Outcome::answered);
  CHECK(caller->withdraw(ticket) == Withdrawn::no_longer);
  caller->release(answer);
  CHECK(caller->withdraw(ticket) == Withdrawn::no_longer);
  // Nor does an old ticket withdraw the next call in its slot.
  const Ticket next = called(2);
  REQUIRE(next.slot == ticket.slot);
  CHECK(caller->withdraw(ticket) == Withdrawn::no_longer);
  CHECK(caller->withdraw(Ticket{~0U, 1}) == Withdrawn::no_longer);
  CHECK(caller->withdraw(next) == Withdrawn::not_started);
}

TEST_CASE_FIXTURE(Pair, "calls: what comes too late is never begun") {
  CallOptions options;
  options.deadline_ns = os::monotonic_ns() + kMillisecond;
  called(1, options);
  options.deadline_ns = os::monotonic_ns() + 60 * kSecond;
  called(2, options);
  os::sleep_ns(2 * kMillisecond);
  Lease lease = taken();
  CHECK(number_of(*server, lease) == 2);
  CallFacts facts;
  REQUIRE(server->facts(lease, facts));
  CHECK(facts.deadline_ns == options.deadline_ns);
  Answer answer = outcome(Outcome::expired);
  CHECK(answer.executed == Executed::no);
  caller->release(answer);
  CHECK(caller->counted(layout::WorkCount::expired) == 1);
  REQUIRE(server->answer(lease, 0, {}) == Answered::yes);
  answer = outcome(Outcome::answered);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair,
                  "promise: calls – a server's death before the handler begins costs nothing") {
  called(1, {}, 3000);
  dying_server([](CallQueue&, Lease&) {});
  CHECK(caller->look() == 1);
  Lease lease = taken();
  CallFacts facts;
  REQUIRE(server->facts(lease, facts));
  CHECK(facts.attempt == 1);
  CHECK(is_content(*server, facts.at, facts.length));
  REQUIRE(server->answer(lease, 0, {}) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(
    Pair, "promise: calls – a server's death in its handler is told, and nobody begins it again") {
  called(1, {}, 3000);
  dying_server([](CallQueue& mine, Lease& lease) { CHILD_EXPECT(mine.start(lease)); });
  CHECK(caller->look() == 1);
  CHECK(!server->try_take());
  Answer answer = outcome(Outcome::died);
  CHECK(answer.executed == Executed::unknown);
  CHECK(answer.length == 0);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "promise: calls – an idempotent call is begun three times at most") {
  CallOptions options;
  options.idempotent = true;
  const Ticket ticket = called(1, options, 3000);
  server->serve(false);
  server->serve(true);
  Answer answer = outcome(Outcome::no_responder);
  CHECK(answer.ticket == ticket);
  CHECK(answer.executed == Executed::no);
  caller->release(answer);
  called(1, options, 3000);
  for (int i = 1; i <= 3; ++i) {
    dying_server([](CallQueue& mine, Lease& lease) {
      CHILD_EXPECT(mine.start(lease));
      CallFacts facts;
      CHILD_EXPECT(mine.facts(lease, facts));
      CHILD_EXPECT(is_content(mine, facts.at, facts.length));
    });
    CHECK(caller->look() == 1);
  }
  CHECK(!server->try_take());
  answer = outcome(Outcome::died);
  CHECK(answer.executed == Executed::unknown);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Pair, "promise: calls – what was begun once is never called not executed") {
  CallOptions options;
  options.idempotent = true;
  for (const int way : {0, 1, 2}) {
    CAPTURE(way);
    options.deadline_ns = way == 2 ? os::monotonic_ns() + 200 * kMillisecond : 0;
    const Ticket ticket = called(1, options);
    dying_server([](CallQueue& mine, Lease& lease) { CHILD_EXPECT(mine.start(lease)); });
    CHECK(caller->look() == 1);
    if (way == 0) {
      CHECK(caller->withdraw(ticket) == Withdrawn::running);
    } else if (way == 1) {
      server->serve(false);
      Answer answer = outcome(Outcome::died);
      CHECK(answer.executed == Executed::unknown);
      caller->release(answer);
      server->serve(true);
    } else {
      REQUIRE(eventually([&] { return os::monotonic_ns() > options.deadline_ns; }));
      CHECK(!server->try_take());
      Answer answer = outcome(Outcome::expired);
      CHECK(answer.executed == Executed::unknown);
      caller->release(answer);
    }
    CHECK(is_empty(*caller));
  }
}

TEST_CASE_FIXTURE(
    Pair, "promise: calls – a caller's death ends its calls, and tells who has one in hand") {
  Shared<std::atomic<std::uint32_t>> step;
  Child child([&] {
    auto mine = CallQueue::open(spec(), soon());
    CHILD_EXPECT(mine.ok());
    Ticket ticket;
    for (std::uint64_t i = 0; i < 4; ++i)
      CHILD_EXPECT(ask(*mine.value(), i, ticket, {}, 1000) == Asked::yes);
    step->store(1);
    return linger();
  });
  REQUIRE(eventually([&] { return step->load() == 1; }));
  Lease answered = taken();
  REQUIRE(server->answer(answered, 0, content(1, 1000)) == Answered::yes);
  Lease running = taken();
  Lease ahead = taken(false);
  child.kill();
  CHECK(server->look() == 1);
  CHECK(!server->try_take());
  CHECK(server->cancelled(running));
  Answer none;
  CHECK(server->poll(none) == Outcome::none);
  std::uint32_t slot = 0;
  int told = 0;
  while (server->next_cancelled(slot)) {
    CHECK((slot == running.slot || slot == ahead.slot));
    ++told;
  }
  CHECK(told == 2);
  CHECK(server->answer(running, 0, content(2, 500)) == Answered::unwanted);
  CHECK(!server->start(ahead));
  CHECK(is_empty(*caller));
}

}  // namespace millrace::test::calls_ends_test

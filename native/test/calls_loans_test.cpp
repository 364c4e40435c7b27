// Room for requests and answers as loans: written in place, pushed or given back, and lost by nobody.
#include "calls_pair.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_loans_test {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

namespace {

struct Lending : Pair {
  static void write(CallQueue& queue, const CallLoan& loan, std::uint64_t number,
                    std::size_t length) {
    const std::vector<std::byte> bytes = content(number, length);
    REQUIRE(bytes.size() <= loan.room);
    std::memcpy(queue.data()->data() + loan.at, bytes.data(), bytes.size());
  }
  CallLoan reserved(std::size_t length) {
    CallLoan loan;
    REQUIRE(caller->reserve(length, loan) == Asked::yes);
    REQUIRE(loan);
    return loan;
  }
  Ticket pushed(std::uint64_t number, std::size_t length) {
    CallLoan loan = reserved(length);
    write(*caller, loan, number, length);
    Ticket ticket;
    REQUIRE(caller->push(loan, length, {}, ticket) == Asked::yes);
    CHECK(!loan);
    return ticket;
  }
  CallLoan lent(Lease& lease, std::size_t length) {
    CallLoan loan;
    REQUIRE(server->reserve_answer(lease, length, loan) == Answered::yes);
    return loan;
  }
};

constexpr std::size_t kLong = 5000;

}  // namespace

TEST_CASE_FIXTURE(Lending, "call loans: written in place, in both directions") {
  for (const std::size_t length : {std::size_t{8}, std::size_t{128}, std::size_t{129}, kLong}) {
    CAPTURE(length);
    const Ticket ticket = pushed(7, length);
    CHECK(caller->in_flight() == 1);
    Lease lease = taken();
    CallFacts facts;
    REQUIRE(server->facts(lease, facts));
    CHECK(facts.ticket == ticket);
    CHECK(facts.length == length);
    CHECK(is_content(*server, facts.at, facts.length));
    CallLoan loan = lent(lease, length);
    CHECK(server->data()->data() + loan.at != server->data()->data() + facts.at);
    write(*server, loan, 8, length);
    CHECK(is_content(*server, facts.at, facts.length));
    CHECK(server->answer(lease, 3, loan, length) == Answered::yes);
    CHECK(!loan);
    CHECK(!lease);
    Answer answer = outcome(Outcome::answered);
    CHECK(answer.status == 3);
    CHECK(answer.length == length);
    CHECK(number_of(*caller, answer.at, answer.length) == 8);
    CHECK(is_content(*caller, answer.at, answer.length));
    caller->release(answer);
    CHECK(is_empty(*caller));
  }
}

TEST_CASE_FIXTURE(Lending, "call loans: fewer bytes than were asked for, and none at all") {
  CallLoan loan = reserved(kLong);
  Ticket ticket;
  REQUIRE(caller->push(loan, 0, {}, ticket) == Asked::yes);
  Lease lease = taken();
  CallFacts facts;
  REQUIRE(server->facts(lease, facts));
  CHECK(facts.length == 0);
  CallLoan room = lent(lease, kLong);
  write(*server, room, 5, 100);
  CHECK(server->answer(lease, 0, room, 100) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  CHECK(answer.length == 100);
  CHECK(is_content(*caller, answer.at, answer.length));
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Lending,
                  "call loans: nothing is in flight before the push, and nothing after a cancel") {
  CallLoan loan = reserved(kLong);
  CHECK(caller->in_flight() == 0);
  CHECK(caller->store().counts().writing == 1);
  CHECK(!server->try_take());
  caller->cancel(loan);
  CHECK(!loan);
  caller->cancel(loan);
  CHECK(caller->in_flight() == 0);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Lending, "call loans: too long ones, and those for which there is no room") {
  CallLoan loan;
  CHECK(caller->reserve(caller->largest_request() + 1, loan) == Asked::too_large);
  CHECK(!loan);
  CallLoan all = reserved(caller->largest_request());
  CHECK(caller->reserve(129, loan) == Asked::busy);
  CHECK(!loan);
  caller->cancel(all);
  const Ticket ticket = called(1);
  Lease lease = taken();
  CHECK(server->reserve_answer(lease, server->largest_answer() + 1, loan) == Answered::too_large);
  CHECK(server->holds(lease));
  CallLoan room = lent(lease, server->largest_answer());
  server->cancel_answer(lease, room);
  CHECK(caller->withdraw(ticket) == Withdrawn::running);
  CHECK(server->answer(lease, 0, {}) == Answered::unwanted);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Lending, "call loans: whom nobody serves keeps the loan, and may push it later") {
  CallLoan loan = reserved(kLong);
  write(*caller, loan, 9, kLong);
  server->serve(false);
  Ticket ticket;
  CHECK(caller->push(loan, kLong, {}, ticket) == Asked::no_responder);
  CHECK(loan);
  CHECK(caller->in_flight() == 0);
  server->serve(true);
  CHECK(caller->push(loan, kLong, {}, ticket) == Asked::yes);
  Lease lease = taken();
  CHECK(number_of(*server, lease) == 9);
  CHECK(server->answer(lease, 0, {}) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Lending, "call loans: one for each call in hand, until it is given back") {
  (void)called(1);
  Lease lease = taken();
  for (const std::size_t length : {std::size_t{8}, kLong}) {
    CallLoan first = lent(lease, length);
    CallLoan second;
    CHECK(server->reserve_answer(lease, length, second) == Answered::lent);
    CHECK(!second);
    CHECK(server->answer(lease, 0, second, 0) == Answered::lent);
    server->cancel_answer(lease, first);
    CHECK(!first);
    CHECK(server->store().granules_used() == 0);
  }
  CHECK(server->holds(lease));
  CallLoan loan = lent(lease, kLong);
  write(*server, loan, 2, kLong);
  CHECK(server->answer(lease, 0, loan, kLong) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  CHECK(number_of(*caller, answer.at, answer.length) == 2);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Lending, "call loans: an answer of other bytes gives the loan back") {
  (void)called(1);
  Lease lease = taken();
  CallLoan loan = lent(lease, kLong);
  CHECK(server->answer(lease, 1, content(3, 700)) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  CHECK(number_of(*caller, answer.at, answer.length) == 3);
  caller->release(answer);
  CHECK(is_empty(*caller));
  // It is nobody's by now, also where the slot is in hand again.
  (void)called(4);
  Lease next = taken();
  CHECK(next.slot == loan.slot);
  CallLoan room = lent(next, kLong);
  CHECK(server->answer(next, 0, loan, 8) == Answered::lent);
  server->cancel_answer(next, loan);
  write(*server, room, 5, kLong);
  CHECK(server->answer(next, 0, room, kLong) == Answered::yes);
  answer = outcome(Outcome::answered);
  CHECK(is_content(*caller, answer.at, answer.length));
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Lending, "call loans: of a call that was withdrawn the loan goes back with it") {
  for (const bool by_loan : {true, false}) {
    const Ticket ticket = called(1, {}, kLong);
    Lease lease = taken();
    CallLoan loan = lent(lease, kLong);
    CHECK(caller->withdraw(ticket) == Withdrawn::running);
    // Until the server is done with the call both are its own.
    CHECK(server->store().granules_used() == 2 * ((kLong + 255) / 256));
    write(*server, loan, 2, kLong);
    CallLoan late;
    CHECK(server->reserve_answer(lease, kLong, late) == Answered::unwanted);
    CHECK(number_of(*server, lease) == 1);
    CHECK((by_loan ? server->answer(lease, 0, loan, kLong) : server->answer(lease, 0, {})) ==
          Answered::unwanted);
    CHECK(!lease);
    CHECK(is_empty(*caller));
  }
  CHECK(caller->in_flight() == 0);
}

TEST_CASE_FIXTURE(Lending,
                  "call loans: one that was reserved before the handler began is the lease's") {
  (void)called(1);
  Lease lease = taken(false);
  CallLoan loan = lent(lease, kLong);
  CHECK(server->start(lease));
  write(*server, loan, 2, kLong);
  CHECK(server->answer(lease, 0, loan, kLong) == Answered::yes);
  Answer answer = outcome(Outcome::answered);
  CHECK(is_content(*caller, answer.at, answer.length));
  caller->release(answer);
  (void)called(3);
  lease = taken(false);
  loan = lent(lease, kLong);
  CHECK(server->give_back(lease));
  CHECK(server->store().granules_used() == 0);
  lease = taken();
  loan = lent(lease, kLong);
  CHECK(server->answer(lease, 0, loan, 0) == Answered::yes);
  answer = outcome(Outcome::answered);
  caller->release(answer);
  CHECK(is_empty(*caller));
}

TEST_CASE_FIXTURE(Lending, "call loans: who closes gives them back") {
  (void)called(1);
  Lease lease = taken();
  (void)lent(lease, kLong);
  server->close();
  Answer answer = outcome(Outcome::died);
  caller->release(answer);
  CHECK(is_empty(*caller));
  auto other = open();
  (void)reserved(kLong);
  caller->close();
  CHECK(is_empty(*other));
}

TEST_CASE_FIXTURE(Lending, "promise: call loans – a server that is killed with one loses nothing") {
  for (const bool again : {true, false}) {
    CAPTURE(again);
    CallOptions options;
    options.idempotent = again;
    CallLoan argument = reserved(kLong);
    write(*caller, argument, 1, kLong);
    Ticket ticket;
    REQUIRE(caller->push(argument, kLong, options, ticket) == Asked::yes);
    dying_server([](CallQueue& queue, Lease& lease) {
      CHILD_EXPECT(queue.start(lease));
      CallLoan loan;
      CHILD_EXPECT(queue.reserve_answer(lease, kLong, loan) == Answered::yes);
      std::memset(queue.data()->data() + loan.at, 0xAA, kLong);
    });
    CHECK(server->look() == 1);
    if (again) {
      // The argument is what it was, for the next one.
      CHECK(server->store().granules_used() == (kLong + 255) / 256);
      Lease lease = taken();
      CHECK(number_of(*server, lease) == 1);
      CHECK(server->answer(lease, 0, {}) == Answered::yes);
    }
    Answer answer = outcome(again ? Outcome::answered : Outcome::died);
    caller->release(answer);
    CHECK(is_empty(*caller));
  }
}

TEST_CASE_FIXTURE(Lending, "promise: call loans – a client that is killed with one loses nothing") {
  Child child([&] {
    auto mine = CallQueue::open(spec(), soon());
    CHILD_EXPECT(mine.ok());
    CallLoan loan;
    CHILD_EXPECT(mine.value()->reserve(kLong, loan) == Asked::yes);
    CallLoan small;
    CHILD_EXPECT(mine.value()->reserve(8, small) == Asked::yes);
    ::kill(::getpid(), SIGKILL);
    return 0;
  });
  CHECK(child.wait() == -SIGKILL);
  CHECK(caller->store().counts().writing == 2);
  CHECK(server->look() == 1);
  CHECK(is_empty(*caller));
}

}  // namespace millrace::test::calls_loans_test

// Two who have to do with the same call at the same time: one comes to each point in turn, and there the other one makes its whole
// move. Whatever comes of it, the call has one outcome, says the truth about its handler, and leaves nothing.
#include <functional>
#include <memory>
#include <vector>

#include "../calls.hpp"
#include "meeting.hpp"

// The tests are compiled together, some files at a time.
namespace millrace::test::calls_meetings {

using namespace millrace;
using namespace millrace::test;
using namespace millrace::test::calls;

namespace {

struct Made {
  Ticket ticket;
  bool idempotent = false;
  int begun = 0;
  int outcomes = 0;
  bool says_no = false;
};

// A caller and two servers, in one process. Whoever moves uses handles that the other one does not.
struct Table : Calls {
  std::unique_ptr<CallQueue> caller = open();
  std::unique_ptr<CallQueue> server = open();
  std::unique_ptr<CallQueue> other = open();
  std::vector<Made> made;
  std::vector<Lease> in_hand;  // of `server`
  std::vector<Lease> of_other;
  std::size_t length = 8;

  Table() { server->serve(true); }

  void ask(bool idempotent = false) {
    CallOptions options;
    options.idempotent = idempotent;
    Ticket ticket;
    const Asked asked = calls::ask(*caller, made.size(), ticket, options, length);
    if (asked != Asked::yes) {
      CHECK(asked == Asked::no_responder);
      return;
    }
    Made now;
    now.ticket = ticket;
    now.idempotent = idempotent;
    made.push_back(now);
  }
  Made& call_of(const CallQueue& queue, const Lease& lease) {
    const std::uint64_t number = number_of(queue, lease);
    REQUIRE(number < made.size());
    return made[number];
  }
  bool take(CallQueue& queue, std::vector<Lease>& hands, bool start = true) {
    const Lease lease = queue.try_take(start);
    if (!lease) return false;
    if (start) ++call_of(queue, lease).begun;
    hands.push_back(lease);
    return true;
  }
  void start() {
    // The number is read before: afterwards it may be another one's.
    Made& call = call_of(*server, in_hand.front());
    if (server->start(in_hand.front())) {
      ++call.begun;
    } else {
      in_hand.clear();
    }
  }
  void answer(CallQueue& queue, std::vector<Lease>& hands) {
    if (hands.empty()) return;
    Lease lease = hands.front();
    hands.erase(hands.begin());
    const std::uint64_t number = number_of(queue, lease);
    (void)queue.answer(lease, 0, content(number, length));
  }
  void withdraw() {
    Made& call = made.front();
    const Withdrawn done = caller->withdraw(call.ticket);
    if (done == Withdrawn::no_longer) return;
    ++call.outcomes;
    if (done == Withdrawn::not_started) call.says_no = true;
  }
  void hear() {
    Answer answer;
    while (caller->poll(answer) != Outcome::none) {
      for (Made& call : made) {
        if (!(call.ticket == answer.ticket)) continue;
        ++call.outcomes;
        if (answer.executed == Executed::no) call.says_no = true;
      }
      if (answer.outcome == Outcome::answered) CHECK(is_content(*caller, answer.at, answer.length));
      caller->release(answer);
    }
  }
  // One that dies with a call in hand, and is found by `other`.
  void bury_one() const {
    Child child([&] {
      crash::disarm();
      auto mine = CallQueue::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      (void)mine.value()->try_take(false);
      ::kill(::getpid(), SIGKILL);
      return 0;
    });
    CHECK(child.wait() == -SIGKILL);
    CHECK(other->look() == 1);
  }
  void judge() {
    // Nobody is left who would take it.
    if (caller->servers() == 0) CHECK(caller->store().counts().ready == 0);
    other->serve(true);
    for (int round = 0; round < 8; ++round) {
      while (take(*other, of_other)) {
      }
      while (!in_hand.empty())
        answer(*server, in_hand);
      while (!of_other.empty())
        answer(*other, of_other);
      hear();
    }
    for (const Made& call : made) {
      CHECK(call.outcomes == 1);
      CHECK((!call.says_no || call.begun == 0));
      CHECK((call.idempotent || call.begun <= 1));
    }
    CHECK(caller->in_flight() == 0);
    CHECK(is_empty(*caller));
  }
};

using Move = std::function<void(Table&)>;

// What has happened before the two meet.
struct Prepared : Table {
  static inline Move before;
  static inline std::size_t of_length = 8;

  Prepared() {
    length = of_length;
    before(*this);
  }
};
int meet(const Move& before, const Move& first, const Move& second) {
  int meetings = 0;
  Prepared::before = before;
  for (const std::size_t length : {8, 700}) {
    CAPTURE(length);
    Prepared::of_length = length;
    meetings += every_meeting<Prepared>(first, second, [](Prepared& table) { table.judge(); });
  }
  return meetings;
}

const Move one_call = [](Table& table) { table.ask(); };
const Move two_calls = [](Table& table) {
  table.ask();
  table.ask(true);
};
const Move taken = [](Table& table) {
  table.ask();
  REQUIRE(table.take(*table.server, table.in_hand));
};
const Move taken_ahead = [](Table& table) {
  table.ask();
  REQUIRE(table.take(*table.server, table.in_hand, false));
};
const Move withdraws = [](Table& table) { table.withdraw(); };
const Move takes = [](Table& table) { (void)table.take(*table.server, table.in_hand); };
const Move takes_and_answers = [](Table& table) {
  (void)table.take(*table.server, table.in_hand);
  table.answer(*table.server, table.in_hand);
};
const Move answers = [](Table& table) { table.answer(*table.server, table.in_hand); };
const Move hears = [](Table& table) { table.hear(); };
const Move other_takes = [](Table& table) { (void)table.take(*table.other, table.of_other); };
const Move buries = [](Table& table) { table.bury_one(); };
const Move stops = [](Table& table) { table.server->serve(false); };
const Move asks = [](Table& table) { table.ask(); };

}  // namespace

TEST_CASE("promise: calls – withdrawn while somebody takes it, or the other way round") {
  CHECK(meet(one_call, withdraws, takes) > 0);
  CHECK(meet(one_call, withdraws, takes_and_answers) > 0);
  CHECK(meet(one_call, takes, withdraws) > 0);
  CHECK(meet(two_calls, takes, other_takes) > 0);
}
TEST_CASE("promise: calls – withdrawn while it is begun or answered, or the other way round") {
  CHECK(meet(
            taken_ahead, [](Table& table) { table.start(); }, withdraws) > 0);
  CHECK(meet(taken_ahead, withdraws, [](Table& table) { table.start(); }) > 0);
  CHECK(meet(taken, answers, withdraws) > 0);
  CHECK(meet(taken, withdraws, answers) > 0);
}
TEST_CASE("promise: calls – heard while it is answered, and while another one is") {
  CHECK(meet(taken, answers, hears) > 0);
  const Move one_answered = [](Table& table) {
    two_calls(table);
    takes_and_answers(table);
    takes(table);
  };
  CHECK(meet(one_answered, hears, answers) > 0);
  CHECK(meet(one_answered, answers, hears) > 0);
}
TEST_CASE("promise: calls – a call is made while the last server stops, or the other way round") {
  CHECK(meet([](Table&) {}, asks, stops) > 0);
  CHECK(meet([](Table&) {}, stops, asks) > 0);
}
TEST_CASE("promise: calls – a burial touches nothing of the living's calls") {
  const Move ready_and_taken = [](Table& table) {
    table.ask();
    table.ask(true);
    table.ask();
    takes(table);
  };
  CHECK(meet(ready_and_taken, answers, buries) > 0);
  CHECK(meet(ready_and_taken, takes, buries) > 0);
  CHECK(meet(ready_and_taken, withdraws, buries) > 0);
  CHECK(meet(ready_and_taken, asks, buries) > 0);
  const Move answered = [](Table& table) {
    table.ask();
    table.ask();
    takes_and_answers(table);
  };
  CHECK(meet(answered, hears, buries) > 0);
}

}  // namespace millrace::test::calls_meetings

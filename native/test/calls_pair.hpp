// A caller and a server in one process, and servers in others that die.
#pragma once

#include <memory>

#include "calls.hpp"

namespace millrace::test::calls {

struct Pair : Calls {
  std::unique_ptr<CallQueue> caller = open();
  std::unique_ptr<CallQueue> server = open();
  Pair() { server->serve(true); }

  Ticket called(std::uint64_t number, const CallOptions& options = {}, std::size_t length = 8) {
    Ticket ticket;
    REQUIRE(ask(*caller, number, ticket, options, length) == Asked::yes);
    return ticket;
  }
  Lease taken(bool start = true) {
    Lease lease = server->try_take(start);
    REQUIRE(lease);
    return lease;
  }
  Answer outcome(Outcome wanted) {
    Answer answer;
    REQUIRE(caller->poll(answer) == wanted);
    return answer;
  }
  // A server in a process of its own, which takes one call, does `then` with it, and dies.
  template <typename Then>
  void dying_server(Then&& then) {
    Shared<std::atomic<std::uint32_t>> ready;
    Child child([&] {
      auto mine = CallQueue::open(spec(), soon());
      CHILD_EXPECT(mine.ok());
      mine.value()->serve(true);
      ready->store(1);
      Lease lease = wait_for_call(*mine.value(), false);
      CHILD_EXPECT(lease);
      then(*mine.value(), lease);
      ::kill(::getpid(), SIGKILL);
      return 0;
    });
    REQUIRE(eventually([&] { return ready->load() == 1; }));
    CHECK(child.wait() == -SIGKILL);
  }
};

}  // namespace millrace::test::calls

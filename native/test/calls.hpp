// What tests of calls share: handles of one name, and calls whose content is a number.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <millrace/rpc/call_queue.hpp>
#include <millrace/unlink.hpp>

#include "fixture.hpp"

namespace millrace::test::calls {

struct Calls : Names {
  Calls() = default;
  ~Calls() { (void)unlink_channel('r', name()); }

  [[nodiscard]] CallSpec spec() const {
    CallSpec spec;
    spec.place = name();
    return spec;
  }
  [[nodiscard]] std::unique_ptr<CallQueue> open() const {
    return must(CallQueue::open(spec(), soon()));
  }
};

// As many bytes as wanted, all of which follow from the number; 8 at least.
inline std::vector<std::byte> content(std::uint64_t number, std::size_t length) {
  std::vector<std::byte> bytes(std::max<std::size_t>(length, sizeof number));
  std::memcpy(bytes.data(), &number, sizeof number);
  for (std::size_t i = sizeof number; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(number * 31 + i);
  return bytes;
}
inline std::uint64_t number_of(const CallQueue& queue, std::uint64_t at, std::uint32_t length) {
  std::uint64_t number = ~0ULL;
  if (length >= sizeof number) std::memcpy(&number, queue.data()->data() + at, sizeof number);
  return number;
}
// Is it content(), and whole?
inline bool is_content(const CallQueue& queue, std::uint64_t at, std::uint32_t length) {
  const std::vector<std::byte> wanted = content(number_of(queue, at, length), length);
  return length == wanted.size() &&
         std::memcmp(wanted.data(), queue.data()->data() + at, length) == 0;
}
inline std::uint64_t number_of(const CallQueue& queue, const Lease& lease) {
  CallFacts facts;
  return queue.facts(lease, facts) ? number_of(queue, facts.at, facts.length) : ~0ULL;
}
inline Asked ask(CallQueue& queue, std::uint64_t number, Ticket& ticket,
                 const CallOptions& options = {}, std::size_t length = 8) {
  return queue.try_call(content(number, length), options, ticket);
}
inline Outcome wait(CallQueue& queue, Answer& answer, std::uint64_t ns = 10 * kSecond) {
  const os::Deadline deadline = os::Deadline::after(ns);
  answer = Answer{};
  while (answer.outcome == Outcome::none && !deadline.passed())
    (void)queue.wait_for_answer(0, deadline.left_ns(), answer);
  return answer.outcome;
}
inline Lease wait_for_call(CallQueue& queue, bool start = true, std::uint64_t ns = 10 * kSecond) {
  const os::Deadline deadline = os::Deadline::after(ns);
  Lease lease;
  while (!lease && !deadline.passed())
    lease = queue.wait_for_call(start, 0, deadline.left_ns());
  return lease;
}
// All slots and all room are free.
inline bool is_empty(const CallQueue& queue) {
  return queue.store().counts().free == queue.parties().shape().jobs &&
         queue.store().granules_used() == 0;
}

}  // namespace millrace::test::calls

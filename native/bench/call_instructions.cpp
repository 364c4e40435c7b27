// As instructions.cpp, for calls. A program of its own: what is compiled beside a message or a frame decides which of their functions
// the compiler puts into others.
//
//   millrace_bench_call_instructions call BYTES TIMES     ask, take, answer with as many bytes, hear, release
#include <cstring>
#include <memory>
#include <string_view>

#include "measuring.hpp"
#include "millrace/rpc/call_queue.hpp"

namespace {

using namespace millrace;
using bench::fail;

std::unique_ptr<CallQueue> open(const CallSpec& spec) {
  auto opened = CallQueue::open(spec, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}

void calls(const std::string& name, std::size_t bytes, std::uint64_t times) {
  CallSpec spec;
  spec.place = name;
  auto caller = open(spec);
  auto server = open(spec);
  server->serve(true);
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes);
  for (std::uint64_t i = 0; i < times; ++i) {
    Ticket ticket;
    if (caller->try_call(message, {}, ticket) != Asked::yes) fail("no call");
    Lease lease = server->try_take();
    CallFacts facts;
    if (!lease || !server->facts(lease, facts)) fail("nothing to take");
    std::memcpy(into.data(), server->data()->data() + facts.at, facts.length);
    if (server->answer(lease, 0, into) != Answered::yes) fail("not answered");
    Answer answer;
    if (caller->poll(answer) != Outcome::answered) fail("no outcome");
    std::memcpy(into.data(), caller->data()->data() + answer.at, answer.length);
    caller->release(answer);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 || std::string_view(argv[1]) != "call") fail("usage: call BYTES TIMES");
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  const std::uint64_t times = std::strtoull(argv[3], nullptr, 10);
  calls("bench.instructions." + std::to_string(::getpid()), bytes, times);
  return 0;
}

// As call_instructions.cpp, for calls beside those by handles that count how long they take. A program of its own for the reason that it has.
//
//   millrace_bench_call_times_instructions beside_call BYTES TIMES     ask, take, answer with as many bytes, hear, release
//   millrace_bench_call_times_instructions measured_call BYTES TIMES   the same by handles that count how long that takes
#include <cstring>
#include <memory>
#include <string_view>

#include "measuring.hpp"
#include "millrace/rpc/call_meter.hpp"
#include "millrace/rpc/call_queue.hpp"

namespace {

using namespace millrace;
using bench::fail;

std::unique_ptr<CallQueue> open(const CallSpec& spec) {
  auto opened = CallQueue::open(spec, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}

template <bool kMeasured>
void calls(const std::string& name, std::size_t bytes, std::uint64_t times) {
  CallSpec spec;
  spec.place = name;
  auto caller = open(spec);
  auto server = open(spec);
  server->serve(true);
  CallMeter asks(caller->store().memory());
  CallMeter serves(server->store().memory());
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes);
  for (std::uint64_t i = 0; i < times; ++i) {
    Ticket ticket;
    const std::uint64_t since = kMeasured ? asks.asking() : 0;
    if (caller->try_call(message, {}, ticket) != Asked::yes) fail("no call");
    if (kMeasured) asks.asked(since, &ticket);
    Lease lease = server->try_take();
    if (kMeasured) serves.taken(lease);
    CallFacts facts;
    if (!lease || !server->facts(lease, facts)) fail("nothing to take");
    std::memcpy(into.data(), server->data()->data() + facts.at, facts.length);
    const bool serving = kMeasured && serves.serving();
    const Lease before = serving ? lease : Lease{};
    if (server->answer(lease, 0, into) != Answered::yes) fail("not answered");
    if (serving) serves.answered(before, true);
    Answer answer;
    if (caller->poll(answer) != Outcome::answered) fail("no outcome");
    if (kMeasured) asks.heard(answer.ticket, true);
    std::memcpy(into.data(), caller->data()->data() + answer.at, answer.length);
    caller->release(answer);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 4 ? argv[1] : "";
  const bool measured = what == "measured_call";
  if (!measured && what != "beside_call") fail("usage: beside_call|measured_call BYTES TIMES");
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  const std::uint64_t times = std::strtoull(argv[3], nullptr, 10);
  const std::string name = "bench.instructions." + std::to_string(::getpid());
  measured ? calls<true>(name, bytes, times) : calls<false>(name, bytes, times);
  return 0;
}

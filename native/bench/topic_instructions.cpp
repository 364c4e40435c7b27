// As instructions.cpp, for messages of topics; a program of its own for the reason that call_instructions.cpp has.
//
//   millrace_bench_topic_instructions topic BYTES TIMES            publish; one subscriber reads
//   millrace_bench_topic_instructions measured_topic BYTES TIMES   the same by handles that count how long that takes
#include <array>
#include <memory>
#include <string_view>

#include "measuring.hpp"
#include "millrace/topics/topic_bus.hpp"

namespace {

using namespace millrace;
using bench::fail;

std::unique_ptr<TopicBus> open(const TopicSpec& spec) {
  auto opened = TopicBus::open(spec, os::Deadline::after(5'000'000'000));
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}

template <bool kMeasured>
void topics(const std::string& name, std::size_t bytes, std::uint64_t times) {
  TopicSpec spec;
  spec.place = name;
  auto publisher = open(spec);
  auto subscriber = open(spec);
  TopicMeter publishes = publisher->meter();
  TopicMeter reads = subscriber->meter();
  const std::array<std::string_view, 1> filters{">"};
  const auto entry = subscriber->subscribe(filters, {});
  const auto subject = publisher->subject("a");
  if (!entry.ok() || !subject.ok()) fail("cannot begin");
  reads.joined(entry.value());
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes + 64);
  TopicMessage got;
  for (std::uint64_t i = 0; i < times; ++i) {
    std::uint32_t matched = 0;
    const Published done =
        kMeasured ? publisher->try_publish(subject.value(), message, {}, matched, publishes)
                  : publisher->try_publish(subject.value(), message, {}, matched);
    if (done != Published::yes || matched != 1) fail("not published");
    const std::uint32_t count = kMeasured
                                    ? subscriber->read(entry.value(), &got, 1, into, false, reads)
                                    : subscriber->read(entry.value(), &got, 1, into, false);
    if (count != 1) fail("nothing to read");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 4 ? argv[1] : "";
  const bool measured = what == "measured_topic";
  if (!measured && what != "topic") fail("usage: topic|measured_topic BYTES TIMES");
  const auto bytes = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  const std::uint64_t times = std::strtoull(argv[3], nullptr, 10);
  const std::string name = "bench.instructions." + std::to_string(::getpid());
  measured ? topics<true>(name, bytes, times) : topics<false>(name, bytes, times);
  return 0;
}

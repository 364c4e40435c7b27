// Does the same thing so many times, in one process and without waiting: what scripts/check-instructions.mjs counts the
// instructions of, under callgrind. Unlike times, they do not depend on what else the machine does.
//
//   millrace_bench_instructions message BYTES TIMES     push, peek, copy, release
//   millrace_bench_instructions frame READERS TIMES     loan, publish; each reader receives and releases
#include <cstring>
#include <memory>
#include <string_view>

#include "measuring.hpp"
#include "millrace/millrace.hpp"

namespace {

using namespace millrace;
using bench::fail;

os::Deadline soon() {
  return os::Deadline::after(5'000'000'000);
}

template <typename Side, typename Spec>
std::unique_ptr<Side> open(const Spec& spec) {
  auto opened = Side::open(spec, soon());
  if (!opened.ok()) fail(opened.error().message);
  return opened.take();
}

void messages(const std::string& name, std::size_t bytes, std::uint64_t times) {
  QueueSpec spec;
  spec.place = name;
  auto producer = open<QueueProducer>(spec);
  auto consumer = open<QueueConsumer>(spec);
  const std::vector<std::byte> message(bytes);
  std::vector<std::byte> into(bytes);
  for (std::uint64_t i = 0; i < times; ++i) {
    if (producer->try_push(message.data(), static_cast<std::uint32_t>(bytes)) != RingStatus::ok) {
      fail("no room");
    }
    const Message taken = consumer->peek();
    if (taken.status != RingStatus::ok) fail("no message");
    std::memcpy(into.data(), taken.data, taken.length);
    consumer->release(taken);
  }
}

void frames(const std::string& name, std::size_t readers, std::uint64_t times) {
  FrameWriterSpec spec;
  spec.place = name;
  spec.geometry.slot_bytes = 4096;
  auto writer = open<FrameWriter>(spec);
  std::vector<std::unique_ptr<FrameReader>> all;
  for (std::size_t i = 0; i < readers; ++i) {
    FrameReaderSpec reader;
    reader.place = name;
    all.push_back(open<FrameReader>(reader));
  }
  for (std::uint64_t i = 0; i < times; ++i) {
    const auto slot = writer->try_loan();
    if (!slot) fail("no slot");
    writer->publish(*slot, 4096, 1);
    for (auto& reader : all) {
      const ReceivedFrame frame = reader->receive();
      if (frame.status != ReceivedFrame::Status::ok) fail("no frame");
      reader->release(frame.slot, frame.sequence);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("usage: message|frame BYTES|READERS TIMES");
  const std::string_view what = argv[1];
  const auto size = static_cast<std::size_t>(std::strtoull(argv[2], nullptr, 10));
  const std::uint64_t times = std::strtoull(argv[3], nullptr, 10);
  const std::string name = "bench.instructions." + std::to_string(::getpid());
  if (what == "message") {
    messages(name, size, times);
  } else if (what == "frame") {
    frames(name, size, times);
  } else {
    fail("unknown benchmark");
  }
  return 0;
}

// Sends COUNT messages of many lengths; `queue_consumer` or `peer.ts consume` receives them. Either side
// may start first.
#include <cinttypes>
#include <vector>

#include "millrace/millrace.hpp"
#include "program.hpp"

// 0, 1, 7, 8, 9, … bytes, and the longest that fits now and then.
static std::uint64_t length_of(std::uint64_t number, std::uint64_t longest) {
  constexpr std::uint64_t lengths[] = {0, 1, 7, 8, 9, 64, 100, 1000};
  return number % 1000 == 999 ? longest : std::min(lengths[number % 8], longest);
}

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv, "NAME [COUNT [CAPACITY [PAUSE_US]]]");
  const std::uint64_t count = arguments.number(2, 1000);
  const std::uint64_t pause = arguments.number(4, 0);

  millrace::QueueSpec spec;
  spec.place = arguments.text(1);
  spec.capacity = arguments.number(3, 0);
  // The deadline is for a process that is stopped just while it opens or leaves the same queue.
  auto opened = millrace::QueueProducer::open(spec, millrace::os::Deadline::after(2'000'000'000));
  if (!opened.ok()) return failed(opened.error());
  millrace::QueueProducer& producer = *opened.value();

  Checksum sum;
  std::uint64_t sent = 0;
  std::vector<std::byte> message;
  for (std::uint64_t number = 0; number < count; ++number) {
    message.resize(length_of(number, producer.ring().max_message()));
    for (std::size_t i = 0; i < message.size(); ++i)
      message[i] = static_cast<std::byte>(number * 31 + i * 7);
    sum.add_length(message.size());
    sum.add(message);
    sent += message.size();
    if (auto pushed = millrace::push_sync(producer, message); !pushed.ok()) {
      return failed(pushed.error());
    }
    pause_us(pause);
  }
  // Returns when the consumer has read everything. Without it, what is unread waits for the next one.
  if (auto ended = millrace::end_sync(producer); !ended.ok()) return failed(ended.error());
  (void)std::printf("sent %" PRIu64 " messages, %" PRIu64 " bytes, checksum %08" PRIx32 "\n", count,
                    sent, sum.value());
  return 0;
}

// Receives messages until the producer ends: `queue_producer`, or `peer.ts produce`.
#include <cinttypes>

#include "millrace/millrace.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv, "NAME [COUNT [CAPACITY [PAUSE_US]]]");
  const std::uint64_t most = arguments.number(2, ~std::uint64_t{0});
  const std::uint64_t pause = arguments.number(4, 0);

  millrace::QueueSpec spec;
  spec.place = arguments.text(1);
  spec.capacity = arguments.number(3, 0);
  auto opened = millrace::QueueConsumer::open(spec, millrace::os::Deadline::after(2'000'000'000));
  if (!opened.ok()) return failed(opened.error());
  millrace::QueueConsumer& consumer = *opened.value();

  Checksum sum;
  std::uint64_t count = 0;
  std::uint64_t received = 0;
  while (count < most) {
    auto next = millrace::peek_sync(consumer);  // in place, nothing is copied
    if (!next.ok()) return failed(next.error());
    if (!next.value()) break;  // the producer has closed, and everything is read
    const millrace::Message& message = *next.value();
    sum.add_length(message.length);
    sum.add(message.bytes());
    received += message.length;
    ++count;
    consumer.release(message);  // from here on its bytes are the producer's
    pause_us(pause);
  }
  (void)std::printf("received %" PRIu64 " messages, %" PRIu64 " bytes, checksum %08" PRIx32 "\n",
                    count, received, sum.value());
  return 0;
}

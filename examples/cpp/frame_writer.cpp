// Publishes COUNT frames to READERS readers; `frame_reader` and `peer.ts read` are such.
#include <cinttypes>
#include <cstring>

#include "millrace/millrace.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv, "NAME [COUNT [READERS [PAUSE_US]]]");
  const std::uint64_t count = arguments.number(2, 100);
  const auto readers = static_cast<std::uint32_t>(arguments.number(3, 1));
  const std::uint64_t pause = arguments.number(4, 0);

  millrace::FrameWriterSpec spec;
  spec.place = arguments.text(1);
  spec.geometry.slot_bytes = 10'000;
  auto opened = millrace::FrameWriter::open(spec, millrace::os::Deadline::after(2'000'000'000));
  if (!opened.ok()) return failed(opened.error());
  millrace::FrameWriter& writer = *opened.value();
  if (auto came = millrace::wait_for_readers_sync(writer, readers); !came.ok()) {
    return failed(came.error());
  }

  for (std::uint64_t i = 0; i < count; ++i) {
    auto loan =
        millrace::loan_sync(writer);  // waits while readers that must not miss a frame are behind
    if (!loan.ok()) return failed(loan.error());
    millrace::LoanedFrame& frame = loan.value();  // goes back by itself if it is not published

    // Written straight into shared memory. The header beside the payload has 64 bytes: what they mean is
    // between the writer and its readers. Here: number and checksum of the frame.
    const std::uint64_t number = writer.sequence() + 1;
    const auto payload = frame.payload().first(number % (spec.geometry.slot_bytes + 1));
    for (std::size_t at = 0; at < payload.size(); ++at)
      payload[at] = static_cast<std::byte>(number * 31 + at * 7);
    Checksum sum;
    sum.add(payload);
    const std::uint32_t checksum = sum.value();
    std::memcpy(frame.user_header().data(), &number, sizeof number);
    std::memcpy(frame.user_header().data() + sizeof number, &checksum, sizeof checksum);
    frame.publish(payload.size());
    pause_us(pause);
  }
  (void)std::printf("published %" PRIu64 " frames\n", count);
  return 0;  // the writer leaves; readers see the end after what is queued for them
}

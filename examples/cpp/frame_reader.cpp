// Receives and checks frames until the writer closes: `frame_writer`, or `peer.ts write`.
#include <cinttypes>
#include <cstring>

#include "millrace/millrace.hpp"
#include "program.hpp"

static bool is_whole(const millrace::HeldFrame& frame) {
  std::uint64_t number = 0;
  std::uint32_t checksum = 0;
  std::memcpy(&number, frame.user_header().data(), sizeof number);
  std::memcpy(&checksum, frame.user_header().data() + sizeof number, sizeof checksum);
  Checksum sum;
  sum.add(frame.payload());
  return number == frame.sequence() && checksum == sum.value();
}

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv,
                            "NAME [wait|drop-newest|overwrite-oldest [COUNT [PAUSE_US]]]");
  const std::string policy = arguments.text(2, "wait");
  const std::uint64_t most = arguments.number(3, ~std::uint64_t{0});
  const std::uint64_t pause = arguments.number(4, 0);

  millrace::FrameReaderSpec spec;
  spec.place = arguments.text(1);
  if (policy == "wait") {
    spec.policy = millrace::layout::Policy::wait;
  } else if (policy == "drop-newest") {
    spec.policy = millrace::layout::Policy::drop_newest;
  } else if (policy == "overwrite-oldest") {
    spec.policy = millrace::layout::Policy::overwrite_oldest;
  } else {
    arguments.refuse();
  }
  millrace::BlockingOptions patience;
  patience.timeout_ns = 30'000'000'000;
  auto opened = millrace::open_reader_sync(spec, patience);  // waits for the writer to appear
  if (!opened.ok()) return failed(opened.error());
  millrace::FrameReader& reader = *opened.value();

  std::uint64_t count = 0;
  std::uint64_t last = 0;
  while (count < most) {
    auto received = millrace::receive_sync(reader);
    if (!received.ok()) return failed(received.error());
    if (!received.value()) break;  // the writer has closed, and everything is received
    const millrace::HeldFrame& frame = *received.value();  // released at the end of this block
    if (!is_whole(frame)) {
      (void)std::fprintf(stderr, "frame %" PRIu64 " is damaged\n", frame.sequence());
      return 1;
    }
    last = frame.sequence();
    ++count;
    pause_us(pause);
  }
  (void)std::printf("received %" PRIu64 " frames, lost %" PRIu64 ", last %" PRIu64 "\n", count,
                    reader.lost(), last);
  return 0;
}

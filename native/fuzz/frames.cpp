// Frame channels whose descriptors, positions, pins and sequences lie while frames go to and fro.
#include "frames.hpp"

using namespace millrace::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  FrameScene scene(input);
  std::optional<Storm> storm;
  weather(storm, scene.liar(), input);
  while (!input.over()) {
    if (input.below(3) == 0) {
      scene.liar().lie(input);
    } else if (!scene.act()) {
      break;
    }
  }
  return 0;
}

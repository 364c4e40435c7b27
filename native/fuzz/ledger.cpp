// What a writer makes of the ledger, the queues and the pins that it inherits: everything between the
// header and the pool is what the input says. Afterwards it must still be able to work.
#include "frames.hpp"

using namespace millrace;
using namespace millrace::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  FrameScene scene(input);
  const layout::FramesPlan plan = scene.plan();
  for (std::size_t i = input.below(12); i > 0; --i) {
    if (!scene.act()) return 0;
  }
  if (input.flag()) {
    const std::size_t from = layout::kWriterControlOffset + 8 * input.below(plan.pool_offset / 8);
    scene.liar().overwrite(from, input.bytes(plan.pool_offset - std::min(from, plan.pool_offset)));
  } else {
    for (std::size_t i = input.below(64); i > 0; --i)
      scene.liar().lie(input);
  }
  if (!scene.open_writer()) return 0;  // it was told that there is nothing to go on from
  for (int i = 0; i < 40 && scene.act(); ++i) {
  }
  return 0;
}

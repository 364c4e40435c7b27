// What the tests of both sides of a frame channel share.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <optional>

#include <millrace/frame_reader.hpp>
#include <millrace/frame_writer.hpp>

#include "fixture.hpp"

namespace millrace::test {

using Status = ReceivedFrame::Status;
using Policy = layout::Policy;

struct Frames : Names {
  FramesGeometry geometry{256, 8, 4, 0, 64};

  [[nodiscard]] FrameWriterSpec writer_spec() const {
    FrameWriterSpec wanted;
    wanted.place = name();
    wanted.geometry = geometry;
    return wanted;
  }
  [[nodiscard]] FrameReaderSpec reader_spec(Policy policy = Policy::wait) const {
    FrameReaderSpec wanted;
    wanted.place = name();
    wanted.policy = policy;
    return wanted;
  }
  [[nodiscard]] std::unique_ptr<FrameWriter> writer() const {
    return must(FrameWriter::open(writer_spec(), soon()));
  }
  [[nodiscard]] std::unique_ptr<FrameReader> reader(Policy policy = Policy::wait) const {
    return must(FrameReader::open(reader_spec(policy), soon()));
  }
  [[nodiscard]] bool exists() const {
    return os::open_object(object_name_of('f', name()), os::Access::read_only).ok();
  }
};

// Every word of a frame tells which frame it is.
inline std::uint64_t word_of(std::uint64_t stamp, std::uint64_t index) {
  return stamp * 0x9e3779b97f4a7c15ULL + index;
}

// Fills a loaned slot with what `stamp` demands. The payload is written as atomics: a reader that looks
// at a slot it does not own shall see a wrong word, not undefined behaviour.
inline void fill(const FrameWriter& writer, std::uint32_t slot, std::uint64_t stamp) {
  auto* words = reinterpret_cast<std::uint64_t*>(
      writer.pool()->data() + writer.plan().payload_offset + writer.plan().slot_stride * slot);
  for (std::uint64_t i = 0; i < writer.plan().slot_bytes / 8; ++i) {
    std::atomic_ref<std::uint64_t>(words[i]).store(i == 0 ? stamp : word_of(stamp, i),
                                                   std::memory_order_relaxed);
  }
}
// The stamp of a received frame, or nothing if the frame is torn.
inline std::optional<std::uint64_t> stamp_of(const FrameReader& reader,
                                             const ReceivedFrame& frame) {
  auto* words =
      reinterpret_cast<std::uint64_t*>(reader.pool()->data() + reader.plan().payload_offset +
                                       reader.plan().slot_stride * frame.slot);
  const auto load = [&](std::uint64_t i) {
    return std::atomic_ref<std::uint64_t>(words[i]).load(std::memory_order_relaxed);
  };
  const std::uint64_t stamp = load(0);
  for (std::uint64_t i = 1; i < reader.plan().slot_bytes / 8; ++i) {
    if (load(i) != word_of(stamp, i)) return std::nullopt;
  }
  return stamp;
}

// Publishes one frame stamped with its sequence. False if no slot can be had.
inline bool publish(FrameWriter& writer) {
  const auto slot = writer.try_loan();
  if (!slot) return false;
  fill(writer, *slot, writer.sequence() + 1);
  return writer.publish(*slot, writer.plan().slot_bytes, 0) != 0;
}
inline bool publish(FrameWriter& writer, int count) {
  while (count > 0 && publish(writer))
    --count;
  return count == 0;
}

// How many slots can be on loan at once; gives them back.
inline std::uint32_t loanable(FrameWriter& writer) {
  std::vector<std::uint32_t> loans;
  while (const auto slot = writer.try_loan())
    loans.push_back(*slot);
  for (const std::uint32_t slot : loans)
    writer.discard(slot);
  return static_cast<std::uint32_t>(loans.size());
}

}  // namespace millrace::test

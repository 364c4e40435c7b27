// The calls of a frame channel that block the thread (see blocking.hpp), and owners for what they hand
// out: a slot on loan goes back, and a received frame is released, when its owner goes out of scope. An
// owner that outlives its writer or reader is a dangling reference.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "blocking.hpp"
#include "frame_reader.hpp"
#include "frame_writer.hpp"

namespace millrace {

// A slot to write into. Given back unpublished unless publish() is called.
class LoanedFrame {
 public:
  LoanedFrame(FrameWriter& writer, std::uint32_t slot) noexcept : writer_(&writer), slot_(slot) {}
  LoanedFrame(LoanedFrame&& other) noexcept
      : writer_(std::exchange(other.writer_, nullptr)), slot_(other.slot_) {}
  LoanedFrame& operator=(LoanedFrame&& other) noexcept {
    if (this != &other) {
      discard();
      writer_ = std::exchange(other.writer_, nullptr);
      slot_ = other.slot_;
    }
    return *this;
  }
  LoanedFrame(const LoanedFrame&) = delete;
  LoanedFrame& operator=(const LoanedFrame&) = delete;
  ~LoanedFrame() { discard(); }

  // All bytes of the slot, and the 64 beside them for facts about the frame. Neither is cleared.
  [[nodiscard]] std::span<std::byte> payload() const noexcept {
    return writer_ != nullptr ? writer_->payload(slot_) : std::span<std::byte>();
  }
  [[nodiscard]] std::span<std::byte> user_header() const noexcept {
    return writer_ != nullptr ? writer_->user_header(slot_) : std::span<std::byte>();
  }
  // Hands the first `length` bytes to all readers and returns the frame's sequence. 0 if the loan is
  // over, or the slot is smaller. `timestamp` 0: now.
  std::uint64_t publish(std::uint64_t length, std::uint64_t timestamp = 0) {
    if (writer_ == nullptr) return 0;
    const std::uint64_t sequence = writer_->publish(slot_, length, timestamp);
    if (sequence != 0) writer_ = nullptr;
    return sequence;
  }
  void discard() noexcept {
    if (writer_ != nullptr) std::exchange(writer_, nullptr)->discard(slot_);
  }

 private:
  FrameWriter* writer_;
  std::uint32_t slot_;
};

// A received frame, read where it lies and released in the end.
class HeldFrame {
 public:
  HeldFrame(FrameReader& reader, const ReceivedFrame& facts) noexcept
      : reader_(&reader), facts_(facts) {}
  HeldFrame(HeldFrame&& other) noexcept
      : reader_(std::exchange(other.reader_, nullptr)), facts_(other.facts_) {}
  HeldFrame& operator=(HeldFrame&& other) noexcept {
    if (this != &other) {
      release();
      reader_ = std::exchange(other.reader_, nullptr);
      facts_ = other.facts_;
    }
    return *this;
  }
  HeldFrame(const HeldFrame&) = delete;
  HeldFrame& operator=(const HeldFrame&) = delete;
  ~HeldFrame() { release(); }

  [[nodiscard]] std::span<const std::byte> payload() const noexcept {
    return reader_ != nullptr ? reader_->payload(facts_) : std::span<const std::byte>();
  }
  [[nodiscard]] std::span<const std::byte> user_header() const noexcept {
    return reader_ != nullptr ? reader_->user_header(facts_) : std::span<const std::byte>();
  }
  // The writer counts frames from 1 on.
  [[nodiscard]] std::uint64_t sequence() const noexcept { return facts_.sequence; }
  // CLOCK_MONOTONIC in nanoseconds, unless the writer gave another.
  [[nodiscard]] std::uint64_t timestamp() const noexcept { return facts_.timestamp; }
  // Frames between the previous one received and this one.
  [[nodiscard]] std::uint64_t missed() const noexcept { return facts_.missed; }
  void release() noexcept {
    if (reader_ != nullptr) {
      std::exchange(reader_, nullptr)->release(facts_.slot, facts_.sequence);
    }
  }

 private:
  FrameReader* reader_;
  ReceivedFrame facts_;
};

// Joins a channel, waiting for it and its writer to appear. not_found if that does not happen in time;
// no_lane and others as FrameReader::open.
inline Result<std::unique_ptr<FrameReader>> open_reader_sync(const FrameReaderSpec& spec,
                                                             const BlockingOptions& options = {}) {
  const os::Deadline end = os::Deadline::after(options.timeout_ns);
  // What a process that is stopped at the door may cost.
  constexpr std::uint64_t door_ns = 2'000'000'000;
  for (std::uint64_t nap = 1'000'000;; nap = std::min<std::uint64_t>(nap * 2, kSliceNs)) {
    auto opened = FrameReader::open(spec, os::Deadline::after(door_ns));
    if (opened.ok() || opened.error().code != Code::not_found || end.passed()) return opened;
    os::sleep_ns(std::min(nap, end.left_ns()));
  }
}

// A slot to write into, as soon as there is one. Readers that die meanwhile give theirs back. timeout.
inline Result<LoanedFrame> loan_sync(FrameWriter& writer, const BlockingOptions& options = {}) {
  const auto slot = detail::block(
      options, [&](bool) { return writer.try_loan(); },
      [&](std::uint64_t spin, std::uint64_t left) { return writer.wait_free(spin, left); });
  if (slot) return LoanedFrame(writer, *slot);
  return detail::late("a free slot of '" + writer.segment().name() + "'", options);
}

// Returns when at least `count` readers are attached. timeout.
inline Result<void> wait_for_readers_sync(FrameWriter& writer, std::uint32_t count = 1,
                                          const BlockingOptions& options = {}) {
  const auto there = [&] { return writer.readers() >= count; };
  const auto came = detail::block(
      options, [&](bool) { return there() ? std::optional(true) : std::nullopt; },
      [&](std::uint64_t spin, std::uint64_t left) {
        return wait_slice(writer.sleeper(), spin, left, there);
      });
  if (came) return {};
  return detail::late(
      std::to_string(count) + " readers on frame channel '" + writer.segment().name() + "'",
      options);
}

// The oldest frame not yet received. Nothing when the writer has closed and everything is received.
// peer_failed or peer_gone if the writer failed or died, and everything that it published is received;
// too_many_held, corrupt, timeout.
inline Result<std::optional<HeldFrame>> receive_sync(FrameReader& reader,
                                                     const BlockingOptions& options = {}) {
  using Found = std::optional<Result<std::optional<HeldFrame>>>;
  const std::string& name = reader.segment().name();
  const auto corrupt = [&] {
    return make_error(Code::corrupt,
                      "frame channel '" + name + "' holds impossible values; close it");
  };
  const auto look = [&]() -> Found {
    const ReceivedFrame frame = reader.receive();
    switch (frame.status) {
      case ReceivedFrame::Status::ok:
        return std::optional<HeldFrame>(std::in_place, reader, frame);
      case ReceivedFrame::Status::empty:
        return std::nullopt;
      case ReceivedFrame::Status::too_many_held:
        return make_error(
            Code::too_many_held,
            "this reader of '" + name + "' holds " + std::to_string(reader.max_held()) +
                " frames, its limit; release some, or open it with a larger max_held");
      case ReceivedFrame::Status::corrupt:
        return corrupt();
    }
    return std::nullopt;
  };
  auto found = detail::block(
      options,
      [&](bool thorough) -> Found {
        if (auto frame = look(); frame || !thorough) return frame;
        if (reader.excluded()) return corrupt();
        const Peer writer = reader.writer();
        if (writer == Peer::attached || writer == Peer::absent) return std::nullopt;
        // It may have published between our look and its leaving.
        if (auto frame = look()) return frame;
        if (writer == Peer::closed) return std::optional<HeldFrame>();
        if (writer == Peer::failed) {
          return make_error(Code::peer_failed,
                            "the writer of frame channel '" + name + "' (process " +
                                std::to_string(reader.writer_pid()) + ") " +
                                failure_text(reader.writer_reason()) +
                                "; everything that it published is received: wait for another, or "
                                "close");
        }
        return make_error(Code::peer_gone, "the writer of frame channel '" + name + "' (process " +
                                               std::to_string(reader.writer_pid()) +
                                               ") died; wait for another, or close");
      },
      [&](std::uint64_t spin, std::uint64_t left) { return reader.wait_frame(spin, left); });
  if (found) return *std::move(found);
  return detail::late("a frame of '" + name + "'", options);
}

}  // namespace millrace

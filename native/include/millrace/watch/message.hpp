// What is copied out of a channel by somebody who takes no part in it, and where to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "../os/clock.hpp"
#include "../result.hpp"

namespace millrace {

// As in lib/telemetry/watch.ts, by their numbers.
enum class WatchedOp : std::uint8_t { message, job, request, answer, frame, value };
enum class WatchedState : std::uint8_t { none, waiting, leased, dead };

// One message; offsets are into the memory that it was copied to. The texts lie one behind the other: subject (of a job: the stage),
// id, group, headers.
struct Watched {
  std::uint64_t sequence = 0;
  std::uint64_t published_at = 0;  // nanoseconds since 1970; 0: the channel does not keep it
  std::uint64_t at = 0;
  std::uint64_t length = 0;  // bytes of the payload
  std::uint64_t copied = 0;  // of these
  std::uint64_t texts_at = 0;
  std::uint16_t subject_length = 0;
  std::uint16_t id_length = 0;
  std::uint16_t group_length = 0;
  std::uint16_t headers_length = 0;
  WatchedOp op = WatchedOp::message;
  WatchedState state = WatchedState::none;
  std::uint8_t priority = 0;
  std::uint8_t attempts = 0;
  std::uint32_t method = 0;  // of a call; of a dead letter why it is dead
  std::uint32_t slot = 0;    // of a call, by which its answer is known: slot and born
  std::uint32_t born = 0;
};
static_assert(sizeof(Watched) == 72);

// Memory for messages, filled from the front.
class WatchSink {
 public:
  // Payloads are cut to `most` bytes.
  WatchSink(std::span<std::byte> target, std::span<Watched> messages, std::uint64_t most) noexcept
      : target_(target), messages_(messages), most_(most) {}

  [[nodiscard]] std::uint64_t cut(std::uint64_t length) const noexcept {
    return std::min(length, most_);
  }
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  // No more messages now?
  [[nodiscard]] bool full() const noexcept { return short_ || count_ == messages_.size(); }
  // Bytes without which not even one message can be copied; 0: it is not for want of them that there is none.
  [[nodiscard]] std::uint64_t needed() const noexcept { return count_ == 0 ? needed_ : 0; }

  [[nodiscard]] std::uint64_t left() const noexcept { return target_.size() - used_; }
  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }
  // Where so many bytes can be copied to; nullptr, and full, if there is no room for them.
  [[nodiscard]] std::byte* room(std::uint64_t bytes) noexcept {
    if (bytes <= left()) return target_.data() + used_;
    short_ = true;
    needed_ = std::max(needed_, bytes);
    return nullptr;
  }
  // The message is a message, and lies in the next `bytes`.
  void keep(const Watched& message, std::uint64_t bytes) noexcept {
    messages_[count_++] = message;
    used_ = std::min<std::uint64_t>((used_ + bytes + 7) / 8 * 8, target_.size());
  }

 private:
  std::span<std::byte> target_;
  std::span<Watched> messages_;
  std::uint64_t most_;
  std::size_t count_ = 0;
  std::uint64_t used_ = 0;
  std::uint64_t needed_ = 0;
  bool short_ = false;
};

// Looks at the channel of one kind, again and again. Each look copies, and then finds out whether what it copied was still there:
// see the files of the kinds.
class Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  virtual ~Watcher() = default;

  // Copies what has come since the last look, as far as there is room. An error: what is there is impossible.
  [[nodiscard]] virtual Result<void> look(WatchSink& sink) = 0;
  // Messages that went by between two looks.
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

 protected:
  std::uint64_t missed_ = 0;
};

namespace detail {

// Of channels that keep the monotonic time: the same instant, as others tell it. The difference of the two clocks is taken once, so that
// one message has one time, and again when somebody has set the clock.
class WallTime {
 public:
  [[nodiscard]] std::uint64_t of(std::uint64_t monotonic) noexcept {
    if (monotonic == 0) return 0;
    const std::uint64_t now = os::exact_real_ns() - os::monotonic_ns();
    if (now - difference_ + kTolerated > 2 * kTolerated) difference_ = now;
    return monotonic + difference_;
  }

 private:
  static constexpr std::uint64_t kTolerated = 5'000'000;
  std::uint64_t difference_ = 0;
};

}  // namespace detail

}  // namespace millrace

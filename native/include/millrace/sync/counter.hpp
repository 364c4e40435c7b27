// A named 64-bit counter that any number of processes change with atomic instructions. Nobody waits for
// anybody; a process that dies leaves every addition either done or not begun.
//
// Every operation is sequentially consistent: a counter often says that something else is done, and a
// locked instruction is a full fence on x86 anyway.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/counter.hpp"
#include "../os/clock.hpp"
#include "../segment.hpp"

namespace millrace {

struct CounterSpec {
  Place place;
  std::int64_t initial = 0;  // of a new counter
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  bool keep = false;  // stays when nobody uses it
};

class Counter {
 public:
  // Opens the counter, or creates it with the initial value.
  static Result<std::unique_ptr<Counter>> open(const CounterSpec& spec,
                                               const os::Deadline& deadline) {
    SegmentSpec wanted;
    wanted.kind = layout::Kind::counter;
    wanted.letter = 'n';
    wanted.place = spec.place;
    wanted.mode = spec.mode;
    wanted.owner = spec.owner;
    wanted.keep = spec.keep;
    wanted.geometry.total_bytes = os::page_size();
    auto entered = Segment::enter(wanted, Entry::attach_or_create, deadline,
                                  [&](const layout::Geometry& found) -> Result<std::uint64_t> {
                                    if (found.total_bytes == os::page_size()) {
                                      return found.total_bytes;
                                    }
                                    return make_error(Code::corrupt,
                                                      "counter '" + spec.place.title() +
                                                          "' has an impossible size; remove it");
                                  });
    if (!entered.ok()) return entered.error();
    std::unique_ptr<Counter> self(new Counter(entered.take()));
    Segment& segment = self->segment_;
    if (auto shared = segment.share(layout::kCounterUsersRole); !shared.ok()) return shared.error();
    MILLRACE_CRASH_POINT("counter.open.shared");
    if (spec.keep) segment.set_flag(layout::kKeep, true);
    // Relaxed: under the lifecycle lock, whose passing on orders these.
    auto& record = self->record();
    if (record.begun.load(std::memory_order_relaxed) == 0) {
      record.value.store(spec.initial, std::memory_order_relaxed);
      MILLRACE_CRASH_POINT("counter.open.set");
      record.begun.store(1, std::memory_order_relaxed);
    }
    segment.settle();
    self->open_ = true;
    return self;
  }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  ~Counter() { close(); }

  [[nodiscard]] std::int64_t get() const noexcept { return value().load(); }
  void set(std::int64_t replacement) noexcept { value().store(replacement); }
  // The value after adding; past either end it goes on at the other (two's complement, no undefined behaviour).
  std::int64_t add(std::int64_t delta) noexcept {
    const auto before = static_cast<std::uint64_t>(value().fetch_add(delta));
    return static_cast<std::int64_t>(before + static_cast<std::uint64_t>(delta));
  }
  // The value before.
  std::int64_t exchange(std::int64_t replacement) noexcept { return value().exchange(replacement); }
  // Replaces the value if it is `expected`; returns what it was, `expected` if it has been replaced.
  std::int64_t compare_exchange(std::int64_t expected, std::int64_t replacement) noexcept {
    value().compare_exchange_strong(expected, replacement);
    return expected;
  }

  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }

  // The last one to leave removes the name, unless it is to be kept.
  void close() noexcept {
    if (!open_) return;
    open_ = false;
    if (!segment_.intact()) {
      segment_.forsake();
      return;
    }
    const bool locked = segment_.lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    segment_.unlock_role(layout::kCounterUsersRole);
    MILLRACE_CRASH_POINT("counter.close.unlocked");
    if (locked && !segment_.kept() && !segment_.anyone_else()) segment_.unlink();
    segment_ = Segment();
  }

 private:
  explicit Counter(Segment segment) : segment_(std::move(segment)) {}

  [[nodiscard]] layout::CounterRecord& record() const noexcept {
    return *segment_.at<layout::CounterRecord>(layout::kCounterOffset);
  }
  [[nodiscard]] std::atomic<std::int64_t>& value() const noexcept { return record().value; }

  Segment segment_;
  bool open_ = false;
};

}  // namespace millrace

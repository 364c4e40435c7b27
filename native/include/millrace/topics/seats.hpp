// Who is on topics: up to 512 handles, each with a seat: a role of the segment, pins, and a line to sleep on. The rules of seats
// are in seat_holder.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/topics.hpp"
#include "../seat_holder.hpp"
#include "../segment.hpp"
#include "../waiting.hpp"
#include "shape.hpp"

namespace millrace {

class TopicSeats : public SeatHolder<TopicSeats> {
 public:
  using Judge = std::function<Result<TopicShape>(const TopicShape& found)>;
  using Prepare = std::function<Result<void>()>;

  explicit TopicSeats(Repair repair) : SeatHolder(std::move(repair), layout::kMaxTopicSeats) {}
  TopicSeats(const TopicSeats&) = delete;
  TopicSeats& operator=(const TopicSeats&) = delete;
  ~TopicSeats() {
    leave([] { return false; });
  }

  // Creates the segment or joins it, buries the dead, and takes a seat. no_lane if all are taken.
  // `set_up`: under the lifecycle lock, while nobody else is on it, if nobody has finished that before; it must bear that its
  // predecessor died half-way.
  Result<void> enter(const SeatOptions& options, const TopicShape& wanted, const Judge& judge,
                     const Prepare& set_up, const os::Deadline& deadline) {
    SegmentSpec spec = spec_of(options, layout::Kind::topics, 't');
    spec.geometry = wanted.geometry();
    spec.bury = &TopicSeats::bury_stale;
    auto entered = Segment::enter(
        spec, millrace::Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> {
          const auto shape = TopicShape::judged(found);
          if (!shape) {
            return make_error(Code::corrupt, "topics '" + options.place.title() +
                                                 "' have an impossible geometry; remove them");
          }
          auto judged = judge(*shape);
          if (!judged.ok()) return judged.error();
          return shape->data_at();
        });
    if (!entered.ok()) return entered.error();
    segment_ = entered.take();
    shape_ = TopicShape::of(segment_.geometry());
    os::register_light_fence();
    MILLRACE_CRASH_POINT("topics.enter.attached");
    auto done = prepare(set_up);
    if (done.ok()) {
      bury_the_dead();
      done = take_seat(options);
    }
    if (!done.ok()) {
      give_up();
      return done;
    }
    sleeper_ = Sleeper(&line(seat_));
    if (options.keep) segment_.set_flag(layout::kKeep, true);  // who created it may not have asked
    segment_.settle();
    return {};
  }

  [[nodiscard]] const TopicShape& shape() const noexcept { return shape_; }
  [[nodiscard]] layout::TopicControl& control() const noexcept {
    return *segment_.at<layout::TopicControl>(shape_.control_at());
  }
  [[nodiscard]] layout::WaitLine& line(std::uint32_t seat) const noexcept {
    return segment_.at<layout::WaitLine>(shape_.wait_lines_at())[seat];
  }

  // Calls each(seat) for the seats in use, the dead among them as long as nobody has buried them.
  template <typename Each>
  void for_each_present(Each&& each) const {
    for (std::uint32_t word = 0; word < shape_.seat_words(); ++word) {
      // acquire: pairs with the release in set_present(): the wait line of a holder that we see is ready.
      const std::uint64_t bits = control().present[word].load(std::memory_order_acquire);
      detail::for_each_bit(bits & seats_of(word),
                           [&](std::uint32_t bit) { each(word * 64 + bit); });
    }
  }
  // How many there are, the dead among them.
  [[nodiscard]] std::uint32_t present() const noexcept {
    std::uint32_t count = 0;
    for_each_present([&](std::uint32_t) { ++count; });
    return count;
  }
  // The bits of that word of a set of seats that stand for seats.
  [[nodiscard]] std::uint64_t seats_of(std::uint32_t word) const noexcept {
    const std::uint32_t left = shape_.seats - word * 64;
    return left >= 64 ? ~0ULL : (1ULL << left) - 1;
  }

  // Asks every seat in use, by a system call each. Returns how many were buried.
  std::uint32_t bury_all_dead() {
    std::vector<std::uint32_t> dead;
    for_each_present([&](std::uint32_t seat) {
      if (vacant(seat)) dead.push_back(seat);
    });
    return bury(dead);
  }
  // Asks one seat of each process: all of those end together. What this overlooks the other one finds.
  std::uint32_t bury_dead_processes() {
    struct Process {
      std::uint64_t id;
      bool dead;
    };
    std::vector<Process> known;
    std::vector<std::uint32_t> dead;
    for_each_present([&](std::uint32_t seat) {
      const layout::RoleRecord& its = record(seat);
      const std::uint64_t id = its.started.load(std::memory_order_relaxed) << 22U ^
                               its.pid.load(std::memory_order_relaxed);
      auto process = std::find_if(known.begin(), known.end(),
                                  [&](const Process& other) { return other.id == id; });
      if (process == known.end()) process = known.insert(known.end(), {id, vacant(seat)});
      if (process->dead) dead.push_back(seat);
    });
    return bury(dead);
  }
  // Buries those of `seats` that nobody alive has; none if the lifecycle lock is not to be had now: its holder does the same, or is
  // stopped.
  std::uint32_t bury(std::span<const std::uint32_t> seats) {
    if (seats.empty()) return 0;
    if (!segment_.lock_lifecycle(os::Deadline::after(kBuryPatienceNs)).ok()) return 0;
    std::uint32_t buried = 0;
    for (const std::uint32_t seat : seats)
      buried += seat < shape_.seats && bury_locked(seat) ? 1 : 0;
    segment_.settle();
    return buried;
  }

  // Wakes whoever has that seat, if it sleeps.
  Woken wake(std::uint32_t seat) { return Waker(&line(seat)).wake(ringer(), segment_.trust()); }
  // The same where another waker may owe it the wake-up.
  Woken nudge(std::uint32_t seat) { return Waker(&line(seat)).nudge(ringer(), segment_.trust()); }

 private:
  friend SeatHolder;

  // Of a segment that nobody is on.
  static void bury_stale(const Segment& stale) {
    const TopicShape shape = TopicShape::of(stale.geometry());
    for (std::uint32_t seat = 0; seat < shape.seats; ++seat)
      stale.bury(stale.at<layout::RoleRecord>(layout::kRolesOffset)[seat]);
  }

  Result<void> prepare(const Prepare& set_up) {
    const bool alone = segment_.created() || segment_.orphaned();
    // relaxed: written under the lifecycle lock, which is ours.
    const bool begun = control().begun.load(std::memory_order_relaxed) != 0;
    if (!begun && !alone) {
      return make_error(Code::corrupt,
                        "topics '" + segment_.name() +
                            "' are in use and were never set up; end the processes that use them "
                            "and remove them",
                        segment_.path());
    }
    if (!alone) return {};
    // What a predecessor needed.
    if (os::asymmetric_fence_available())
      control().needs_full_fence.store(0, std::memory_order_relaxed);
    if (begun) return {};
    if (auto done = set_up(); !done.ok()) return done;
    MILLRACE_CRASH_POINT("topics.enter.prepared");
    control().begun.store(1, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("topics.enter.begun");
    return {};
  }

  Result<void> take_seat(const SeatOptions& options) {
    // Those that are not in use first: to ask for a lock costs a system call.
    for (const bool in_use : {false, true}) {
      for (std::uint32_t seat = 0; seat < shape_.seats; ++seat) {
        if (is_present(seat) != in_use) continue;
        auto taken = try_seat(seat, options.doorbell, "topics");
        if (!taken.ok()) return taken.error();
        if (taken.value()) return {};
      }
    }
    return make_error(Code::no_lane,
                      "all " + std::to_string(shape_.seats) + " seats of topics '" +
                          options.place.title() +
                          "' are taken: no more handles can be open at a time; close some, share "
                          "one per process, or let their creator state more `seats`",
                      segment_.path());
  }
  [[nodiscard]] bool is_present(std::uint32_t seat) const noexcept {
    // relaxed: under the lifecycle lock, or a hint.
    return (control().present[seat / 64].load(std::memory_order_relaxed) >> seat % 64 & 1U) != 0;
  }
  // From when the repair begins: it takes locks in the name of the seat.
  bool list(std::uint32_t seat) const noexcept {
    const bool in_use = is_present(seat);
    control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("topics.seat.listed");
    return !in_use;
  }
  void set_present(std::uint32_t seat) const noexcept {
    // release: pairs with the acquire in for_each_present(), which sees the record as it is now.
    control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_release);
  }
  void clear_present(std::uint32_t seat) const noexcept {
    control().present[seat / 64].fetch_and(~(1ULL << seat % 64), std::memory_order_relaxed);
  }
  // Under the lifecycle lock.
  void bury_the_dead() {
    for (std::uint32_t seat = 0; seat < shape_.seats; ++seat) {
      // One that died on its way in is not yet present, one on its way out no longer.
      if (is_present(seat) || attached(seat)) (void)bury_locked(seat);
    }
  }

  TopicShape shape_;
};

}  // namespace millrace

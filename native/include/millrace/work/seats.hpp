// Who is on a work queue: up to 2,048 handles, each with a seat: a role of the segment, a record of what its holder does, and
// a line to sleep on. The rules of seats are in seat_holder.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/work.hpp"
#include "../seat_holder.hpp"
#include "../segment.hpp"
#include "../waiting.hpp"
#include "shape.hpp"

namespace millrace {

class Seats : public SeatHolder<Seats> {
 public:
  // Judges the shape of what is there; Seats has seen to it that it is possible.
  using Judge = std::function<Result<WorkShape>(const layout::Geometry& found)>;
  using Prepare = std::function<Result<void>()>;

  explicit Seats(Repair repair) : SeatHolder(std::move(repair), layout::kMaxWorkSeats) {}
  Seats(const Seats&) = delete;
  Seats& operator=(const Seats&) = delete;
  ~Seats() {
    leave([] { return false; });
  }

  // Creates the segment or joins it, buries the dead, and takes a seat. no_lane if all are taken.
  // Under the lifecycle lock, while nobody else is on it, and before anybody is buried: `set_up` if nobody has finished that
  // before (it must bear that its predecessor died half-way), else `resume`, if given. What fails is for the next one to do.
  Result<void> enter(const SeatOptions& options, layout::Kind kind, char letter,
                     const WorkShape& wanted, const Judge& judge, const Prepare& set_up,
                     const os::Deadline& deadline, const Prepare& resume = {}) {
    SegmentSpec spec = spec_of(options, kind, letter);
    spec.geometry = wanted.geometry();
    spec.schema = options.schema;
    const bool answers = kind == layout::Kind::calls;
    title_ = answers ? "calls" : "work queue";
    fences_in_full_ = answers;
    spec.durable = wanted.durability == layout::Durability::disk;
    spec.mendable = [](const layout::Geometry& found) {
      return WorkShape::of(found).durability == layout::Durability::disk;
    };
    spec.bury = &Seats::bury_stale;
    auto entered = Segment::enter(
        spec, options.attach_only ? Entry::attach_only : Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> {
          const auto shape = WorkShape::judged(found, answers);
          if (!shape) {
            return make_error(Code::corrupt, std::string(title_) + " '" + options.place.title() +
                                                 "' has an impossible geometry; remove it");
          }
          auto judged = judge(found);
          if (!judged.ok()) return judged.error();
          return shape->data_at();
        });
    if (!entered.ok()) return entered.error();
    segment_ = entered.take();
    shape_ = WorkShape::of(segment_.geometry());
    control_ = segment_.at<layout::WorkControl>(shape_.control_at());
    records_ = segment_.at<layout::SeatRecord>(shape_.seat_records_at());
    lines_ = segment_.at<layout::WaitLine>(shape_.wait_lines_at());
    os::register_light_fence();
    MILLRACE_CRASH_POINT("seats.enter.attached");
    auto done = prepare(set_up, resume);
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

  [[nodiscard]] const WorkShape& shape() const noexcept { return shape_; }

  [[nodiscard]] layout::WorkControl& control() const noexcept { return *control_; }
  [[nodiscard]] layout::SeatRecord& seat_record(std::uint32_t seat) const noexcept {
    return records_[seat];
  }
  [[nodiscard]] layout::WaitLine& line(std::uint32_t seat) const noexcept { return lines_[seat]; }
  // Of each stage, and of room: who sleeps for it, a bit each.
  [[nodiscard]] std::atomic<std::uint64_t>* sleeper_sets() const noexcept {
    return segment_.at<std::atomic<std::uint64_t>>(shape_.sleepers_at());
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
    for (std::uint32_t word = 0; word < shape_.seat_words(); ++word) {
      // relaxed: a number, for nothing that a seat has.
      const std::uint64_t bits = control().present[word].load(std::memory_order_relaxed);
      count += static_cast<std::uint32_t>(std::popcount(bits & seats_of(word)));
    }
    return count;
  }

  // Buries those of `seats` that nobody alive has. False if the lifecycle lock was not to be had (its holder does the same, or
  // is stopped): try again later.
  bool bury(std::span<const std::uint32_t> seats) {
    if (seats.empty()) return true;
    if (!segment_.lock_lifecycle(os::Deadline::after(kBuryPatienceNs)).ok()) return false;
    for (const std::uint32_t seat : seats) {
      if (seat < shape_.seats) (void)bury_locked(seat);
    }
    segment_.settle();
    return true;
  }
  // Asks every seat in use, by a system call each. Returns how many were buried.
  std::uint32_t bury_all_dead() {
    std::vector<std::uint32_t> dead;
    for_each_present([&](std::uint32_t seat) {
      if (vacant(seat)) dead.push_back(seat);
    });
    return bury_found(dead);
  }
  // Asks one seat of each process: all of those end together. What this overlooks (a handle that was lost while its process
  // lives, two processes of one number in different name spaces) the other one finds.
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
    return bury_found(dead);
  }

  // Do all on this segment fence in full, from its first day on? Calls do. Who calls sleeps once for a few messages, not once for
  // thousands, and a fence of 10 ns a message is less than the asymmetric one's interrupt of all other processors for each sleep:
  // 1 us where they idle, and tens of them where they are busy and virtual.
  [[nodiscard]] bool fences_in_full() const noexcept { return fences_in_full_; }

  // Wakes whoever has that seat, if it sleeps.
  Woken wake(std::uint32_t seat) { return wake(line(seat)); }
  // The same where another waker may owe it the wake-up.
  Woken nudge(std::uint32_t seat) { return nudge(line(seat)); }
  // Also of another queue, of the same owner.
  Woken wake(layout::WaitLine& at) { return Waker(&at).wake(ringer(), segment_.trust()); }
  Woken nudge(layout::WaitLine& at) { return Waker(&at).nudge(ringer(), segment_.trust()); }

 private:
  friend SeatHolder;

  // Of a segment that nobody is on.
  static void bury_stale(const Segment& stale) {
    const WorkShape shape = WorkShape::of(stale.geometry());
    for (std::uint32_t seat = 0; seat < shape.seats; ++seat)
      stale.bury(stale.at<layout::RoleRecord>(layout::kRolesOffset)[seat]);
  }
  // The bits of that word of a set of seats that stand for seats.
  [[nodiscard]] std::uint64_t seats_of(std::uint32_t word) const noexcept {
    const std::uint32_t left = shape_.seats - word * 64;
    return left >= 64 ? ~0ULL : (1ULL << left) - 1;
  }

  Result<void> prepare(const Prepare& set_up, const Prepare& resume) {
    const bool alone = segment_.created() || segment_.orphaned();
    // relaxed: written under the lifecycle lock, which is ours.
    const bool begun = control().begun.load(std::memory_order_relaxed) != 0;
    if (!begun && !alone) {
      return make_error(Code::corrupt,
                        std::string(title_) + " '" + segment_.name() +
                            "' is in use and was never set up; end the processes that use it and "
                            "remove it",
                        segment_.path());
    }
    if (!alone) return {};
    // What a predecessor needed.
    if (os::asymmetric_fence_available())
      control().needs_full_fence.store(0, std::memory_order_relaxed);
    if (begun) return resume ? resume() : Result<void>();
    if (auto done = set_up(); !done.ok()) return done;
    MILLRACE_CRASH_POINT("seats.enter.prepared");
    control().begun.store(1, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("seats.enter.begun");
    return {};
  }

  Result<void> take_seat(const SeatOptions& options) {
    // Those that are not in use first: to ask for a lock costs a system call.
    for (const bool in_use : {false, true}) {
      for (std::uint32_t seat = 0; seat < shape_.seats; ++seat) {
        if (present(seat) != in_use) continue;
        auto taken = try_seat(seat, options.doorbell, title_);
        if (!taken.ok()) return taken.error();
        if (taken.value()) return {};
      }
    }
    return make_error(Code::no_lane,
                      "all " + std::to_string(shape_.seats) + " seats of " + title_ + " '" +
                          options.place.title() +
                          "' are taken: no more handles can be open at a time; close some, share "
                          "one per process, or let its creator state more `seats`",
                      segment_.path());
  }
  [[nodiscard]] bool present(std::uint32_t seat) const noexcept {
    // relaxed: under the lifecycle lock, or a hint.
    return (control().present[seat / 64].load(std::memory_order_relaxed) >> seat % 64 & 1U) != 0;
  }
  // From when the repair begins: it takes locks in the name of the seat.
  bool list(std::uint32_t seat) const noexcept {
    const bool in_use = present(seat);
    control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_relaxed);
    MILLRACE_CRASH_POINT("seats.seat.listed");
    return !in_use;
  }
  void set_present(std::uint32_t seat) const noexcept {
    // release: pairs with the acquire in for_each_present(), which sees the record as it is now.
    control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_release);
  }
  void clear_present(std::uint32_t seat) const noexcept {
    control().present[seat / 64].fetch_and(~(1ULL << seat % 64), std::memory_order_relaxed);
  }

  std::uint32_t bury_found(const std::vector<std::uint32_t>& dead) {
    if (dead.empty()) return 0;
    if (!segment_.lock_lifecycle(os::Deadline::after(kBuryPatienceNs)).ok()) return 0;
    std::uint32_t buried = 0;
    for (const std::uint32_t seat : dead)
      buried += bury_locked(seat) ? 1 : 0;
    segment_.settle();
    return buried;
  }
  // Under the lifecycle lock.
  void bury_the_dead() {
    for (std::uint32_t seat = 0; seat < shape_.seats; ++seat) {
      // One that died on its way in is not yet present, one on its way out no longer.
      if (present(seat) || attached(seat)) (void)bury_locked(seat);
    }
  }

  WorkShape shape_;
  // Where these are in the segment.
  layout::WorkControl* control_ = nullptr;
  layout::SeatRecord* records_ = nullptr;
  layout::WaitLine* lines_ = nullptr;
  const char* title_ = "work queue";  // for messages
  bool fences_in_full_ = false;
};

}  // namespace millrace

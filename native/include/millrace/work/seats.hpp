// Who is on a work queue: up to 2,048 handles, each with a seat: a role of the segment, a record of what its holder does, and
// a line to sleep on. The same rules as in sync/parties.hpp, for more than fit into one word:
//
// Seats are taken, left and buried under the lifecycle lock. Dead is a holder whose record says attached although its lock
// byte is free. Whoever buries it takes that byte first, and then acts in its place: `repair` finishes what the dead one left
// undone. If the undertaker dies in the middle, the byte is free again, the record still says attached, and the next one
// starts over.
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
#include "../segment.hpp"
#include "../waiting.hpp"
#include "shape.hpp"

namespace millrace {

// What the user of a handle chooses.
struct SeatOptions {
  Place place;
  os::MemoryOptions memory;
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  std::uint64_t doorbell = 0;  // where this handle can be woken; 0: it only ever blocks or polls
  bool keep = false;           // content outlives a crash of everybody
};

class Seats {
 public:
  // Finishes what the dead holder of a seat left undone, and is asked once more before a seat is taken. Runs under the
  // lifecycle lock, with the lock byte of that seat in hand. Must bear being run again for the same seat, from any point, also
  // where there is nothing to do. False: it cannot be finished yet; the seat stays unburied and is not taken.
  using Repair = std::function<bool(std::uint32_t seat)>;
  // Judges the shape of what is there; Seats has seen to it that it is possible.
  using Judge = std::function<Result<WorkShape>(const layout::Geometry& found)>;
  using Prepare = std::function<Result<void>()>;

  explicit Seats(Repair repair) : repair_(std::move(repair)) {}
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
    SegmentSpec spec;
    spec.kind = kind;
    spec.letter = letter;
    spec.place = options.place;
    spec.memory = options.memory;
    spec.mode = options.mode;
    spec.owner = options.owner;
    spec.keep = options.keep;
    spec.geometry = wanted.geometry();
    spec.durable = wanted.durability == layout::Durability::disk;
    spec.mendable = [](const layout::Geometry& found) {
      return WorkShape::of(found).durability == layout::Durability::disk;
    };
    spec.bury = &Seats::bury_stale;
    auto entered = Segment::enter(
        spec, Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> {
          const auto shape = WorkShape::judged(found);
          if (!shape) {
            return make_error(Code::corrupt, "work queue '" + options.place.title() +
                                                 "' has an impossible geometry; remove it");
          }
          auto judged = judge(found);
          if (!judged.ok()) return judged.error();
          return shape->data_at();
        });
    if (!entered.ok()) return entered.error();
    segment_ = entered.take();
    shape_ = WorkShape::of(segment_.geometry());
    os::register_light_fence();
    MILLRACE_CRASH_POINT("seats.enter.attached");
    auto done = prepare(set_up, resume);
    if (done.ok()) {
      bury_the_dead();
      done = take_seat(options);
    }
    if (!done.ok()) {
      if (segment_.created()) segment_.unlink();
      segment_ = Segment();
      return done;
    }
    sleeper_ = Sleeper(&line(seat_));
    if (options.keep) segment_.set_flag(layout::kKeep, true);  // who created it may not have asked
    segment_.settle();
    return {};
  }

  // Gives the seat back. If nobody is left the segment is removed, unless keep() then says that it holds something that the
  // next one to come must know. What the handle holds must have been given back before.
  template <typename Keep>
  void leave(Keep&& keep) noexcept {
    if (!entered_) return;
    entered_ = false;
    if (!segment_.intact()) {
      segment_.forsake();
      return;
    }
    sleeper_.unpark();
    const bool locked = segment_.lock_lifecycle(os::Deadline::after(1'000'000'000)).ok();
    clear_present(seat_);
    MILLRACE_CRASH_POINT("seats.leave.absent");
    segment_.resign(record(seat_), seat_);
    MILLRACE_CRASH_POINT("seats.leave.resigned");
    if (locked && !segment_.anyone_else()) {
      bury_the_dead();
      if (!keep()) segment_.unlink();
    }
    segment_ = Segment();  // closes the descriptor: that ends the lifecycle lock, too
  }

  // Leaves as if dead, without a good-bye: whoever finds the seat finishes what we could not.
  void vanish() noexcept {
    entered_ = false;
    segment_ = Segment();
  }

  [[nodiscard]] bool open() const noexcept { return entered_; }
  [[nodiscard]] std::uint32_t seat() const noexcept { return seat_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  [[nodiscard]] const WorkShape& shape() const noexcept { return shape_; }

  [[nodiscard]] layout::WorkControl& control() const noexcept {
    return *segment_.at<layout::WorkControl>(shape_.control_at());
  }
  [[nodiscard]] layout::RoleRecord& record(std::uint32_t seat) const noexcept {
    return segment_.at<layout::RoleRecord>(layout::kRolesOffset)[seat];
  }
  [[nodiscard]] layout::SeatRecord& seat_record(std::uint32_t seat) const noexcept {
    return segment_.at<layout::SeatRecord>(shape_.seat_records_at())[seat];
  }
  [[nodiscard]] layout::WaitLine& line(std::uint32_t seat) const noexcept {
    return segment_.at<layout::WaitLine>(shape_.wait_lines_at())[seat];
  }
  [[nodiscard]] std::uint32_t pid(std::uint32_t seat) const noexcept {
    return record(seat).pid.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t doorbell(std::uint32_t seat) const noexcept {
    return record(seat).doorbell.load(std::memory_order_relaxed);
  }
  // For a handle that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    record(seat_).doorbell.store(doorbell, std::memory_order_relaxed);
  }
  // Did its last holder die, or is it still there? Meant for repair(), which knows that nobody is.
  [[nodiscard]] bool attached(std::uint32_t seat) const noexcept {
    // relaxed: under the lifecycle lock it is exact, without it a hint.
    return record(seat).state.load(std::memory_order_relaxed) ==
           static_cast<std::uint32_t>(layout::RoleState::attached);
  }

  // Calls each(seat) for the seats in use, the dead among them as long as nobody has buried them.
  template <typename Each>
  void for_each_present(Each&& each) const {
    for (std::uint32_t word = 0; word < shape_.seat_words(); ++word) {
      // acquire: pairs with the release in take_seat(): the wait line of a holder that we see is ready.
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

  // Has nobody alive this seat? One system call. Without the lifecycle lock the answer is a hint: it may have changed hands
  // meanwhile.
  [[nodiscard]] bool vacant(std::uint32_t seat) const noexcept {
    return seat != seat_ && !segment_.role_held(seat);
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

  // Wakes whoever has that seat, if it sleeps.
  Woken wake(std::uint32_t seat) { return Waker(&line(seat)).wake(ringer(), segment_.trust()); }
  // The same where another waker may owe it the wake-up.
  Woken nudge(std::uint32_t seat) { return Waker(&line(seat)).nudge(ringer(), segment_.trust()); }
  [[nodiscard]] Sleeper& sleeper() noexcept { return sleeper_; }
  // Whoever has a ringer for many channels (an event loop) lends it.
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }

 private:
  // Its holder needs microseconds. One that needs longer is stopped, or does what we are about to do.
  static constexpr std::uint64_t kBuryPatienceNs = 5'000'000;
  static constexpr std::uint32_t kNoSeat = layout::kMaxWorkSeats;

  // Of a segment that nobody is on.
  static void bury_stale(const Segment& stale) {
    const WorkShape shape = WorkShape::of(stale.geometry());
    for (std::uint32_t seat = 0; seat < shape.seats; ++seat)
      stale.bury(stale.at<layout::RoleRecord>(layout::kRolesOffset)[seat]);
  }
  os::BellRinger& ringer() noexcept { return ringer_ != nullptr ? *ringer_ : own_ringer_; }
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
                        "work queue '" + segment_.name() +
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
        if (present(seat) != in_use || !segment_.try_role_lock(seat)) continue;
        // From here on: the repair takes locks in the name of this seat, and whoever dies in it must be buried.
        control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_relaxed);
        MILLRACE_CRASH_POINT("seats.seat.listed");
        if (!repair_(seat)) {
          if (!in_use) clear_present(seat);
          segment_.unlock_role(seat);
          continue;
        }
        // The byte is ours by now, so this cannot fail.
        if (auto claimed = segment_.claim(record(seat), seat, options.doorbell, "work queue");
            !claimed.ok()) {
          return claimed;
        }
        seat_ = seat;
        MILLRACE_CRASH_POINT("seats.seat.claimed");
        // release: pairs with the acquire in for_each_present(), which sees the record as it is now.
        control().present[seat / 64].fetch_or(1ULL << seat % 64, std::memory_order_release);
        MILLRACE_CRASH_POINT("seats.seat.present");
        entered_ = true;
        return {};
      }
    }
    return make_error(Code::no_lane,
                      "all " + std::to_string(shape_.seats) + " seats of work queue '" +
                          options.place.title() +
                          "' are taken: no more handles can be open at a time; close some, share "
                          "one per process, or let its creator state more `seats`",
                      segment_.path());
  }
  [[nodiscard]] bool present(std::uint32_t seat) const noexcept {
    // relaxed: under the lifecycle lock, or a hint.
    return (control().present[seat / 64].load(std::memory_order_relaxed) >> seat % 64 & 1U) != 0;
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
  bool bury_locked(std::uint32_t seat) {
    if ((entered_ && seat == seat_) || !segment_.try_role_lock(seat)) return false;
    MILLRACE_CRASH_POINT("seats.bury.locked");
    if (!repair_(seat)) {
      segment_.unlock_role(seat);
      return false;
    }
    MILLRACE_CRASH_POINT("seats.bury.repaired");
    clear_present(seat);
    segment_.bury(record(seat));
    MILLRACE_CRASH_POINT("seats.bury.absent");
    segment_.resign(record(seat), seat);
    return true;
  }

  Repair repair_;
  bool entered_ = false;
  std::uint32_t seat_ = kNoSeat;
  Segment segment_;
  WorkShape shape_;
  Sleeper sleeper_;
  os::BellRinger* ringer_ = nullptr;
  os::BellRinger own_ringer_;
};

}  // namespace millrace

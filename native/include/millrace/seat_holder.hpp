// What a handle is that holds one seat of many alike: a role of the segment with its lock byte, and a line to sleep on. Seats are
// taken, left and buried under the lifecycle lock.
//
// Dead is a holder whose record says attached although its lock byte is free. Whoever buries it takes that byte first, and then
// acts in its place: `repair` finishes what the dead one left undone. If the undertaker dies in the middle, the byte is free
// again, the record still says attached, and the next one starts over.
//
// Which seats are in use stands elsewhere in each kind of segment, so those who build on this say how to mark that: `Self` has
// set_present(seat), with release, so that who sees the mark sees the record; clear_present(seat); and bury_the_dead(), which
// buries all it finds, under the lifecycle lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "crash_point.hpp"
#include "layout/header.hpp"
#include "segment.hpp"
#include "waiting.hpp"

namespace millrace {

// What the user of a handle chooses.
struct SeatOptions {
  Place place;
  os::MemoryOptions memory;
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  std::uint64_t doorbell = 0;  // where this handle can be woken; 0: it only ever blocks or polls
  bool keep = false;           // content outlives a crash of everybody
  bool attach_only = false;    // makes nothing: not_found
  std::uint64_t schema = 0;    // what payloads mean; 0: this handle does not say
};

template <typename Self>
class SeatHolder {
 public:
  // Finishes what the dead holder of a seat left undone, and is asked once more before a seat is taken. Runs under the lifecycle
  // lock, with the lock byte of that seat in hand. Must bear being run again for the same seat, from any point, also where there
  // is nothing to do. False: it cannot be finished yet; the seat stays unburied and is not taken.
  using Repair = std::function<bool(std::uint32_t seat)>;

  SeatHolder(const SeatHolder&) = delete;
  SeatHolder& operator=(const SeatHolder&) = delete;

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
    self().clear_present(seat_);
    MILLRACE_CRASH_POINT("seat.leave.absent");
    segment_.resign(record(seat_), seat_);
    MILLRACE_CRASH_POINT("seat.leave.resigned");
    if (locked && !segment_.anyone_else()) {
      self().bury_the_dead();
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

  [[nodiscard]] layout::RoleRecord& record(std::uint32_t seat) const noexcept {
    return segment_.template at<layout::RoleRecord>(layout::kRolesOffset)[seat];
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
  // Has nobody alive this seat? One system call. Without the lifecycle lock the answer is a hint: it may have changed hands
  // meanwhile.
  [[nodiscard]] bool vacant(std::uint32_t seat) const noexcept {
    return seat != seat_ && !segment_.role_held(seat);
  }

  [[nodiscard]] Sleeper& sleeper() noexcept { return sleeper_; }
  // Whoever has a ringer for many channels (an event loop) lends it.
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }

 protected:
  // How long the lifecycle lock is waited for to bury somebody. Its holder needs microseconds. One that needs longer is stopped,
  // or does what we are about to do.
  static constexpr std::uint64_t kBuryPatienceNs = 5'000'000;

  SeatHolder(Repair repair, std::uint32_t no_seat) : repair_(std::move(repair)), seat_(no_seat) {}
  ~SeatHolder() = default;

  // What all ask of their segment.
  template <typename Options>
  static SegmentSpec spec_of(const Options& options, layout::Kind kind, char letter) {
    SegmentSpec spec;
    spec.kind = kind;
    spec.letter = letter;
    spec.place = options.place;
    spec.memory = options.memory;
    spec.mode = options.mode;
    spec.owner = options.owner;
    spec.keep = options.keep;
    return spec;
  }

  // The rest is done under the lifecycle lock.

  // For those whose repair takes locks in the name of the seat: marks it, so that whoever dies in the repair is buried. Whether
  // it was not marked before.
  bool list(std::uint32_t) noexcept { return false; }
  // Whether that seat could be had, and is ours by now. `what` names it for messages.
  [[nodiscard]] Result<bool> try_seat(std::uint32_t seat, std::uint64_t doorbell,
                                      const char* what) {
    if (!segment_.try_role_lock(seat)) return false;
    const bool listed = self().list(seat);
    if (!repair_(seat)) {
      if (listed) self().clear_present(seat);
      segment_.unlock_role(seat);
      return false;
    }
    // The byte is ours by now, so this cannot fail.
    if (auto claimed = segment_.claim(record(seat), seat, doorbell, what); !claimed.ok())
      return claimed.error();
    seat_ = seat;
    MILLRACE_CRASH_POINT("seat.take.claimed");
    self().set_present(seat);
    MILLRACE_CRASH_POINT("seat.take.present");
    entered_ = true;
    return true;
  }
  // Buries whoever had that seat, if nobody alive has it.
  bool bury_locked(std::uint32_t seat) {
    if ((entered_ && seat == seat_) || !segment_.try_role_lock(seat)) return false;
    MILLRACE_CRASH_POINT("seat.bury.locked");
    if (!repair_(seat)) {
      segment_.unlock_role(seat);
      return false;
    }
    MILLRACE_CRASH_POINT("seat.bury.repaired");
    self().clear_present(seat);
    segment_.bury(record(seat));
    MILLRACE_CRASH_POINT("seat.bury.absent");
    segment_.resign(record(seat), seat);
    return true;
  }
  // After a failed enter().
  void give_up() {
    if (segment_.created()) segment_.unlink();
    segment_ = Segment();
  }
  os::BellRinger& ringer() noexcept { return ringer_ != nullptr ? *ringer_ : own_ringer_; }

  Repair repair_;
  bool entered_ = false;
  std::uint32_t seat_;
  Segment segment_;
  Sleeper sleeper_;

 private:
  Self& self() noexcept { return static_cast<Self&>(*this); }

  os::BellRinger* ringer_ = nullptr;
  os::BellRinger own_ringer_;
};

}  // namespace millrace

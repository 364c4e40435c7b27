// The common ground of all primitives that many share: a segment whose roles are interchangeable
// parties. A party is one handle; it has a seat (a number below kMaxParties), a role record and lock
// byte that tell whether it lives, and a wait line of its own to sleep on.
//
// Seats are taken, left and buried under the lifecycle lock. Dead is a party whose record says attached
// although its lock byte is free. Whoever buries it takes that byte first, and then acts in its place:
// the primitive's `repair` finishes what the dead one left undone. If the undertaker dies in the middle,
// the byte is free again, the record still says attached, and the next one starts over.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "../bits.hpp"
#include "../crash_point.hpp"
#include "../layout/parties.hpp"
#include "../segment.hpp"
#include "../waiting.hpp"

namespace millrace {

// What the user of a primitive chooses.
struct PartyOptions {
  Place place;
  os::MemoryOptions memory;
  mode_t mode = 0600;
  std::optional<uid_t> owner;
  std::uint64_t doorbell = 0;  // where this party can be woken; 0: it only ever blocks or polls
};

// What a primitive wants its segment to be.
struct PartySpec : PartyOptions {
  using Values = std::array<std::uint64_t, layout::kOwnValues>;

  layout::Kind kind{};
  char letter = 0;
  const char* title = "";                     // of the primitive, for messages: "mutex"
  bool keep = false;                          // content outlives a crash of all parties
  std::uint32_t seats = layout::kMaxParties;  // how many of them may be taken
  std::uint64_t shared_bytes = 0;
  Values values{};  // the primitive's own geometry
  // Judges the own geometry of an existing segment; without it, it must equal `values`.
  std::function<Result<void>(const Values&)> judge;
};

class Parties {
 public:
  // Finishes what the dead holder of a seat left undone, and is asked once more before a seat is taken.
  // Runs under the lifecycle lock, with the lock byte of that seat in hand. Must bear being run again for
  // the same seat, from any point, also where there is nothing to do. False: it cannot be finished yet
  // (a living party is about to do something with that seat); it stays unburied and is not taken.
  using Repair = std::function<bool(std::uint32_t seat)>;

  explicit Parties(Repair repair) : repair_(std::move(repair)) {}
  Parties(const Parties&) = delete;
  Parties& operator=(const Parties&) = delete;
  ~Parties() {
    leave([] { return false; });
  }

  // Creates the segment or joins it, buries the dead, and takes a seat. no_lane if all are taken.
  Result<void> enter(const PartySpec& spec, const os::Deadline& deadline) {
    SegmentSpec wanted;
    wanted.kind = spec.kind;
    wanted.letter = spec.letter;
    wanted.place = spec.place;
    wanted.memory = spec.memory;
    wanted.mode = spec.mode;
    wanted.owner = spec.owner;
    wanted.keep = spec.keep;
    wanted.geometry = geometry_of(spec);
    wanted.bury = [](const Segment& stale) {
      for (std::uint32_t seat = 0; seat < layout::kMaxParties; ++seat)
        stale.bury(stale.at<layout::RoleRecord>(layout::kRolesOffset)[seat]);
    };
    auto entered = Segment::enter(
        wanted, Entry::attach_or_create, deadline,
        [&](const layout::Geometry& found) -> Result<std::uint64_t> { return judge(spec, found); });
    if (!entered.ok()) return entered.error();
    segment_ = entered.take();
    control_ = segment_.at<layout::PartiesControl>(layout::kPartiesOffset);
    auto* lines = segment_.at<layout::WaitLine>(layout::kPartyLinesOffset);
    for (std::uint32_t seat = 0; seat < layout::kMaxParties; ++seat)
      wakers_[seat] = Waker(lines + seat);
    MILLRACE_CRASH_POINT("parties.enter.attached");
    bury_the_dead();
    auto done = take_seat(spec);
    if (!done.ok()) {
      if (segment_.created()) segment_.unlink();
      segment_ = Segment();
      return done;
    }
    sleeper_ = Sleeper(lines + seat_);
    if (spec.keep) segment_.set_flag(layout::kKeep, true);  // who created it may not have asked
    segment_.settle();
    return {};
  }

  // Gives the seat back. If nobody is left the segment is removed, unless keep() then says that it holds
  // something that the next one to come must know. What the party holds must have been released before.
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
    MILLRACE_CRASH_POINT("parties.leave.absent");
    segment_.resign(record(seat_), seat_);
    MILLRACE_CRASH_POINT("parties.leave.resigned");
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
  [[nodiscard]] std::uint64_t bit() const noexcept { return 1ULL << seat_; }
  [[nodiscard]] const Segment& segment() const noexcept { return segment_; }
  // What the primitive shares. T must fit the bytes it asked for, and be valid when all zero.
  template <typename T>
  [[nodiscard]] T& shared() const noexcept {
    return *segment_.at<T>(layout::kSharedOffset);
  }
  [[nodiscard]] PartySpec::Values values() const noexcept {
    return own_values(segment_.geometry());
  }

  // Seats in use, the dead among them as long as nobody has buried them.
  [[nodiscard]] std::uint64_t present() const noexcept {
    // acquire: pairs with the release in take_seat(): the wait line of a party that we see is ready.
    return control_->present.load(std::memory_order_acquire) & layout::kAllParties;
  }
  [[nodiscard]] layout::RoleRecord& record(std::uint32_t seat) const noexcept {
    return segment_.at<layout::RoleRecord>(layout::kRolesOffset)[seat];
  }
  [[nodiscard]] std::uint32_t pid(std::uint32_t seat) const noexcept {
    return record(seat).pid.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t doorbell(std::uint32_t seat) const noexcept {
    return record(seat).doorbell.load(std::memory_order_relaxed);
  }
  // For a party that learns only from the segment which doorbell suits it.
  void announce_doorbell(std::uint64_t doorbell) const noexcept {
    record(seat_).doorbell.store(doorbell, std::memory_order_relaxed);
  }

  // Has nobody alive this seat? One system call. Without the lifecycle lock the answer is a hint: it may
  // have changed hands meanwhile.
  [[nodiscard]] bool vacant(std::uint32_t seat) const noexcept {
    return seat != seat_ && !segment_.role_held(seat);
  }
  // Those of `seats` that nobody alive has.
  [[nodiscard]] std::uint64_t vacant_of(std::uint64_t seats) const noexcept {
    std::uint64_t found = 0;
    detail::for_each_bit(seats & layout::kAllParties, [&](std::uint32_t seat) {
      if (vacant(seat)) found |= 1ULL << seat;
    });
    return found;
  }
  // Buries those of `seats` that nobody alive has. False if the lifecycle lock was not to be had (its
  // holder does the same, or is stopped): try again later.
  bool bury(std::uint64_t seats) {
    if (!segment_.lock_lifecycle(os::Deadline::after(kBuryPatienceNs)).ok()) return false;
    bury_locked(seats);
    segment_.settle();
    return true;
  }

  // Wakes that party if it sleeps; after a publish that it may be waiting for. Nearly free if it does not.
  void wake(std::uint32_t seat) {
    if (wakers_[seat].peer_sleeps()) {
      wakers_[seat].wake(ringer_ != nullptr ? *ringer_ : own_ringer_, segment_.trust());
    }
  }
  void wake_each(std::uint64_t seats) {
    detail::for_each_bit(seats & layout::kAllParties, [this](std::uint32_t i) { wake(i); });
  }
  [[nodiscard]] Sleeper& sleeper() noexcept { return sleeper_; }
  // Whoever has a ringer for many channels (an event loop) lends it.
  void use_ringer(os::BellRinger* ringer) noexcept { ringer_ = ringer; }

 private:
  // Its holder needs microseconds. One that needs longer is stopped, or does what we are about to do.
  static constexpr std::uint64_t kBuryPatienceNs = 5'000'000;

  static std::uint64_t total_bytes(const PartySpec& spec) noexcept {
    return os::round_up(layout::kSharedOffset + spec.shared_bytes, os::page_size());
  }
  static layout::Geometry geometry_of(const PartySpec& spec) noexcept {
    layout::Geometry geometry{};
    geometry.total_bytes = total_bytes(spec);
    geometry.values[layout::kParties] = layout::kMaxParties;
    geometry.values[layout::kSharedBytes] = spec.shared_bytes;
    for (std::uint32_t i = 0; i < layout::kOwnValues; ++i)
      geometry.values[layout::kFirstOwnValue + i] = spec.values[i];
    return geometry;
  }
  static PartySpec::Values own_values(const layout::Geometry& geometry) noexcept {
    PartySpec::Values values{};
    for (std::uint32_t i = 0; i < layout::kOwnValues; ++i)
      values[i] = geometry.values[layout::kFirstOwnValue + i];
    return values;
  }
  static Result<std::uint64_t> judge(const PartySpec& spec, const layout::Geometry& found) {
    if (found.values[layout::kParties] != layout::kMaxParties ||
        found.values[layout::kSharedBytes] != spec.shared_bytes ||
        found.total_bytes != total_bytes(spec)) {
      return make_error(Code::corrupt, std::string(spec.title) + " '" + spec.place.title() +
                                           "' has an impossible geometry; remove it");
    }
    const PartySpec::Values values = own_values(found);
    if (spec.judge) {
      if (auto judged = spec.judge(values); !judged.ok()) return judged.error();
    } else if (values != spec.values) {
      return make_error(Code::geometry, std::string(spec.title) + " '" + spec.place.title() +
                                            "' exists with other properties; open it everywhere "
                                            "alike, or unlink it first");
    }
    return found.total_bytes;
  }

  Result<void> take_seat(const PartySpec& spec) {
    for (std::uint32_t seat = 0; seat < spec.seats; ++seat) {
      if (!segment_.try_role_lock(seat)) continue;
      if (!repair_(seat)) {
        segment_.unlock_role(seat);
        continue;
      }
      // The byte is ours by now, so this cannot fail.
      if (auto claimed = segment_.claim(record(seat), seat, spec.doorbell, spec.title);
          !claimed.ok()) {
        return claimed;
      }
      seat_ = seat;
      MILLRACE_CRASH_POINT("parties.seat.claimed");
      // release: pairs with the acquire in present().
      control_->present.fetch_or(1ULL << seat, std::memory_order_release);
      MILLRACE_CRASH_POINT("parties.seat.present");
      entered_ = true;
      return {};
    }
    return make_error(Code::no_lane,
                      "all " + std::to_string(spec.seats) + " seats of " + spec.title + " '" +
                          spec.place.title() +
                          "' are taken: no more handles can be open at a time; close some, or " +
                          "share one per process",
                      segment_.path());
  }
  void clear_present(std::uint32_t seat) const noexcept {
    control_->present.fetch_and(~(1ULL << seat), std::memory_order_relaxed);
  }

  // Under the lifecycle lock.
  void bury_the_dead() {
    std::uint64_t attached = 0;
    for (std::uint32_t seat = 0; seat < layout::kMaxParties; ++seat) {
      if (record(seat).state.load(std::memory_order_relaxed) ==
          static_cast<std::uint32_t>(layout::RoleState::attached)) {
        attached |= 1ULL << seat;
      }
    }
    bury_locked(attached | control_->present.load(std::memory_order_relaxed));
  }
  void bury_locked(std::uint64_t seats) {
    detail::for_each_bit(seats & layout::kAllParties, [this](std::uint32_t seat) {
      if ((entered_ && seat == seat_) || !segment_.try_role_lock(seat)) return;
      MILLRACE_CRASH_POINT("parties.bury.locked");
      if (!repair_(seat)) {
        segment_.unlock_role(seat);
        return;
      }
      MILLRACE_CRASH_POINT("parties.bury.repaired");
      clear_present(seat);
      segment_.bury(record(seat));
      MILLRACE_CRASH_POINT("parties.bury.absent");
      segment_.resign(record(seat), seat);
    });
  }

  Repair repair_;
  bool entered_ = false;
  std::uint32_t seat_ = layout::kMaxParties;
  Segment segment_;
  layout::PartiesControl* control_ = nullptr;
  std::array<Waker, layout::kMaxParties> wakers_;
  Sleeper sleeper_;
  os::BellRinger* ringer_ = nullptr;
  os::BellRinger own_ringer_;
};

}  // namespace millrace

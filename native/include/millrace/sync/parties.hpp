// The common ground of all primitives that many share: a segment whose roles are interchangeable
// parties. A party is one handle; it has a seat (a number below kMaxParties), a role record and lock
// byte that tell whether it lives, and a wait line of its own to sleep on.
// The rules of seats are in seat_holder.hpp.
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
#include "../seat_holder.hpp"
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

class Parties : public SeatHolder<Parties> {
 public:
  explicit Parties(Repair repair) : SeatHolder(std::move(repair), layout::kMaxParties) {}
  Parties(const Parties&) = delete;
  Parties& operator=(const Parties&) = delete;
  ~Parties() {
    leave([] { return false; });
  }

  // Creates the segment or joins it, buries the dead, and takes a seat. no_lane if all are taken.
  Result<void> enter(const PartySpec& spec, const os::Deadline& deadline) {
    SegmentSpec wanted = spec_of(spec, spec.kind, spec.letter);
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
      give_up();
      return done;
    }
    sleeper_ = Sleeper(lines + seat_);
    if (spec.keep) segment_.set_flag(layout::kKeep, true);  // who created it may not have asked
    segment_.settle();
    return {};
  }

  [[nodiscard]] std::uint64_t bit() const noexcept { return 1ULL << seat_; }
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
    // acquire: pairs with the release in set_present(): the wait line of a party that we see is ready.
    return control_->present.load(std::memory_order_acquire) & layout::kAllParties;
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
    detail::for_each_bit(seats & layout::kAllParties,
                         [this](std::uint32_t seat) { (void)bury_locked(seat); });
    segment_.settle();
    return true;
  }

  // Wakes that party if it sleeps; after a publish that it may be waiting for. Nearly free if it does not.
  void wake(std::uint32_t seat) {
    if (wakers_[seat].peer_sleeps()) {
      wakers_[seat].wake(ringer(), segment_.trust());
    }
  }
  void wake_each(std::uint64_t seats) {
    detail::for_each_bit(seats & layout::kAllParties, [this](std::uint32_t i) { wake(i); });
  }

 private:
  friend SeatHolder;

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
      auto taken = try_seat(seat, spec.doorbell, spec.title);
      if (!taken.ok()) return taken.error();
      if (taken.value()) return {};
    }
    return make_error(Code::no_lane,
                      "all " + std::to_string(spec.seats) + " seats of " + spec.title + " '" +
                          spec.place.title() +
                          "' are taken: no more handles can be open at a time; close some, or " +
                          "share one per process",
                      segment_.path());
  }
  void set_present(std::uint32_t seat) const noexcept {
    // release: pairs with the acquire in present().
    control_->present.fetch_or(1ULL << seat, std::memory_order_release);
  }
  void clear_present(std::uint32_t seat) const noexcept {
    control_->present.fetch_and(~(1ULL << seat), std::memory_order_relaxed);
  }

  // Under the lifecycle lock.
  void bury_the_dead() {
    const std::uint64_t present = control_->present.load(std::memory_order_relaxed);
    for (std::uint32_t seat = 0; seat < layout::kMaxParties; ++seat) {
      // One that died on its way in is not yet present, one on its way out no longer.
      if ((present >> seat & 1U) != 0 || attached(seat)) (void)bury_locked(seat);
    }
  }

  layout::PartiesControl* control_ = nullptr;
  std::array<Waker, layout::kMaxParties> wakers_;
};

}  // namespace millrace

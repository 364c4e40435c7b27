// A named event: some wait until others set it. With manual reset it stays set and lets everybody pass
// until it is reset; with auto reset each signal lets exactly one pass.
//
// Auto reset: signals are counted in the word, and belong to nobody until somebody takes one away by
// compare-and-swap. A set that finds somebody waiting always adds a signal, so none of several sets in a
// row is lost on several waiters; when nobody waits (any more), what is left over is one signal at most.
//
// Why no signal is lost: it is in the word before anybody is woken; every party that waits is woken, and
// looks; one that begins to wait later looks before it sleeps. Whether the one that would have got it
// dies, gives up or is slow does not matter, for nobody was chosen. A setter that dies after its signal
// and before its wake-ups is heard of by all that sleep: they watch every party that is there, and those
// who come later wake them, to be watched, too.
//
// Manual reset: the word counts how often it was set. Who waits remembers the count it began with; a set
// that is taken back at once still lets everybody pass who waited.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/event.hpp"
#include "../os/clock.hpp"
#include "parties.hpp"

namespace millrace {

struct EventSpec : PartyOptions {
  std::optional<layout::Reset> reset;  // nothing: what is there, or automatic for a new event
  bool keep = false;                   // it stays, set or not, when nobody has it open
};

class Event {
 public:
  static Result<std::unique_ptr<Event>> open(const EventSpec& spec, const os::Deadline& deadline) {
    PartySpec wanted;
    static_cast<PartyOptions&>(wanted) = spec;
    wanted.kind = layout::Kind::event;
    wanted.letter = 'e';
    wanted.title = "event";
    wanted.keep = spec.keep;
    wanted.shared_bytes = sizeof(layout::EventState);
    wanted.values[layout::kEventReset] =
        static_cast<std::uint64_t>(spec.reset.value_or(layout::Reset::automatic));
    wanted.judge = [&](const PartySpec::Values& found) { return judge(spec, found); };
    std::unique_ptr<Event> self(new Event);
    auto entered = self->parties_.enter(wanted, deadline);
    if (!entered.ok()) return entered.error();
    self->manual_ = self->parties_.values()[layout::kEventReset] ==
                    static_cast<std::uint64_t>(layout::Reset::manual);
    MILLRACE_CRASH_POINT("event.open.seated");
    // Who sleeps must hear if we die after a set: let it look whom to watch.
    self->wake_all();
    return self;
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { close(); }

  void set() {
    if (manual_) {
      set_manually();
    } else {
      add_signal();
    }
  }
  // Takes back what nobody has used yet.
  void reset() noexcept {
    if (manual_) {
      word().fetch_and(~layout::kEventSet, std::memory_order_acq_rel);
    } else {
      word().fetch_and(layout::kAllParties, std::memory_order_acq_rel);
    }
  }
  [[nodiscard]] bool is_set() const noexcept {
    const std::uint64_t now = word().load(std::memory_order_acquire);
    return manual_ ? (now & layout::kEventSet) != 0 : layout::signals_of(now) != 0;
  }

  // Before waiting: counts this party among those who wait, until end_wait(), however many of its waits
  // there are. Returns what try_wait() wants to know.
  std::uint64_t begin_wait() noexcept {
    if (manual_) {
      mark_ = layout::generation_of(word().load(std::memory_order_acquire));
    } else {
      word().fetch_or(parties_.bit(), std::memory_order_acq_rel);
      MILLRACE_CRASH_POINT("event.wait.begun");
    }
    return mark_;
  }
  void end_wait() noexcept {
    if (!manual_) take_off(parties_.bit());
  }
  // True: the wait is over, and with auto reset one signal has been taken.
  bool try_wait(std::uint64_t mark) {
    if (!manual_) return take_signal();
    // acquire: pairs with the release in set_manually(): what was done before is seen.
    const std::uint64_t now = word().load(std::memory_order_acquire);
    return (now & layout::kEventSet) != 0 || layout::generation_of(now) != mark;
  }
  // The same for somebody who has not begun to wait.
  bool try_wait() { return manual_ ? is_set() : take_signal(); }

  // Is there anything for the wait that began last?
  [[nodiscard]] bool stirred() const noexcept {
    const std::uint64_t now = word().load(std::memory_order_acquire);
    if (!manual_) return layout::signals_of(now) != 0;
    return (now & layout::kEventSet) != 0 || layout::generation_of(now) != mark_;
  }
  // Blocks this thread for a slice at most: spins, then sleeps. True if stirred.
  [[nodiscard]] bool wait_slice(std::uint64_t spin_ns, std::uint64_t timeout_ns) {
    return millrace::wait_slice(parties_.sleeper(), spin_ns, timeout_ns,
                                [this] { return stirred(); });
  }

  // Blocks this thread until the event lets it pass. False if the time was over first.
  bool wait(const os::Deadline& deadline) {
    const std::uint64_t mark = begin_wait();
    bool passed = try_wait(mark);
    while (!passed && !deadline.passed()) {
      (void)wait_slice(0, deadline.left_ns());
      passed = try_wait(mark);
    }
    end_wait();
    return passed;
  }

  [[nodiscard]] bool manual() const noexcept { return manual_; }
  [[nodiscard]] Parties& parties() noexcept { return parties_; }
  [[nodiscard]] const Parties& parties() const noexcept { return parties_; }

  void close() noexcept {
    if (!parties_.open()) return;
    if (parties_.segment().intact()) end_wait();
    parties_.leave([this] { return parties_.segment().kept(); });
  }
  // Nothing of ours is ever half done.
  void abandon() noexcept { close(); }

 private:
  static constexpr int kTries = 1'000'000;  // see change()

  Event() = default;

  static Result<void> judge(const EventSpec& spec, const PartySpec::Values& found) {
    const std::uint64_t reset = found[layout::kEventReset];
    const auto name = [](std::uint64_t value) {
      return value == static_cast<std::uint64_t>(layout::Reset::manual) ? "'manual'" : "'auto'";
    };
    if (reset != static_cast<std::uint64_t>(layout::Reset::manual) &&
        reset != static_cast<std::uint64_t>(layout::Reset::automatic)) {
      return make_error(Code::corrupt, "event '" + spec.place.title() +
                                           "' has an impossible kind of reset; remove it");
    }
    if (spec.reset && static_cast<std::uint64_t>(*spec.reset) != reset) {
      return make_error(Code::geometry, "event '" + spec.place.title() + "' exists with reset " +
                                            name(reset) + ", not " +
                                            name(static_cast<std::uint64_t>(*spec.reset)) +
                                            "; open it everywhere alike, or unlink it first");
    }
    return {};
  }

  // Changes the word from what it is to `next(it)`. A failed compare-and-swap means that somebody else got
  // on; so many in a row do not happen to anybody, unless a hostile process does nothing else than
  // changing the word. Then it is left as that process wants it: every value is a possible state.
  template <typename Next>
  std::uint64_t change(Next&& next) noexcept {
    std::uint64_t now = word().load(std::memory_order_relaxed);
    for (int tries = 0; tries < kTries; ++tries) {
      const std::uint64_t wanted = next(now);
      // release: pairs with the acquire loads of whoever is let pass: what was done before is seen.
      if (word().compare_exchange_weak(now, wanted, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {
        return wanted;
      }
    }
    return now;
  }

  void set_manually() {
    (void)change([](std::uint64_t now) {
      return (now & layout::kEventSet) != 0 ? now : (now | layout::kEventSet) + 2;
    });
    MILLRACE_CRASH_POINT("event.set.manual");
    wake_all();  // also if it was set: whoever did that may have died before this
  }

  void add_signal() {
    // Nobody has taken the last signal: do those who wait still live?
    const std::uint64_t before = word().load(std::memory_order_relaxed);
    if (layout::signals_of(before) != 0 && layout::waiting_of(before) != 0) bury_waiting(before);
    const std::uint64_t next = change([](std::uint64_t now) {
      const std::uint64_t waiting = layout::waiting_of(now);
      const std::uint64_t most = waiting != 0 ? layout::kMostSignals : 1;
      const std::uint64_t signals =
          std::max(layout::signals_of(now), std::min(layout::signals_of(now) + 1, most));
      return waiting | signals * layout::kOneSignal;
    });
    MILLRACE_CRASH_POINT("event.set.signalled");
    parties_.wake_each(layout::waiting_of(next));
  }
  bool take_signal() {
    std::uint64_t now = word().load(std::memory_order_acquire);
    bool looked = false;
    for (int tries = 0; tries < kTries && layout::signals_of(now) != 0; ++tries) {
      // More than one means that others wait for theirs. Or that they waited, and died.
      if (!looked && layout::signals_of(now) > 1) {
        looked = true;
        bury_waiting(now);
        now = word().load(std::memory_order_acquire);
        continue;
      }
      if (word().compare_exchange_weak(now, now - layout::kOneSignal, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        MILLRACE_CRASH_POINT("event.take.taken");
        return true;
      }
    }
    return false;
  }
  // Those parties wait no longer. When nobody waits any more, one signal is all that is left.
  void take_off(std::uint64_t seats) noexcept {
    (void)change([seats](std::uint64_t now) {
      const std::uint64_t next = now & ~seats;
      const bool too_many = layout::waiting_of(next) == 0 && layout::signals_of(next) > 1;
      return too_many ? layout::kOneSignal : next;
    });
  }
  void bury_waiting(std::uint64_t now) {
    const std::uint64_t dead = parties_.vacant_of(layout::waiting_of(now));
    if (dead != 0) (void)parties_.bury(dead);
  }
  bool repair(std::uint32_t seat) noexcept {
    const bool manual =
        parties_.values()[layout::kEventReset] == static_cast<std::uint64_t>(layout::Reset::manual);
    if (!manual) take_off(1ULL << seat);
    return true;
  }

  void wake_all() { parties_.wake_each(parties_.present()); }
  [[nodiscard]] std::atomic<std::uint64_t>& word() const noexcept {
    return parties_.shared<layout::EventState>().word;
  }

  Parties parties_{[this](std::uint32_t seat) { return repair(seat); }};
  bool manual_ = false;
  std::uint64_t mark_ = 0;  // generation at which the wait that began last did so
};

}  // namespace millrace

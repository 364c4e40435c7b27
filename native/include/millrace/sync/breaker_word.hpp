// A circuit breaker in one word, changed by compare-and-swap alone.
//
//              `failures` of them                  open for `open_ms`
//     closed ──────────────────────► open ──────────────────────────────► half open
//        ▲                            ▲                                    │   │   │
//        │                            └──── the trial failed, or was ──────┘   │   │
//        │                                  given back, or its owner died      │   └── its owner died:
//        └─────────────────────────────────────── the trial succeeded ─────────┘       the next one's trial
//
// Every arrow raises the generation. Whoever calls remembers the generation that it entered with, and its result counts in
// that one alone: a call that began before the breaker opened says nothing about what has happened since. So there is one
// trial at a time: the step to half open names its owner's seat, and only a result of its generation ends it.
//
// A trial is never lost. Its owner's seat is in the word, and the kernel knows whether a seat has somebody alive; one that
// has nobody may be replaced by whoever calls next. A seat is not taken again before its dead owner was buried, and burying
// gives the trial back. Nothing else is ever owed, so that dying at any other point leaves nothing to be mended.
#pragma once

#include <atomic>
#include <cstdint>

#include "../layout/breaker.hpp"

namespace millrace {

struct BreakerRules {
  std::uint32_t failures = 5;
  std::uint64_t open_ms = 10'000;
  std::uint64_t window_ms = 0;  // 0: a success makes all failures before it not count

  [[nodiscard]] bool possible() const noexcept {
    return failures != 0 && failures <= layout::kMostBreakerFailures &&
           open_ms <= layout::kMostBreakerMs && window_ms <= layout::kMostBreakerMs;
  }
};

struct BreakerEntry {
  enum class Status : std::uint8_t {
    passes,
    trial,    // as the only one
    refused,  // open for `left_ms` more, or somebody has the trial: 0
    corrupt,
  };
  Status status = Status::refused;
  std::uint32_t generation = 0;
  std::uint64_t left_ms = 0;
};

// `Word` is an atomic, or a test's. `now` is the host's clock in milliseconds.
template <typename Word>
class BreakerWord {
 public:
  BreakerWord(Word& word, BreakerRules rules) noexcept : word_(word), rules_(rules) {}

  // May the party of seat `me` call now? `vacant(seat)`: has nobody alive that seat?
  template <typename Vacant>
  [[nodiscard]] BreakerEntry enter(std::uint32_t me, std::uint64_t now, Vacant&& vacant) const {
    std::uint64_t word = load();
    for (int tries = 0; tries < kTries; ++tries) {
      View view = View::of(word);
      if (view.phase == Phase::closed) {
        return {BreakerEntry::Status::passes, view.generation, 0};
      }
      if (view.phase == Phase::open) {
        const std::uint64_t age = since(view.time, now);
        if (age < rules_.open_ms) {
          return {BreakerEntry::Status::refused, view.generation, rules_.open_ms - age};
        }
      } else if (view.phase != Phase::half_open) {
        return {BreakerEntry::Status::corrupt, 0, 0};
      } else if (view.seat == me || (view.seat < layout::kMaxParties && !vacant(view.seat))) {
        return {BreakerEntry::Status::refused, view.generation, 0};
      }
      view.phase = Phase::half_open;
      view.seat = me;
      advance(view);
      if (swap(word, view)) return {BreakerEntry::Status::trial, view.generation, 0};
    }
    return {BreakerEntry::Status::corrupt, 0, 0};
  }

  // These three say whether the phase has changed, so that others are to be told.

  bool succeed(std::uint32_t generation) const noexcept {
    return change([&](View& view) {
      if (view.generation != generation || view.phase == Phase::open) return Step::none;
      if (view.phase == Phase::closed) {
        if (view.failures == 0 || rules_.window_ms != 0) return Step::none;
        view.failures = 0;
        return Step::within;
      }
      view = View{Phase::closed, 0, 0, view.generation, 0};
      return Step::over;
    });
  }
  bool fail(std::uint32_t generation, std::uint64_t now) const noexcept {
    return change([&](View& view) {
      if (view.generation != generation || view.phase == Phase::open) return Step::none;
      if (view.phase == Phase::closed) {
        const bool over = rules_.window_ms != 0 && since(view.time, now) >= rules_.window_ms;
        if (view.failures == 0 || over) {
          view.failures = 0;
          view.time = now;
        }
        if (++view.failures < rules_.failures) return Step::within;
      }
      view = View{Phase::open, 0, view.failures, view.generation, now};
      return Step::over;
    });
  }
  // The call of that generation has no result. A trial is there for the next one, at once.
  bool release(std::uint32_t generation) const noexcept {
    return change([&](View& view) {
      if (view.generation != generation || view.phase != Phase::half_open) return Step::none;
      view.phase = Phase::open;
      view.seat = 0;
      return Step::over;
    });
  }
  // The same for the trial of a seat whose owner is dead, or leaves.
  bool give_back(std::uint32_t seat) const noexcept {
    return change([&](View& view) {
      if (view.phase != Phase::half_open || view.seat != seat) return Step::none;
      view.phase = Phase::open;
      view.seat = 0;
      return Step::over;
    });
  }
  // By hand: open from now on, or closed.
  bool set(bool open, std::uint64_t now) const noexcept {
    return change([&](View& view) {
      if (!open && view.phase == Phase::closed && view.failures == 0) return Step::none;
      view = open ? View{Phase::open, 0, rules_.failures, view.generation, now}
                  : View{Phase::closed, 0, 0, view.generation, 0};
      return Step::over;
    });
  }

  [[nodiscard]] layout::BreakerView view() const noexcept { return View::of(load()); }
  // Milliseconds until an open one lets a trial through.
  [[nodiscard]] std::uint64_t left_ms(std::uint64_t now) const noexcept {
    const View view = View::of(load());
    if (view.phase != Phase::open) return 0;
    const std::uint64_t age = since(view.time, now);
    return age < rules_.open_ms ? rules_.open_ms - age : 0;
  }

  // Milliseconds from `time` to `now`. Who looked at the clock before the other did, and was stopped, sees no time gone.
  [[nodiscard]] static std::uint64_t since(std::uint64_t time, std::uint64_t now) noexcept {
    const std::uint64_t gone = (now - time) & (layout::kBreakerTimes - 1);
    return gone > layout::kBreakerTimes - kSkewMs ? 0 : gone;
  }

 private:
  using Phase = layout::BreakerPhase;
  using View = layout::BreakerView;
  enum class Step : std::uint8_t { none, within, over };

  static constexpr int kTries = 1'000'000;
  static constexpr std::uint64_t kSkewMs = 1U << 20U;  // 17 minutes

  [[nodiscard]] std::uint64_t load() const noexcept {
    // acquire: pairs with the release in swap(): what was done before a step is seen by whoever sees the step.
    return word_.load(std::memory_order_acquire);
  }
  bool swap(std::uint64_t& word, const View& next) const noexcept {
    // release: pairs with the acquire in load().
    return word_.compare_exchange_weak(word, next.word(), std::memory_order_acq_rel,
                                       std::memory_order_acquire);
  }
  static void advance(View& view) noexcept {
    view.generation = (view.generation + 1) % layout::kBreakerGenerations;
  }
  // A failed swap means that somebody else got on. So many in a row happen to nobody, unless a hostile process does nothing
  // but change the word; then it is left as that one wants it.
  template <typename Next>
  bool change(Next&& next) const noexcept {
    std::uint64_t word = load();
    for (int tries = 0; tries < kTries; ++tries) {
      View view = View::of(word);
      const Step step = next(view);
      if (step == Step::none) return false;
      if (step == Step::over) advance(view);
      if (swap(word, view)) return step == Step::over;
    }
    return false;
  }

  Word& word_;
  BreakerRules rules_;
};

}  // namespace millrace

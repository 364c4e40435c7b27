// A named circuit breaker that all processes of a host share: it opens once for all, lets one of them try again, and closes
// for all. The word and its steps are in breaker_word.hpp.
//
// Whoever changes the phase wakes all parties; whoever dies between the two is heard of by those who sleep, who watch every
// party that is there (as those of an event do). A breaker outlives its users while it is not closed: a program that is
// started again does not begin with what made it fail.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../crash_point.hpp"
#include "../layout/breaker.hpp"
#include "../os/clock.hpp"
#include "../os/host_clock.hpp"
#include "../os/identity.hpp"
#include "breaker_word.hpp"
#include "parties.hpp"

namespace millrace {

struct BreakerSpec : PartyOptions {
  std::optional<BreakerRules> rules;  // nothing: what is there, or the default for a new one
};

// One handle; used by one thread at a time. Any number of its calls may be on their way.
class Breaker {
 public:
  // geometry: it has other rules.
  static Result<std::unique_ptr<Breaker>> open(const BreakerSpec& spec,
                                               const os::Deadline& deadline) {
    const BreakerRules rules = spec.rules.value_or(BreakerRules{});
    if (!rules.possible())
      return make_error(Code::invalid_argument, "rules that no breaker can have");
    PartySpec wanted;
    static_cast<PartyOptions&>(wanted) = spec;
    wanted.kind = layout::Kind::breaker;
    wanted.letter = 'k';
    wanted.title = "breaker";
    wanted.keep = true;  // see above
    wanted.shared_bytes = sizeof(layout::BreakerShared);
    wanted.values[layout::kBreakerFailures] = rules.failures;
    wanted.values[layout::kBreakerOpenMs] = rules.open_ms;
    wanted.values[layout::kBreakerWindowMs] = rules.window_ms;
    wanted.judge = [&](const PartySpec::Values& found) { return judge(spec, found); };
    std::unique_ptr<Breaker> self(new Breaker);
    auto entered = self->parties_.enter(wanted, deadline);
    if (!entered.ok()) return entered.error();
    self->rules_ = rules_of(self->parties_.values());
    MILLRACE_CRASH_POINT("breaker.open.seated");
    // Who sleeps must hear if we die after a step: let it look whom to watch.
    self->wake_all();
    return self;
  }
  Breaker(const Breaker&) = delete;
  Breaker& operator=(const Breaker&) = delete;
  ~Breaker() { close(); }

  [[nodiscard]] static std::uint64_t now_ms() noexcept { return os::host_ns() / 1'000'000U; }

  // May a call be made now? Then its result is to be said by succeed(), fail() or release() with its generation.
  [[nodiscard]] BreakerEntry try_enter() {
    const BreakerEntry entry = state().enter(
        parties_.seat(), now_ms(), [this](std::uint32_t seat) { return parties_.vacant(seat); });
    if (entry.status == BreakerEntry::Status::trial) {
      MILLRACE_CRASH_POINT("breaker.enter.trial");
      wake_all();
    }
    return entry;
  }
  void succeed(std::uint32_t generation) { tell(state().succeed(generation)); }
  void fail(std::uint32_t generation) { tell(state().fail(generation, now_ms())); }
  void release(std::uint32_t generation) { tell(state().release(generation)); }
  // By hand.
  void trip() { tell(state().set(true, now_ms())); }
  void reset() { tell(state().set(false, now_ms())); }

  [[nodiscard]] layout::BreakerView view() const noexcept { return state().view(); }
  [[nodiscard]] std::uint64_t left_ms() const noexcept { return state().left_ms(now_ms()); }
  [[nodiscard]] const BreakerRules& rules() const noexcept { return rules_; }

  // Blocks this thread for a slice at most: spins, then sleeps. True if the word is another one than `seen` was taken from.
  [[nodiscard]] bool wait_slice(std::uint32_t seen, std::uint64_t spin_ns,
                                std::uint64_t timeout_ns) {
    return millrace::wait_slice(parties_.sleeper(), spin_ns, timeout_ns,
                                [this, seen] { return view().generation != seen; });
  }

  [[nodiscard]] Parties& parties() noexcept { return parties_; }
  [[nodiscard]] const Parties& parties() const noexcept { return parties_; }

  // A trial that has no result yet is there for the next one.
  void close() noexcept {
    if (!parties_.open()) return;
    if (parties_.segment().intact()) {
      const bool returned = state().give_back(parties_.seat());
      MILLRACE_CRASH_POINT("breaker.close.returned");
      tell(returned);
    }
    parties_.leave([this] { return view().phase != layout::BreakerPhase::closed; });
  }
  void abandon() noexcept { close(); }

 private:
  Breaker() = default;

  static BreakerRules rules_of(const PartySpec::Values& values) noexcept {
    const std::uint64_t failures = values[layout::kBreakerFailures];
    BreakerRules rules;
    rules.failures =
        failures > layout::kMostBreakerFailures ? 0 : static_cast<std::uint32_t>(failures);
    rules.open_ms = values[layout::kBreakerOpenMs];
    rules.window_ms = values[layout::kBreakerWindowMs];
    return rules;
  }
  static std::string in_words(const BreakerRules& rules) {
    return std::to_string(rules.failures) + " failures" +
           (rules.window_ms == 0 ? " in a row"
                                 : " within " + std::to_string(rules.window_ms) + " ms") +
           " and a trial after " + std::to_string(rules.open_ms) + " ms";
  }
  static Result<void> judge(const BreakerSpec& spec, const PartySpec::Values& found) {
    const BreakerRules rules = rules_of(found);
    if (!rules.possible()) {
      return make_error(Code::corrupt,
                        "breaker '" + spec.place.title() + "' has impossible rules; remove it");
    }
    if (spec.rules &&
        (spec.rules->failures != rules.failures || spec.rules->open_ms != rules.open_ms ||
         spec.rules->window_ms != rules.window_ms)) {
      return make_error(Code::geometry, "breaker '" + spec.place.title() + "' exists with " +
                                            in_words(rules) + ", not " + in_words(*spec.rules) +
                                            "; open it everywhere alike, or unlink it first");
    }
    return {};
  }

  void tell(bool changed) {
    if (!changed) return;
    MILLRACE_CRASH_POINT("breaker.step.made");
    wake_all();
  }
  void wake_all() { parties_.wake_each(parties_.present()); }

  // Under the lifecycle lock: of the dead, and before a seat is taken.
  bool repair(std::uint32_t seat) noexcept {
    rules_ = rules_of(parties_.values());
    take_over_from_another_boot();
    (void)state().give_back(seat);
    return true;
  }
  // The clock has begun anew: what is not closed is open from now on, and no failure counts. Whoever is here beside us is of
  // this boot. The word comes first: whoever dies in between has only made it last longer.
  void take_over_from_another_boot() noexcept {
    if (parties_.open()) return;
    const Segment& segment = parties_.segment();
    unsigned char mine[16];
    os::this_boot(mine);
    std::uint64_t boot[2];
    std::memcpy(boot, mine, sizeof boot);
    auto& its = shared().boot;
    // Relaxed: under the lifecycle lock.
    const bool same = its[0].load(std::memory_order_relaxed) == boot[0] &&
                      its[1].load(std::memory_order_relaxed) == boot[1];
    if (same || (!segment.created() && !segment.orphaned())) return;
    (void)state().set(view().phase != layout::BreakerPhase::closed, now_ms());
    MILLRACE_CRASH_POINT("breaker.open.dated");
    its[0].store(boot[0], std::memory_order_relaxed);
    its[1].store(boot[1], std::memory_order_relaxed);
  }

  [[nodiscard]] layout::BreakerShared& shared() const noexcept {
    return parties_.shared<layout::BreakerShared>();
  }
  [[nodiscard]] BreakerWord<std::atomic<std::uint64_t>> state() const noexcept {
    return {shared().word, rules_};
  }

  Parties parties_{[this](std::uint32_t seat) { return repair(seat); }};
  BreakerRules rules_;
};

}  // namespace millrace

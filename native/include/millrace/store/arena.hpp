// The memory of payloads that do not fit beside their slot: granules of 256 bytes, and for each a word that says of which
// job it is (layout::granule_owner), 0 if of none. A run of granules is claimed word by word, upwards, and given back word by
// word, upwards.
//
// No step needs another one. A claimer that is stopped keeps what it has and blocks nobody: who comes upon its words goes on
// behind them. One that dies leaves words that name a job which does not exist; sweep() gives them back. A word names slot
// *and* birth of its job, so it is never mistaken for a later job's in the same slot, and all changes are compare-and-swap from
// the exact value: whoever comes late finds it done.
//
// Two claimers that meet: both go upwards, so the lower one comes upon the first word of the upper one, and never the other way
// round. The lower one gives back what it has and goes on behind; the upper one is not disturbed. Nobody waits.
//
// A search goes on behind the last one of the same handle, so that it is short; now and then it begins at the handle's own
// place again. So what is low is used first and is warm in the caches, and what is high stays in one piece for runs that are
// long, which have a cursor of their own. (Without ever going back, 60 % of use with lifetimes at random is refused a run now
// and then; always going back costs fifty times as much. See the test.)
//
// `left` in a word tells how many granules behind it are of the same job, so that searches jump. It is a promise (they are
// claimed in order, and given back in order) except while its job is being claimed. Nothing but speed depends on it; what is read
// there is clamped, for a peer may write anything.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "../crash_point.hpp"
#include "../layout/store.hpp"

namespace millrace {

class Arena {
 public:
  struct Sweep {
    std::uint32_t freed = 0;  // granules of jobs that do not exist, given back
    std::uint32_t used = 0;   // granules of jobs that do
  };

  Arena() = default;
  // `begin`: this handle's own place. Handles that have different ones seldom meet.
  Arena(std::atomic<std::uint64_t>* owners, std::uint32_t count, std::uint32_t begin = 0) noexcept
      : owners_(owners), count_(count), begin_(count == 0 ? 0 : begin % count) {}

  // Where a run may lie: from `first` on and below `below`; and rather from `rather` on, if there is room.
  struct Within {
    std::uint32_t first = 0;
    std::uint32_t rather = 0;
    std::uint32_t below = ~0U;

    [[nodiscard]] std::uint32_t begin() const noexcept {
      return rather > first && rather < below ? rather : first;
    }
  };

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

  // Claims that many granules in a row for the job `born` in `slot`: the first of them, or nothing if there is no such row
  // now. The job must be known to sweep() as existing before this begins. Looks once over the arena, and a few times more
  // only if it met other claimers.
  [[nodiscard]] std::optional<std::uint32_t> claim(std::uint32_t slot, std::uint32_t born,
                                                   std::uint32_t granules) noexcept {
    return claim(slot, born, granules, Within{});
  }
  [[nodiscard]] std::optional<std::uint32_t> claim(std::uint32_t slot, std::uint32_t born,
                                                   std::uint32_t granules,
                                                   const Within& where) noexcept {
    const std::uint32_t below = std::min(where.below, count_);
    const std::uint32_t rather = where.begin();
    disturbed_ = false;
    if (rather >= below) return std::nullopt;
    Cursor& cursor = granules < kLong ? short_ : long_;
    if (cursor.claims++ % (granules < kLong ? kShortClaims : kLongClaims) == 0)
      cursor.at = rather + begin_ % (below - rather);
    const auto first = claim(slot, born, granules, where, cursor.at);
    if (first) cursor.at = *first + granules;
    return first;
  }
  // The same, searching from `hint` on.
  [[nodiscard]] std::optional<std::uint32_t> claim(std::uint32_t slot, std::uint32_t born,
                                                   std::uint32_t granules,
                                                   std::uint32_t hint) noexcept {
    return claim(slot, born, granules, Within{}, hint);
  }
  [[nodiscard]] std::optional<std::uint32_t> claim(std::uint32_t slot, std::uint32_t born,
                                                   std::uint32_t granules, const Within& where,
                                                   std::uint32_t hint) noexcept {
    disturbed_ = false;
    const std::uint32_t below = std::min(where.below, count_);
    if (granules == 0 || granules > below) return std::nullopt;
    const Run wanted{slot, born, granules};
    const std::uint32_t rather = where.begin();
    const std::uint32_t from = hint >= rather && hint < below ? hint : rather;
    for (int round = 0; round < kRounds; ++round) {
      met_ = false;
      std::optional<std::uint32_t> first = search(wanted, from, below);
      // What begins before the place where the last search began may end behind it.
      if (!first) first = search(wanted, rather, std::min(below, from + granules - 1));
      if (!first && where.first < rather)
        first = search(wanted, where.first, std::min(below, rather + granules - 1));
      if (first) return first;
      if (!met_) break;
    }
    return std::nullopt;
  }
  // Did the last claim() hold granules for a moment that it then gave back? Somebody else may have been refused because
  // of them: whoever waits for room is to be told, as after give_back().
  [[nodiscard]] bool disturbed() const noexcept { return disturbed_; }

  // Gives back what claim() gave, when the job does not exist any more. What has been given back already, by whoever buried the
  // holder, stays as it is.
  void give_back(std::uint32_t slot, std::uint32_t born, std::uint32_t first,
                 std::uint32_t granules) noexcept {
    if (first >= count_ || granules > count_ - first) return;  // the numbers come from a slot
    give_back({slot, born, granules}, first, granules);
  }

  // Gives back all granules of jobs that do not exist. is_orphan(slot, born) says which: `slot` may be any number of 20 bits.
  // Exact for what a dead one has left: nothing of it remains, and nothing of the living is touched, whatever they do
  // meanwhile.
  //
  // To be exact, is_orphan must know a job from the moment its slot is taken: while a slot is `writing` its token, and not
  // yet Slot::born, is the job's birth.
  template <typename IsOrphan>
  Sweep sweep(IsOrphan&& is_orphan) noexcept {
    std::uint64_t alive = 0;  // the job that was last found to exist
    return sweep_if([&](std::uint64_t word, std::uint32_t /*at*/) {
      if (job_of(word) == alive) return false;
      if (is_orphan(slot_of(word), born_of(word))) return true;
      alive = job_of(word);
      return false;
    });
  }
  // Gives back granules of jobs that exist, and have their payload elsewhere. is_stray(slot, born, at) says which, of the
  // first granule of a claim for all of it.
  template <typename IsStray>
  Sweep sweep_strays(IsStray&& is_stray) noexcept {
    return sweep_if([&](std::uint64_t word, std::uint32_t at) {
      return is_stray(slot_of(word), born_of(word), at);
    });
  }

  // Granules in use, about.
  [[nodiscard]] std::uint32_t used() const noexcept {
    std::uint32_t used = 0;
    for (std::uint32_t at = 0; at < count_;) {
      const std::uint64_t word = owners_[at].load(std::memory_order_acquire);
      const std::uint32_t run = word == 0 ? 1 : whole(word, at);
      if (word != 0) used += run;
      at += run;
    }
    return used;
  }

 private:
  // Rounds of a claim that meets others in each of them.
  static constexpr int kRounds = 4;
  // What is a long run, and so many claims before a search begins at the handle's place again.
  static constexpr std::uint32_t kLong = 64;
  static constexpr std::uint32_t kShortClaims = 64;
  static constexpr std::uint32_t kLongClaims = 16;

  struct Cursor {
    std::uint32_t at = 0;
    std::uint32_t claims = 0;
  };

  struct Run {
    std::uint32_t slot;
    std::uint32_t born;
    std::uint32_t granules;

    [[nodiscard]] std::uint64_t word(std::uint32_t index) const noexcept {
      return layout::granule_owner(slot, born, granules - 1 - index);
    }
  };

  static constexpr std::uint32_t kMostLeft = 1023;  // that a word can tell of

  static bool sane(std::uint64_t word) noexcept { return (word & 1U) != 0; }
  static std::uint32_t left_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 2U & kMostLeft);
  }
  static std::uint32_t slot_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 12U & 0xFFFFFU);
  }
  static std::uint32_t born_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32U);
  }
  // Slot and birth.
  static std::uint64_t job_of(std::uint64_t word) noexcept { return word >> 12U; }

  template <typename IsFreed>
  Sweep sweep_if(IsFreed&& is_freed) noexcept {
    Sweep result;
    std::uint32_t at = 0;
    while (at < count_) {
      // acquire: pairs with the release of take(): is_freed sees the job of this word.
      std::uint64_t word = owners_[at].load(std::memory_order_acquire);
      if (word == 0) {
        ++at;
        continue;
      }
      if (!sane(word) || is_freed(word, at)) {
        // release: pairs with the acquire of take(), as in give_back(). Fails only if its holder gives it back meanwhile.
        if (owners_[at].compare_exchange_strong(word, 0, std::memory_order_release,
                                                std::memory_order_relaxed)) {
          ++result.freed;
        }
        MILLRACE_CRASH_POINT("arena.sweep.freed");
        ++at;
        continue;
      }
      const std::uint32_t run = whole(word, at);
      result.used += run;
      at += run;
    }
    return result;
  }

  // The first fit in [from, to).
  std::optional<std::uint32_t> search(const Run& run, std::uint32_t from,
                                      std::uint32_t to) noexcept {
    std::uint32_t at = from;
    std::uint32_t free_to = from;  // [at, free_to) was seen free
    // A window of the size is looked at from its end: what is found in use there rules out all that begin before it.
    while (at < to && to - at >= run.granules) {
      std::uint32_t below = at + run.granules;
      std::uint64_t word = 0;
      while (below > free_to) {
        // relaxed: a hint where to try; take() finds out.
        word = owners_[below - 1].load(std::memory_order_relaxed);
        if (word != 0) break;
        --below;
      }
      if (word == 0) {
        const std::uint32_t taken = take(run, at, word);
        if (taken == run.granules) return at;
        met_ = true;
        below = at + taken + 1;
      }
      // The word at below - 1 is in use, and what was seen behind it is free.
      const std::uint32_t seen_to = std::max(free_to, at + run.granules);
      at = below + (sane(word) ? left_of(word) : 0);
      free_to = std::max(at, seen_to);
    }
    return std::nullopt;
  }

  // Claims [first, first + granules), upwards. If somebody else has one of them: how many of them are before it, its word,
  // and nothing is claimed.
  std::uint32_t take(const Run& run, std::uint32_t first, std::uint64_t& word) noexcept {
    for (std::uint32_t i = 0; i < run.granules; ++i) {
      word = 0;
      // acquire: pairs with the release of give_back() and sweep(): what the last holder read there, it read before we
      // write. release: for sweep(), which is to see the job.
      if (!owners_[first + i].compare_exchange_strong(word, run.word(i), std::memory_order_acq_rel,
                                                      std::memory_order_relaxed)) {
        MILLRACE_CRASH_POINT("arena.claim.met");
        if (i != 0) disturbed_ = true;
        give_back(run, first, i);
        return i;
      }
      MILLRACE_CRASH_POINT("arena.claim.taken");
    }
    return run.granules;
  }

  // The first `some` of a run. Upwards: a word that stands has all behind it.
  void give_back(const Run& run, std::uint32_t first, std::uint32_t some) noexcept {
    for (std::uint32_t i = 0; i < some; ++i) {
      std::uint64_t word = run.word(i);
      // release: pairs with the acquire of take(): we are done with the memory. Fails only if sweep() was here before.
      (void)owners_[first + i].compare_exchange_strong(word, 0, std::memory_order_release,
                                                       std::memory_order_relaxed);
      MILLRACE_CRASH_POINT("arena.back.freed");
    }
  }

  // How many granules from `at` on are certainly of the job of `word`, which was read there. The very last of a run having
  // been claimed, all between have been; and being given back upwards, none of them was when `word` was read. So nothing that
  // a dead one left lies between. (Of a longer run than a word can tell the end is unknown; its words are looked at one by one.
  // What stands 1,023 further may be of another attempt of the same claimer, in another place.)
  [[nodiscard]] std::uint32_t whole(std::uint64_t word, std::uint32_t at) const noexcept {
    const std::uint32_t left = left_of(word);
    if (left == 0 || left == kMostLeft || left >= count_ - at) return 1;
    // acquire: pairs with the release of take(), after those of all between.
    const std::uint64_t last = owners_[at + left].load(std::memory_order_acquire);
    return last == layout::granule_owner(slot_of(word), born_of(word), 0) ? left + 1 : 1;
  }

  std::atomic<std::uint64_t>* owners_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t begin_ = 0;
  Cursor short_;
  Cursor long_;
  bool disturbed_ = false;  // by the last claim
  bool met_ = false;        // somebody, in this round
};

}  // namespace millrace
